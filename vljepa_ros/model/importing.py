"""Reads the checkpoint of open-vljepa, a community re-implementation of the paper.

https://github.com/dion-jy/open-vljepa; weights: cun-bjy/open-vljepa on the Hugging Face hub.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model.checkpoint import write_checkpoint
from vljepa_ros.model.config import (
    LLAMA_1B,
    EmbeddingGemmaConfig,
    LlamaQueryConfig,
    NoDecoderConfig,
    PredictorConfig,
    VJEPA2Config,
    VLJEPAConfig,
    WindowConfig,
)
from vljepa_ros.model.vljepa import VLJEPA
from vljepa_ros.model.weights import check_fit

OPEN_VLJEPA = VLJEPAConfig(
    name="open-vljepa",
    embedding_dim=1536,
    x_encoder=VJEPA2Config(),
    window=WindowConfig(frames=8, period=0.5, tubelet=1),
    query=LlamaQueryConfig(),
    predictor=PredictorConfig(
        width=2048,
        layers=8,
        heads=32,
        kv_heads=8,
        ffn_width=8192,
        rope_theta=500_000.0,
        rope_factor=32.0,
        adapt_tokens=False,
        weights=LLAMA_1B,
        first_layer=8,
    ),
    y_encoder=EmbeddingGemmaConfig(),
    y_decoder=NoDecoderConfig(),
)

# Beginnings of their names, and of ours.
_RENAMED = {
    "predictor.layers.": "predictor.transformer.layers.",
    "predictor.norm.": "predictor.transformer.norm.",
    "predictor.vis_proj.": "predictor.visual_projection.",
    "predictor.out_proj.": "predictor.output_projection.",
    "y_encoder.model.": "y_encoder.encoder.",
    "y_encoder.projector.": "y_encoder.head.",
}
# Published weights that training left alone; they come from where they are published.
_FROZEN = ("predictor.embed_tokens.", "x_encoder.")


def import_open_vljepa(file: Path, folder: Path, config: VLJEPAConfig = OPEN_VLJEPA) -> None:
    """Convert open-vljepa's best.pt into a folder that `load_checkpoint` accepts.

    Args:
        file: a pickle, read with `weights_only`, so that nothing in it is executed.
        folder: is made.
        config: its sizes.

    Raises:
        CheckpointError: it cannot be read, or has other tensors than its layout asks for.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        theirs: dict[str, Tensor] = content["model_state_dict"]
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {file}") from error
    except pickle.UnpicklingError as error:  # whose text advises to run what is in it
        raise CheckpointError(
            f"{file} is no checkpoint of open-vljepa: it is damaged, or holds more than tensors; "
            "nothing of it was run"
        ) from error
    except (OSError, EOFError, RuntimeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is no checkpoint of open-vljepa ({error})") from error
    with torch.device("meta"):
        model = VLJEPA(config)
    state = {_renamed(name): t for name, t in theirs.items() if not name.startswith(_FROZEN)}
    # Their query goes into the predictor as it is, ours through a projection.
    width = config.predictor.width
    state["predictor.query_projection.weight"] = torch.eye(width)
    state["predictor.query_projection.bias"] = torch.zeros(width)
    check_fit(model.trained_state(), state, str(file))
    write_checkpoint(config, state, folder, model.y_encoder.stored_as)


def _renamed(name: str) -> str:
    for theirs, ours in _RENAMED.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name
