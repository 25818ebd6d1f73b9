"""The full-size X-Encoder: V-JEPA 2 (arXiv 2506.09985), ViT-L of 304M parameters in the paper."""

from __future__ import annotations

import torch
from torch import Tensor

from vljepa_ros.model.config import VJEPA2Config
from vljepa_ros.model.weights import load_exactly, read_weights
from vljepa_ros.model.x_encoder import XEncoder

# ImageNet's, in [0, 1]: what V-JEPA 2 was trained with.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VJEPA2(XEncoder):
    """Transformers' V-JEPA 2 without its own predictor; joins `tubelet` frames in a token.

    It looks at all frames of a window together, so that a window that moves by one frame is
    encoded again as a whole.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: VJEPA2Config) -> None:
        # Imported here because transformers takes seconds to import.
        from transformers import VJEPA2Config as PublishedConfig
        from transformers import VJEPA2Model

        super().__init__()
        self.config = config
        self.tubelet = config.tubelet
        self.token_dim = config.width
        self.tokens_per_frame = (config.image_size // config.patch) ** 2
        self.backbone = VJEPA2Model(
            PublishedConfig(
                crop_size=config.image_size,
                patch_size=config.patch,
                tubelet_size=config.tubelet,
                hidden_size=config.width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                pred_num_hidden_layers=0,
            )
        )
        del self.backbone.predictor
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1), persistent=False)

    def load_pretrained(self) -> None:
        """Load the published weights; the predictor of V-JEPA 2 itself is not needed."""
        tensors = read_weights(self.config.weights)
        wanted = {k: v for k, v in tensors.items() if not k.startswith("predictor.")}
        load_exactly(self.backbone, wanted, self.config.weights)

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Normalise the pixels: (F, 3, S, S) float."""
        return (frames.to(self.mean.dtype) / 255 - self.mean) / self.std

    def forward(self, window: Tensor) -> Tensor:
        """Encode windows.

        Args:
            window: (B, T, 3, S, S) of `encode_frames`; T a multiple of `tubelet`.

        Returns:
            (B, T', N, C), T' = T / tubelet, places in raster order.
        """
        tokens = self.backbone(window, skip_predictor=True).last_hidden_state
        return tokens.unflatten(1, (-1, self.tokens_per_frame))
