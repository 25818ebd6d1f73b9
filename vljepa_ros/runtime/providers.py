"""ONNX Runtime's execution providers for a device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vljepa_ros.errors import EngineError
from vljepa_ros.runtime.backend import EngineConfig
from vljepa_ros.runtime.exported import cache_folder

_CPU = "CPUExecutionProvider"
_NAMES = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}

Provider = str | tuple[str, dict[str, Any]]


def providers(folder: Path, config: EngineConfig) -> tuple[list[Provider], str, str]:
    """What to give to an InferenceSession.

    Args:
        folder: of the exported model.
        config: device, precision, and whether the CPU may take over.

    Returns:
        The providers, best first; the device that they run on; and why that is not the one
        asked for, empty if it is.

    Raises:
        EngineError: ONNX Runtime is not installed, or cannot use the device.
    """
    try:
        from onnxruntime import get_available_providers
    except ImportError as error:
        raise EngineError(f"ONNX Runtime cannot be imported ({error}); install it") from error
    kind, _, number = config.device.partition(":")
    if kind == "cpu":
        return [_CPU], "cpu", ""
    available = get_available_providers()
    name = _NAMES.get(kind)
    if name is None or name not in available:
        reason = f"ONNX Runtime cannot use the device {config.device!r}; it has {available}"
        if not config.allow_fallback:
            raise EngineError(
                f"{reason}; set the parameter device to cpu, install an ONNX Runtime that "
                "supports it, or allow the CPU with runtime.allow_fallback"
            )
        return [_CPU], "cpu", reason
    device_id = int(number or 0)
    chosen: list[Provider] = [(_NAMES["cuda"], {"device_id": device_id}), _CPU]
    if kind == "tensorrt":
        chosen.insert(0, (name, _tensorrt(folder, device_id, config.precision)))
    return chosen, f"{kind}:{device_id}", ""


def _tensorrt(folder: Path, device_id: int, precision: str) -> dict[str, Any]:
    """TensorRT builds engines for minutes, so that they are kept.

    It names them by graph, shapes, precision, its version and the GPU's architecture; the
    folder adds the hash of the weights.
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
