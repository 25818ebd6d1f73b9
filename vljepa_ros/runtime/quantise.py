"""Turns exported graphs into less precise ones, with ONNX Runtime's own tools."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import EngineError
from vljepa_ros.runtime.backend import EngineInfo
from vljepa_ros.runtime.parity import clip_frames, reference_times

_FIRST = 6  # convolutions that stay in fp32: EfficientNet's, of its largest maps
_CALIBRATION = np.arange(0.0, 43.0, 0.7).tolist()  # s of the demo's clip
# Weights have seven of the eight bits: an x86 without VNNI adds two products of bytes in 16 bits,
# which would overflow. So one export gives the same numbers on every processor.
_SEVEN_BITS: dict[str, Any] = {"per_channel": True, "reduce_range": True}


def quantise(folder: Path, precision: str, info: EngineInfo) -> None:
    """Replace the graphs of an exported folder by less precise ones.

    Args:
        folder: with graphs in fp32.
        precision: "fp32", which changes nothing; "fp16"; or "int8".
        info: of the model. An X-Encoder that takes single frames is made of convolutions.

    Raises:
        EngineError: another precision, or a library is missing.
    """
    if precision == "fp32":
        return
    if precision not in ("fp16", "int8"):
        raise EngineError(f"a model is exported in fp32, fp16 or int8, not in {precision!r}")
    for path in sorted(folder.glob("*.onnx")):
        part = path.with_suffix(".part")
        with _quietly():
            if precision == "fp16":
                _halve(path, part)
            elif path.stem == "x_encoder" and info.frame_tokens is not None:
                _calibrate(path, part, clip_frames(calibration_times(info), info.input_width))
            else:
                _shrink(path, part)
        part.replace(path)


def calibration_times(info: EngineInfo) -> list[float]:
    """Seconds of the clip that are a period or more from all that the result is compared on."""
    compared = np.array(reference_times(info))
    return [t for t in _CALIBRATION if np.abs(compared - t).min() >= info.window_period]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what ONNX Runtime's tools print and advise, which is not for who starts a robot."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)


def _halve(path: Path, made: Path) -> None:
    """All weights in fp16, the inputs and outputs as they were."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    half = convert_float_to_float16(onnx.load(path), keep_io_types=True)
    onnx.save(half, made)


def _shrink(path: Path, made: Path) -> None:
    """Weights of the matrix products in int8; what comes in is scaled as it comes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.registry import IntegerOpsRegistry

    # ONNX Runtime 1.23, the last for Python 3.10, cannot run a convolution of clips in int8.
    kinds = [kind for kind in IntegerOpsRegistry if kind != "Conv"]
    quantize_dynamic(
        path, made, op_types_to_quantize=kinds, weight_type=QuantType.QInt8, **_SEVEN_BITS
    )


def _calibrate(path: Path, made: Path, frames: NDArray[np.uint8]) -> None:
    """Weights and activations of the convolutions in int8, by what frames of a clip make them.

    The first ones stay as they are: they cost little, and most of the error would be theirs. So
    does what follows the last: of one scale for all that a token has, the numbers of the maps, up
    to 50, would leave nothing of those of the class tokens, below 0.3.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folded = path.with_suffix(".folded")
    quant_pre_process(path, folded, skip_symbolic_shape=True)
    quantize_static(
        folded,
        made,
        _Frames(folded, frames),
        op_types_to_quantize=["Conv", "Clip", "Pad", "Add"],
        nodes_to_exclude=_kept(onnx.load(folded).graph),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        **_SEVEN_BITS,
    )
    folded.unlink()


def _kept(graph: Any) -> list[str]:
    """Names of the nodes of an X-Encoder that stay in fp32."""
    kinds = [node.op_type for node in graph.node]
    convolutions = [place for place, kind in enumerate(kinds) if kind == "Conv"]
    first = graph.node[: convolutions[_FIRST - 1] + 1]
    weights = {tensor.name for tensor in graph.initializer}
    # An addition of weights is the bias of a matrix product; others join feature maps.
    biases = [n for n in graph.node if n.op_type == "Add" and weights & {*n.input}]
    return [node.name for node in [*first, *biases]]


class _Frames:
    """Calibration data as ONNX Runtime reads them."""

    def __init__(self, path: Path, frames: NDArray[np.uint8]) -> None:
        from onnxruntime import InferenceSession

        (wanted,) = InferenceSession(str(path)).get_inputs()
        self._name = wanted.name
        self._frames: Iterator[NDArray[np.uint8]] = iter(frames)

    def get_next(self) -> dict[str, Any] | None:
        frame = next(self._frames, None)
        return None if frame is None else {self._name: frame[None]}
