"""The four parts of VL-JEPA (arXiv 2512.10942, section 2) in torch; knows nothing of ROS.

Read `vljepa.py` first, which has the whole forward, then the parts in the order in which an image
meets them: `x_encoder.py`, `query.py`, `predictor.py`, `y_encoder.py`, `y_decoder.py`, and
`transformer.py`, of which predictor and Y-Decoder are made. Other files are the kinds of a part
that exist (`efficientnet.py`, `vjepa2.py`, `minilm.py`, `embedding_gemma.py`, `llama_decoder.py`),
`dual_encoder.py` (CLIP, SigLIP), and how configurations and weights are read and written.

In shapes, B counts windows or texts, T frames of a window, N visual tokens of a frame (or of the
few frames that an X-Encoder sees together), C their width, L tokens of a text, and D is the width
of the shared space.
"""

from vljepa_ros.model.checkpoint import load_checkpoint, save_checkpoint
from vljepa_ros.model.config import VLJEPAConfig
from vljepa_ros.model.vljepa import VLJEPA

__all__ = ["VLJEPA", "VLJEPAConfig", "load_checkpoint", "save_checkpoint"]
