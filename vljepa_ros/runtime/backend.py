"""What an engine needs of the library that computes, and how one is chosen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import EngineError

BACKENDS = ("auto", "onnx", "torch")
PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")
PARTS = ("x_encoder", "predictor", "y_encoder", "y_decoder")


@dataclass(frozen=True)
class EngineConfig:
    """How a model is to be run.

    Attributes:
        backend: "torch"; "onnx", ONNX Runtime; or "auto", the faster of them that passes the
            parity check.
        device: "cpu", "cuda:0", or for ONNX Runtime "tensorrt:0".
        precision: "fp32", "fp16", "bf16" (torch only), "int8" (ONNX Runtime only), or "auto",
            the fastest that passes the parity check.
        allow_fallback: run on the CPU if the device is unavailable.
        allow_drift: run although the parity check fails.
        parts: those of `PARTS` that will be used; only they are compared, and kept in memory.

    Raises:
        EngineError: a value that is not among these.
    """

    backend: str = "torch"
    device: str = "cpu"
    precision: str = "fp32"
    allow_fallback: bool = False
    allow_drift: bool = False
    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        for name, allowed in (("backend", BACKENDS), ("precision", PRECISIONS)):
            value = getattr(self, name)
            if value not in allowed:
                raise EngineError(f"{name} is one of {', '.join(allowed)}, not {value!r}")
        if unknown := sorted(set(self.parts) - set(PARTS)):
            raise EngineError(f"parts are of {', '.join(PARTS)}, not {unknown}")


FASTEST = EngineConfig(backend="auto", precision="auto")  # the nodes' defaults


@dataclass(frozen=True)
class EngineInfo:
    """What runs. Sizes in pixels, `window_period` in seconds.

    Attributes:
        frame_tokens: (N, C), what `encode_frames` makes of a frame; None where frames are
            encoded as windows, and for a dual encoder.
        fallback: why something else runs than was asked for, or how it drifts from torch in
            fp32; empty if neither is so.
        temperature: of the softmax over candidates' cosines.
    """

    model_id: str
    name: str
    weights_sha256: str
    embedding_dim: int
    normalized: bool
    conditioned: bool  # by the query
    decodes: bool
    input_width: int
    input_height: int
    window_frames: int
    window_period: float
    frame_tokens: tuple[int, int] | None
    backend: str
    device: str
    precision: str
    fallback: str = ""
    temperature: float = 0.07


class Backend(Protocol):
    """A model, loaded by one library. All arrays lie in the host's memory."""

    info: EngineInfo

    def encode_frames(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """What is done once a frame: (F, S, S, 3) uint8 RGB to (F, ...).

        The frames themselves where the X-Encoder looks at whole windows.
        """

    def encode_window(self, window: NDArray[Any]) -> NDArray[Any]:
        """What is done once a window: (T, ...) of `encode_frames` to visual tokens (T', ...)."""

    def predict(self, tokens: NDArray[Any], queries: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings (Q, D), L2-normalised, of the visual tokens of a window."""

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings (B, D), L2-normalised, of texts."""

    def decode(self, embeddings: NDArray[np.float32]) -> tuple[list[str], NDArray[np.float32]]:
        """Texts of embeddings (B, D), and their probabilities (B,)."""

    def keep(self, parts: Collection[str]) -> None:
        """Free the memory of all other parts of `PARTS`, which nobody will use."""
