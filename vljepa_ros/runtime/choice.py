"""Chooses and loads the backend of an engine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vljepa_ros.errors import EngineError
from vljepa_ros.runtime.backend import Backend, EngineConfig
from vljepa_ros.runtime.exported import EXPORT_FILE, exported_folder
from vljepa_ros.runtime.parity import check, make_reference, read_reference
from vljepa_ros.runtime.providers import check_device

_log = logging.getLogger(__name__)

# Fastest first, by benchmarks/engine.py. torch is no faster in less than fp32 on a CPU.
_PRECISIONS = {
    ("onnx", "cpu"): ("int8", "fp32"),
    ("onnx", "gpu"): ("fp16", "fp32"),
    ("torch", "cpu"): ("fp32",),
    ("torch", "gpu"): ("fp16", "fp32"),
}


def load_backend(checkpoint: Path, config: EngineConfig) -> Backend:
    """Load a checkpoint with the library that `config` names, and check what it computes.

    Of what `config` leaves open ("auto"), the fastest that passes the check is taken. Where ONNX
    Runtime is wanted and the model was not exported yet, it is, once.

    Raises:
        CheckpointError: the model is missing or damaged.
        EngineError: it cannot be run as asked, or drifts from torch in fp32.
    """
    choices = _choices(config)
    if len(choices) == 1:
        return _load(checkpoint, choices[0])
    # What is allowed as a last resort is not taken before all others were tried.
    strict = replace(config, allow_fallback=False, allow_drift=False)
    reasons: dict[str, None] = {}
    for how in dict.fromkeys((*_choices(strict), *choices)):
        try:
            backend = _load(checkpoint, how)
        except EngineError as error:
            reasons[str(error)] = None
            continue
        if reasons:
            backend.info = replace(backend.info, fallback="; ".join(reasons))
        return backend
    raise EngineError("; ".join(reasons))


def _choices(config: EngineConfig) -> list[EngineConfig]:
    """What a configuration leaves open, fastest first."""
    processor = "cpu" if config.device == "cpu" or config.allow_fallback else "gpu"
    return [
        replace(config, backend=backend, precision=precision)
        for backend in (("onnx", "torch") if config.backend == "auto" else (config.backend,))
        for precision in (
            _PRECISIONS[backend, processor] if config.precision == "auto" else (config.precision,)
        )
    ]


def _load(checkpoint: Path, config: EngineConfig) -> Backend:
    return {"onnx": _load_onnx, "torch": _load_torch}[config.backend](checkpoint, config)


def prepare(checkpoint: Path, precision: str) -> Path:
    """Export a checkpoint unless that was done; the folder.

    Raises:
        CheckpointError: the model is missing or damaged.
        EngineError: it cannot be exported.
    """
    folder = exported_folder(checkpoint, precision)
    if (folder / EXPORT_FILE).is_file():
        return folder
    try:
        from vljepa_ros.runtime.export import export

        folder.parent.mkdir(parents=True, exist_ok=True)
        # Several nodes start at once: one exports, the others wait for it.
        with folder.with_suffix(".lock").open("w") as lock:
            flock(lock, LOCK_EX)
            if not (folder / EXPORT_FILE).is_file():
                _log.warning("exporting %s once, into %s", checkpoint.name, folder)
                export(checkpoint, folder, precision)
    except (ImportError, OSError, RuntimeError) as error:  # torch's exporter has the last
        raise EngineError(
            f"{checkpoint.name} cannot be exported into {folder} ({error}); install torch and "
            "onnx, and set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return folder


def _load_onnx(checkpoint: Path, config: EngineConfig) -> Backend:
    from vljepa_ros.runtime.onnx_backend import OnnxBackend

    if config.precision == "bf16":
        raise EngineError("ONNX Runtime does not run bf16; use the backend torch")
    check_device(config)  # before anything is exported for it
    folder = prepare(checkpoint, config.precision)
    return _checked(OnnxBackend(folder, config), read_reference(folder), config)


def _load_torch(checkpoint: Path, config: EngineConfig) -> Backend:
    from vljepa_ros.runtime.torch_backend import TorchBackend

    backend = TorchBackend(checkpoint, config)
    if config.precision == "fp32" and backend.info.device == "cpu":
        return backend
    reference = make_reference(TorchBackend(checkpoint, EngineConfig()))
    return _checked(backend, reference, config)


def _checked(
    backend: Backend, reference: Mapping[str, NDArray[Any]], config: EngineConfig
) -> Backend:
    try:
        check(backend, reference)
    except EngineError as error:
        if not config.allow_drift:
            raise
        told = "; ".join(filter(None, (backend.info.fallback, str(error))))
        backend.info = replace(backend.info, fallback=told)
    return backend
