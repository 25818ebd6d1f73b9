"""A model with random weights, for tests and for trying the nodes without trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from vljepa_ros.model.y_decoder import YDecoder

_SENTENCES = ("the lamp is off", "a red ball lies on the table", "nothing is happening")


def random_checkpoint(folder: Path, seed: int = 0, frames: int = 4) -> Path:
    """Write a checkpoint whose frozen encoders are real and whose trained parts are random.

    Only the Y-Decoder has learned something, three sentences: a random one is so unsure of each
    word that the least rounding makes it say another.

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
    config = VLJEPAConfig(
        name="random",
        window=WindowConfig(frames=frames, tubelet=frames),
        predictor=PredictorConfig(width=64, layers=1, heads=2, kv_heads=2, ffn_width=128),
        y_decoder=YDecoderConfig(width=64, layers=1, heads=2, ffn_width=128, max_tokens=12),
    )
    model = VLJEPA(config)
    model.learn_words(_SENTENCES)
    dim, mean = model.x_encoder.class_dim, torch.randn(model.x_encoder.class_dim)
    # As near to each other as names are, whose mean cosine is 0.19 in MiniLM's space.
    model.x_encoder.learn_classes(
        lambda n: F.normalize(torch.randn(len(n), dim) + mean / 2, dim=-1)
    )
    _learn(model.y_decoder, model.encode_text(_SENTENCES).detach())
    save_checkpoint(model, folder)
    return folder


def _learn(decoder: YDecoder, embeddings: Tensor) -> None:
    """Train a decoder to say the sentences of (3, D) embeddings, and of what lies near them."""
    import torch
    from torch.nn import functional as F

    tokens, mask = decoder.tokenize(_SENTENCES)
    targets = tokens[:, 1:].masked_fill(~mask[:, 1:], -100)  # which cross_entropy leaves out
    optimizer = torch.optim.Adam(decoder.parameters(), lr=5e-3)
    for _ in range(200):
        noise = torch.randn_like(embeddings) / embeddings.shape[1] ** 0.5
        logits = decoder(F.normalize(embeddings + noise, dim=-1), tokens)[:, :-1]
        loss = F.cross_entropy(logits.transpose(1, 2), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
