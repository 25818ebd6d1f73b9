"""Chooses and loads the backend of an engine."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vljepa_ros.errors import CheckpointError, EngineError, VljepaError
from vljepa_ros.runtime.backend import Backend, EngineConfig
from vljepa_ros.runtime.exported import (
    EXPORT_FILE,
    DamagedExportError,
    exported_folder,
    forget_unused,
    is_exportable,
    locked,
)
from vljepa_ros.runtime.parity import drift, make_reference, read_reference, too_far
from vljepa_ros.runtime.providers import check_device

_log = logging.getLogger(__name__)

# Fastest first, by benchmarks/engine.py. torch is no faster in less than fp32 on a CPU. bf16 is
# there for encoders that overflow in fp16, such as EmbeddingGemma.
_PRECISIONS = {
    ("onnx", "cpu"): ("int8", "fp32"),
    ("onnx", "gpu"): ("fp16", "fp32"),
    ("torch", "cpu"): ("fp32",),
    ("torch", "gpu"): ("fp16", "bf16", "fp32"),
}
_LACKS = {"onnx": ("bf16",), "torch": ("int8",)}


def load_backend(checkpoint: Path, config: EngineConfig) -> Backend:
    """Load a checkpoint as `config` says, and check what it computes.

    Of what `config` leaves open ("auto"), the fastest that works and passes the check is taken;
    then the CPU, where that may take over; and last what drifts, where that is allowed. Where
    ONNX Runtime is wanted and the model was not exported yet, it is, once; a model that cannot be
    exported, a dual encoder, is left to torch. Only the parts that `config` names are compared
    and kept.

    Raises:
        CheckpointError: the model is missing or damaged.
        EngineError: it cannot be run as asked, or drifts from torch in fp32.
    """
    if config.backend == "auto" and not is_exportable(checkpoint):
        config = replace(config, backend="torch")
    reasons: dict[str, None] = {}
    drifted: EngineConfig | None = None
    for how in _choices(config):
        try:
            backend, fault = _compared(checkpoint, how)
        except CheckpointError:
            raise
        except EngineError as error:
            reasons[str(error)] = None
            continue
        except Exception as error:  # each library has errors of its own, for a driver or a memory
            _log.debug("%s", how, exc_info=True)
            reasons[f"{how.backend} cannot run it on {how.device} ({error!r})"] = None
            continue
        if not fault:
            break
        reasons[fault] = None
        if config.allow_drift and drifted is None:
            drifted = how
        del backend  # or it would lie in memory beside the next one
    else:
        if drifted is None:
            raise EngineError("; ".join(reasons))
        backend, _ = _load(checkpoint, drifted)
    if reasons:
        backend.info = replace(backend.info, fallback="; ".join(reasons))
    backend.keep(config.parts)
    return backend


def _choices(config: EngineConfig) -> list[EngineConfig]:
    """What a configuration allows, best first."""
    falls_back = config.allow_fallback and config.device != "cpu"
    return [
        replace(config, device=device, backend=backend, precision=precision)
        for device in ((config.device, "cpu") if falls_back else (config.device,))
        for backend in (("onnx", "torch") if config.backend == "auto" else (config.backend,))
        for precision in (
            _PRECISIONS[backend, "cpu" if device == "cpu" else "gpu"]
            if config.precision == "auto"
            else (config.precision,)
        )
        if config.backend != "auto" or precision not in _LACKS[backend]
    ]


def _compared(checkpoint: Path, config: EngineConfig) -> tuple[Backend, str]:
    """A backend, and which of its parts have drifted too far; empty if none has.

    An export of which a file is damaged is made once more.
    """
    try:
        return _loaded_and_compared(checkpoint, config)
    except DamagedExportError as error:
        _log.warning("%s; it is exported again", error)
        error.remove()
    return _loaded_and_compared(checkpoint, config)


def _loaded_and_compared(checkpoint: Path, config: EngineConfig) -> tuple[Backend, str]:
    backend, reference = _load(checkpoint, config)
    if reference is None:
        return backend, ""
    return backend, too_far(backend.info, drift(backend, reference, config.parts))


def _load(
    checkpoint: Path, config: EngineConfig
) -> tuple[Backend, Mapping[str, NDArray[Any]] | None]:
    """A backend, and what to compare it with; None where it is the reference itself."""
    return {"onnx": _load_onnx, "torch": _load_torch}[config.backend](checkpoint, config)


def prepare(checkpoint: Path, precision: str) -> Path:
    """Export a checkpoint unless that was done; the folder.

    Raises:
        CheckpointError: the model is missing or damaged.
        EngineError: it cannot be exported.
    """
    folder = exported_folder(checkpoint, precision)
    if (folder / EXPORT_FILE).is_file():
        with suppress(OSError):  # a cache that is not to be written, or of another user
            os.utime(folder / EXPORT_FILE)  # it is in use: see `forget_unused`
        return folder
    try:
        from vljepa_ros.runtime.export import export

        # Several nodes start at once: one exports, the others wait for it.
        with locked(folder):
            if not (folder / EXPORT_FILE).is_file():
                _log.warning("exporting %s once, into %s", checkpoint.name, folder)
                export(checkpoint, folder, precision)
                forget_unused(folder)
    except VljepaError:
        raise
    except Exception as error:  # torch's exporter, onnx and protobuf have many kinds
        hint = ""
        if isinstance(error, ImportError):
            hint = "; install torch and onnx"
        elif isinstance(error, OSError):
            hint = "; set XDG_CACHE_HOME to a folder with space that can be written"
        raise EngineError(
            f"{checkpoint.name} cannot be exported into {folder} ({error}){hint}"
        ) from error
    return folder


def _load_onnx(
    checkpoint: Path, config: EngineConfig
) -> tuple[Backend, Mapping[str, NDArray[Any]]]:
    from vljepa_ros.runtime.onnx_backend import OnnxBackend

    if config.precision == "bf16":
        raise EngineError("ONNX Runtime does not run bf16; use the backend torch")
    check_device(config.device)  # before anything is exported for it
    folder = prepare(checkpoint, config.precision)
    return OnnxBackend(folder, config), read_reference(folder)


def _load_torch(
    checkpoint: Path, config: EngineConfig
) -> tuple[Backend, Mapping[str, NDArray[Any]] | None]:
    try:
        from vljepa_ros.runtime.torch_backend import TorchBackend
    except ImportError as error:
        raise EngineError(f"torch cannot be imported ({error}); install it") from error

    backend = TorchBackend(checkpoint, config)
    if config.precision == "fp32":
        return backend, None
    # On its own device: a CPU would take minutes for the full-size model.
    return backend, make_reference(backend.in_fp32())
