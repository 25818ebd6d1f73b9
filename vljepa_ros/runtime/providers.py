"""Where ONNX Runtime computes: its execution providers for a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vljepa_ros.errors import EngineError
from vljepa_ros.runtime.backend import EngineConfig
from vljepa_ros.runtime.exported import cache_folder

_CPU = "CPUExecutionProvider"
_NAMES = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}

Provider = str | tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Placement:
    """Where a model runs.

    Attributes:
        device: that it runs on.
        rest: providers of the parts that TensorRT does not take, best first.
        tensorrt: TensorRT's options; None where it does not run.
    """

    device: str
    rest: tuple[Provider, ...]
    tensorrt: Mapping[str, Any] | None = None

    def providers(self, profile: Mapping[str, str] | None) -> list[Provider]:
        """What to give to an InferenceSession.

        Args:
            profile: least, usual and largest shapes of a part that runs all the time. TensorRT
                builds one engine for all of them, where it would build again for each new shape.
                None for a part that runs now and then, with whatever shapes.
        """
        if self.tensorrt is None or profile is None:
            return list(self.rest)
        shapes = {f"trt_profile_{kind}_shapes": value for kind, value in profile.items()}
        return [(_NAMES["tensorrt"], {**self.tensorrt, **shapes}), *self.rest]


def place(folder: Path, config: EngineConfig) -> Placement:
    """Choose the providers for a device.

    Args:
        folder: of the exported model.
        config: device and precision.

    Raises:
        EngineError: ONNX Runtime is not installed, or cannot use the device.
    """
    check_device(config.device)
    kind, _, number = config.device.partition(":")
    if kind == "cpu":
        return Placement("cpu", (_CPU,))
    device_id = int(number or 0)
    tensorrt = _tensorrt(folder, device_id, config.precision) if kind == "tensorrt" else None
    rest: tuple[Provider, ...] = ((_NAMES["cuda"], {"device_id": device_id}), _CPU)
    return Placement(f"{kind}:{device_id}", rest, tensorrt)


def check_device(device: str) -> None:
    """Look whether ONNX Runtime was built for a device; what it finds there shows a session.

    Raises:
        EngineError: ONNX Runtime is not installed, or not for this device.
    """
    try:
        from onnxruntime import get_available_providers
    except ImportError as error:
        raise EngineError(f"ONNX Runtime cannot be imported ({error}); install it") from error
    kind, available = device.partition(":")[0], get_available_providers()
    if kind != "cpu" and _NAMES.get(kind) not in available:
        raise EngineError(
            f"ONNX Runtime cannot use the device {device!r}; it has {available}; set the "
            "parameter device to cpu, install an ONNX Runtime that supports it, or allow the CPU "
            "with runtime.allow_fallback"
        )


def _tensorrt(folder: Path, device_id: int, precision: str) -> dict[str, Any]:
    """TensorRT builds engines for minutes, so that they are kept.

    It names them by graph, precision, its version and the GPU's architecture; the folder adds
    the hash of weights and code.
    """
    kept = cache_folder() / "tensorrt" / folder.name
    kept.mkdir(parents=True, exist_ok=True)
    return {
        "device_id": device_id,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(kept),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(kept),
        "trt_fp16_enable": precision == "fp16",
        "trt_int8_enable": precision == "int8",
    }
