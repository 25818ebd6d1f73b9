"""A model with random weights, for tests and for trying the nodes without trained weights."""

from __future__ import annotations

from pathlib import Path


def random_checkpoint(folder: Path, seed: int = 0, frames: int = 4) -> Path:
    """Write a checkpoint whose frozen encoders are real and whose trained parts are random.

    Args:
        folder: to make.
        seed: of the random numbers.
        frames: of a window, all of which share their tokens.

    Returns:
        `folder`, which `Engine.load` accepts.
    """
    import torch
    from torch.nn import functional as F

    from vljepa_ros.model import VLJEPA, VLJEPAConfig, save_checkpoint
    from vljepa_ros.model.config import PredictorConfig, WindowConfig, YDecoderConfig

    torch.manual_seed(seed)
    words = "the lamp is off and a red ball lies on the table; nothing is happening"
    config = VLJEPAConfig(
        name="random",
        window=WindowConfig(frames=frames, tubelet=frames),
        predictor=PredictorConfig(width=64, layers=1, heads=2, kv_heads=2, ffn_width=128),
        y_decoder=YDecoderConfig(width=64, layers=1, heads=2, ffn_width=128, max_tokens=12),
    )
    model = VLJEPA(config)
    model.learn_words([words])
    dim, mean = model.x_encoder.class_dim, torch.randn(model.x_encoder.class_dim)
    # As near to each other as names are, whose mean cosine is 0.19 in MiniLM's space.
    model.x_encoder.learn_classes(
        lambda n: F.normalize(torch.randn(len(n), dim) + mean / 2, dim=-1)
    )
    save_checkpoint(model, folder)
    return folder
