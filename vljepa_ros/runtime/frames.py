"""Encodes many frames for `vljepa data`: on a GPU with torch, on a CPU with ONNX Runtime."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.runtime.export import write_graph
from vljepa_ros.runtime.graphs import frame_graph

Run = Callable[[NDArray[np.uint8]], NDArray[np.float16]]


class FrameEncoder:
    """An X-Encoder that looks at one frame at a time, on a GPU where there is one.

    On a CPU, ONNX Runtime takes three fifths of torch's time. Its tokens differ from torch's by
    less than the rounding of the float16 that they are stored in.

    Args:
        x_encoder: with its weights.
        image_size: S, side of the frames in pixels.

    Attributes:
        shape: (N, C), the tokens of a frame.
        image_size: as given.
        fingerprint: of the X-Encoder.
        batch: frames that are best encoded together.
    """

    def __init__(self, x_encoder: XEncoder, image_size: int) -> None:
        self.image_size = image_size
        self.fingerprint = x_encoder.fingerprint()
        self.shape = (x_encoder.tokens_per_frame, x_encoder.token_dim)
        if torch.cuda.is_available():
            self._run, self.batch = _on_gpu(x_encoder), 256
        else:
            # Small batches stay in the processor's cache.
            self._run, self.batch = _on_cpu(x_encoder, image_size), 4

    def __call__(self, frames: NDArray[np.uint8]) -> NDArray[np.float16]:
        """(F, S, S, 3) uint8 RGB to visual tokens (F, N, C)."""
        return self._run(frames)


def _on_cpu(x_encoder: XEncoder, image_size: int) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x_encoder.onnx"
        write_graph(frame_graph(x_encoder, image_size), path)
        session = InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(frames: NDArray[np.uint8]) -> NDArray[np.float16]:
        tokens: NDArray[np.float32] = session.run(["tokens"], {"frames": frames})[0]
        return tokens.astype(np.float16)

    return run


def _on_gpu(x_encoder: XEncoder) -> Run:
    x_encoder = copy.deepcopy(x_encoder).to("cuda").eval()

    @torch.inference_mode()
    def run(frames: NDArray[np.uint8]) -> NDArray[np.float16]:
        pictures = torch.from_numpy(frames).to("cuda").permute(0, 3, 1, 2)
        # cuDNN's TF32 would cost more than the rounding to float16.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            tokens = x_encoder.encode_frames(pictures)
        return tokens.half().cpu().numpy()

    return run
