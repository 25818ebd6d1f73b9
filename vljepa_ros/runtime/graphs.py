"""The parts of a VL-JEPA as graphs that take and give plain arrays, for `export.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model import VLJEPA
from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.model.y_decoder import CausalDecoder

# What a changing axis counts.
_FRAMES, _QUERIES, _TEXTS = "frames", "queries", "texts"
_LENGTH, _PAST, _ALL = "length", "past", "all"


@dataclass(frozen=True)
class Graph:
    """A module with example inputs by name, and what of their shapes may change.

    Attributes:
        module: takes the inputs in order.
        inputs: examples.
        outputs: names.
        dynamic: by the name of an input or output, axes and what they count.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: Mapping[str, Mapping[int, str]]


class _FrameEncoder(nn.Module):
    """(F, S, S, 3) uint8 RGB to the visual tokens of each frame by itself (F, N, C)."""

    def __init__(self, x_encoder: XEncoder) -> None:
        super().__init__()
        self.x_encoder = x_encoder

    def forward(self, frames: Tensor) -> Tensor:
        return self.x_encoder.encode_frames(frames.permute(0, 3, 1, 2))


class _WindowEncoder(_FrameEncoder):
    """(T, S, S, 3) uint8 RGB, one window, to its visual tokens (T', N, C)."""

    def forward(self, frames: Tensor) -> Tensor:
        tokens: Tensor = self.x_encoder(super().forward(frames).unsqueeze(0))
        return tokens.squeeze(0)


class _Predictor(nn.Module):
    """Tokens (T', N, C), query (Q, L, E) and its mask (Q, L) to embeddings (Q, D)."""

    def __init__(self, model: VLJEPA) -> None:
        super().__init__()
        self.predictor = model.predictor

    def forward(self, tokens: Tensor, query: Tensor, mask: Tensor) -> Tensor:
        return F.normalize(self.predictor(tokens.unsqueeze(0), query, mask), dim=-1)


class _YEncoder(nn.Module):
    """Token numbers (B, L) and their mask (B, L) to embeddings (B, D)."""

    def __init__(self, model: VLJEPA) -> None:
        super().__init__()
        self.y_encoder = model.y_encoder

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.y_encoder.embed(self.y_encoder.states(ids, mask), mask)


class _Prefix(nn.Module):
    """Embeddings (B, D) to what the Y-Decoder reads first (B, P, W)."""

    def __init__(self, decoder: CausalDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.decoder.read(embeddings)


class _Step(nn.Module):
    """See `CausalDecoder.step`."""

    def __init__(self, decoder: CausalDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoder.step(x, past)


def frame_graph(x_encoder: XEncoder, image_size: int, frames: int = 4) -> Graph:
    """The graph of an X-Encoder that looks at one frame at a time.

    Args:
        x_encoder: with its weights.
        image_size: side of the frames in pixels.
        frames: of the example.
    """
    changing = {0: _FRAMES}
    return Graph(
        _FrameEncoder(x_encoder),
        {"frames": _pictures(frames, image_size)},
        ("tokens",),
        {"frames": changing, "tokens": changing},
    )


def _pictures(count: int, size: int) -> Tensor:
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8)


def graphs(model: VLJEPA) -> dict[str, Graph]:
    """The graphs of a model, by the names that their files get."""
    if model.x_encoder.frame_wise:
        encoder = frame_graph(model.x_encoder, model.image_size, model.window.frames)
    else:
        frames = _pictures(model.window.frames, model.image_size)
        encoder = Graph(_WindowEncoder(model.x_encoder), {"frames": frames}, ("tokens",), {})
    with torch.inference_mode():
        tokens = encoder.module(encoder.inputs["frames"])
    query, mask = torch.randn(2, 5, model.query.dim), torch.ones(2, 5, dtype=torch.bool)
    asked = {0: _QUERIES, 1: _LENGTH}
    told = {0: _TEXTS, 1: _LENGTH}
    made = {
        "x_encoder": encoder,
        "predictor": Graph(
            _Predictor(model),
            {"tokens": tokens, "query": query, "mask": mask},
            ("embeddings",),
            {"query": asked, "mask": asked, "embeddings": {0: _QUERIES}},
        ),
        "y_encoder": Graph(
            _YEncoder(model),
            {"ids": torch.ones(2, 5, dtype=torch.long), "mask": mask},
            ("embeddings",),
            {"ids": told, "mask": told, "embeddings": {0: _TEXTS}},
        ),
    }
    if model.decodes:
        made |= _decoder_graphs(model.y_decoder, model.embedding_dim)
    return made


def _decoder_graphs(decoder: nn.Module, embedding_dim: int) -> dict[str, Graph]:
    assert isinstance(decoder, CausalDecoder)
    embeddings = torch.randn(2, embedding_dim)
    past = decoder.transformer.no_past(2)
    with torch.inference_mode():
        x = decoder.read(embeddings)
        past = decoder.step(x, past)[1]
    return {
        "y_decoder_prefix": Graph(
            _Prefix(decoder),
            {"embeddings": embeddings},
            ("x",),
            {"embeddings": {0: _TEXTS}, "x": {0: _TEXTS}},
        ),
        "y_decoder": Graph(
            _Step(decoder),
            {"x": x, "past": past},
            ("logits", "present"),
            {
                "x": {0: _TEXTS, 1: _LENGTH},
                "past": {2: _TEXTS, 4: _PAST},
                "logits": {0: _TEXTS},
                "present": {2: _TEXTS, 4: _ALL},
            },
        ),
    }
