"""How large each part of a model is, without its weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn

from vljepa_ros.model.config import VLJEPAConfig
from vljepa_ros.model.vljepa import VLJEPA


@dataclass(frozen=True)
class PartInfo:
    """A part, its kind, and its parameters: all of them, and those that training changes."""

    name: str
    kind: str
    parameters: int
    trained: int


def describe(config: VLJEPAConfig) -> list[PartInfo]:
    """The parts of a model in the order in which data passes, built on torch's meta device.

    A table that the query shares with the Y-Encoder counts there.
    """
    with torch.device("meta"):
        model = VLJEPA(config)
    trained = model.trained_state().keys()
    parts = []
    shared = set(model.y_encoder.parameters()) & set(model.query.parameters())
    for name in ("x_encoder", "query", "predictor", "y_encoder", "y_decoder"):
        part: nn.Module = getattr(model, name)
        own = {k: p for k, p in part.named_parameters() if name == "y_encoder" or p not in shared}
        parts.append(
            PartInfo(
                name,
                type(part).__name__,
                sum(p.numel() for p in own.values()),
                sum(p.numel() for k, p in own.items() if f"{name}.{k}" in trained),
            )
        )
    return parts


def published_weights(config: VLJEPAConfig) -> list[str]:
    """Hub names or folders of all published weights that a model is made of, each once."""
    parts = [part for part in asdict(config).values() if isinstance(part, dict)]
    return sorted({part["weights"] for part in parts if part.get("weights")})
