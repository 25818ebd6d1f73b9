"""Chooses and loads the backend of an engine."""

from __future__ import annotations

import logging
from dataclasses import replace
from fcntl import LOCK_EX, flock
from pathlib import Path

from vljepa_ros.errors import EngineError
from vljepa_ros.runtime.backend import Backend, EngineConfig
from vljepa_ros.runtime.exported import EXPORT_FILE, exported_folder
from vljepa_ros.runtime.parity import check, make_reference, read_reference

_log = logging.getLogger(__name__)


def load_backend(checkpoint: Path, config: EngineConfig) -> Backend:
    """Load a checkpoint with the library that `config` names, and check what it computes.

    Where ONNX Runtime is wanted and the model was not exported yet, it is, once.

    Raises:
        CheckpointError: the model is missing or damaged.
        EngineError: it cannot be run as asked, or drifts from torch in fp32.
    """
    if config.backend == "torch" or (config.backend == "auto" and config.precision == "bf16"):
        return _load_torch(checkpoint, config)
    try:
        return _load_onnx(checkpoint, config)
    except (EngineError, ImportError) as error:
        if config.backend != "auto" or config.precision == "int8":
            raise
        _log.info("torch runs the model: %s", error)
        backend = _load_torch(checkpoint, config)
        backend.info = replace(backend.info, fallback=f"not with ONNX Runtime: {error}")
        return backend


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
    except ImportError as error:
        raise EngineError(f"it cannot be exported here: {error}") from error
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Several nodes start at once: one exports, the others wait for it.
    with folder.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not (folder / EXPORT_FILE).is_file():
            _log.warning("exporting %s once, into %s", checkpoint.name, folder)
            export(checkpoint, folder, precision)
    return folder


def _load_onnx(checkpoint: Path, config: EngineConfig) -> Backend:
    from vljepa_ros.runtime.onnx_backend import OnnxBackend

    folder = prepare(checkpoint, config.precision)
    backend = OnnxBackend(folder, config)
    if not config.allow_drift:
        check(backend, read_reference(folder))
    return backend


def _load_torch(checkpoint: Path, config: EngineConfig) -> Backend:
    from vljepa_ros.runtime.torch_backend import TorchBackend

    backend = TorchBackend(checkpoint, config)
    exact = config.precision == "fp32" and backend.info.device == "cpu"
    if not exact and not config.allow_drift:
        check(backend, make_reference(TorchBackend(checkpoint, EngineConfig())))
    return backend
