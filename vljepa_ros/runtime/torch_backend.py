"""Runs a model with PyTorch: any of them, on CPU and CUDA."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vljepa_ros.errors import EngineError
from vljepa_ros.model import VLJEPA
from vljepa_ros.model.checkpoint import load_model
from vljepa_ros.model.dual_encoder import DualEncoder
from vljepa_ros.runtime.backend import PARTS, EngineConfig, EngineInfo
from vljepa_ros.runtime.exported import weights_sha256

_MODULES = {part: (part,) for part in PARTS} | {"predictor": ("predictor", "query")}
_TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchBackend:
    """See `Backend`.

    Below fp32 the weights stay in fp32 and torch's autocast chooses what is computed in less.

    Args:
        folder: of a checkpoint.
        config: with a precision that torch has.

    Raises:
        CheckpointError: a file is missing, damaged or does not fit.
        EngineError: the device or the precision cannot be used.
    """

    def __init__(self, folder: Path, config: EngineConfig) -> None:
        if config.precision not in _TYPES:
            raise EngineError(
                f"torch does not run {config.precision}; take fp32, fp16 or bf16, or, for a "
                "VL-JEPA, the backend onnx"
            )
        model, digest = load_model(folder), weights_sha256(folder)
        device = _place(model, config)
        self.model: VLJEPA | DualEncoder = model
        self._device = device
        self._type = _TYPES[config.precision]
        self._frame_wise = not isinstance(model, VLJEPA) or model.x_encoder.frame_wise
        self.info = EngineInfo(
            model_id=f"{model.name}@{digest[:12]}",
            name=model.name,
            weights_sha256=digest,
            embedding_dim=model.embedding_dim,
            normalized=True,
            conditioned=model.conditioned,
            decodes=model.decodes,
            input_width=model.image_size,
            input_height=model.image_size,
            window_frames=model.window.frames,
            window_period=model.window.period,
            frame_tokens=_frame_tokens(model),
            backend="torch",
            device=str(device),
            precision=config.precision,
            temperature=model.temperature,
        )

    def encode_frames(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """See `Backend`."""
        return self._encode(frames) if self._frame_wise else frames

    def encode_window(self, window: NDArray[Any]) -> NDArray[Any]:
        """See `Backend`."""
        if self._frame_wise:
            return window
        with self._running():
            tokens = self.model.encode_window(self._tensor(self._encode(window)).unsqueeze(0))
            return self._array(tokens.squeeze(0))

    def _encode(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        with self._running():
            # (F, H, W, 3) seen as (F, 3, H, W) is channels-last already.
            pictures = torch.from_numpy(frames).to(self._device).permute(0, 3, 1, 2)
            return self._array(self.model.encode_frames(pictures))

    def predict(self, tokens: NDArray[Any], queries: Sequence[str]) -> NDArray[np.float32]:
        """See `Backend`."""
        with self._running():
            return self._array(self.model.predict(self._tensor(tokens).unsqueeze(0), queries))

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Backend`."""
        with self._running():
            return self._array(self.model.encode_text(texts))

    def decode(self, embeddings: NDArray[np.float32]) -> tuple[list[str], NDArray[np.float32]]:
        """See `Backend`."""
        with self._running():
            texts, shares = self.model.decode(torch.from_numpy(embeddings).to(self._device))
            return texts, self._array(shares)

    def keep(self, parts: Collection[str]) -> None:
        """See `Backend`. A dual encoder stays whole."""
        if isinstance(self.model, VLJEPA):
            for part in set(PARTS) - set(parts):
                for module in _MODULES[part]:
                    delattr(self.model, module)
            torch.cuda.empty_cache()

    def in_fp32(self) -> TorchBackend:
        """The same weights on the same device, computing in fp32."""
        exact = copy.copy(self)
        exact._type = torch.float32
        exact.info = replace(self.info, precision="fp32")
        return exact

    @contextmanager
    def _running(self) -> Iterator[None]:
        less = self._type != torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, self._type, less):
            yield

    def _tensor(self, values: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(values).to(self._device, torch.float32)

    @staticmethod
    def _array(values: torch.Tensor) -> NDArray[Any]:
        return values.float().cpu().numpy()


def _place(model: VLJEPA | DualEncoder, config: EngineConfig) -> torch.device:
    """Move the model; the device that it is on then."""
    try:
        device = torch.device(config.device)
        model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise EngineError(
            f"torch cannot use the device {config.device!r} ({error}); set the parameter device "
            "to cpu, install a torch that supports it, or allow the CPU with "
            "runtime.allow_fallback"
        ) from error
    return device


def _frame_tokens(model: VLJEPA | DualEncoder) -> tuple[int, int] | None:
    if not isinstance(model, VLJEPA) or not model.x_encoder.frame_wise:
        return None
    return model.x_encoder.tokens_per_frame, model.x_encoder.token_dim
