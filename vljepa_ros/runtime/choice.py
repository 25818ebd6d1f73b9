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

_log = logging.getLogger(__name__)


def load_backend(checkpoint: Path, config: EngineConfig) -> Backend:
    """Load a checkpoint with the library that `config` names, and check what it computes.

    Where ONNX Runtime is wanted and the model was not exported yet, it is, once.

    Raises:
        CheckpointError: the model is missing or damaged.
        EngineError: it cannot be run as asked, or drifts from torch in fp32.
    """
    if config.backend == "torch":
        return _load_torch(checkpoint, config)
    if config.backend == "onnx":
        return _load_onnx(checkpoint, config)
    # What is allowed as a last resort is not taken before the other library was tried.
    strict = replace(config, allow_fallback=False, allow_drift=False)
    reasons: list[str] = []
    for how in dict.fromkeys((strict, config)):
        for load in (_load_onnx, _load_torch):
            try:
                backend = load(checkpoint, how)
            except EngineError as error:
                reasons.append(str(error))
                continue
            if reasons:
                backend.info = replace(backend.info, fallback="; ".join(dict.fromkeys(reasons)))
            return backend
    raise EngineError("; ".join(dict.fromkeys(reasons)))


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
