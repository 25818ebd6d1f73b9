"""Where exported models lie, and what they are."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from vljepa_ros.errors import EngineError

EXPORT_FILE = "export.json"
FORMAT = "vljepa-onnx-1"
MOST = {"frames": 8, "queries": 16}  # that run together: for so many TensorRT's engines are built
_PACKAGE = Path(__file__).resolve().parents[1]
_CODE = ("model/*.py", "runtime/*.py", "tokenizer.py", "demo/tabletop.mp4")
_UNUSED = 90 * 24 * 3600  # s after which an export is taken for one of an earlier version
_SMALL = 32 << 20  # bytes of a frozen part's file, up to which it is read at every start


class DamagedExportError(EngineError):
    """A file of an export is missing or cannot be read, as after a power cut.

    Args:
        path: of the file.
        why: what the library says that read it.
    """

    def __init__(self, path: Path, why: object) -> None:
        super().__init__(f"{path} cannot be read ({why}); delete {path.parent} and start again")
        self._path = path
        self._found = _identity(path)

    def remove(self) -> None:
        """Delete the export, unless another process has made it anew meanwhile."""
        folder = self._path.parent
        with suppress(OSError), locked(folder):  # else who exports it again says why not
            if _identity(self._path) == self._found:
                shutil.rmtree(folder)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """While a file of an export is read.

    Raises:
        DamagedExportError: whatever was raised, of which each library has kinds of its own.
        MemoryError: as it is; the file may be sound.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise DamagedExportError(path, error) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """While an export is made or deleted, which other processes wait for.

    Raises:
        OSError: the cache cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another that takes its place; None where there is none."""
    with suppress(OSError):
        about = path.stat()
        return about.st_ino, about.st_mtime_ns
    return None


def cache_folder() -> Path:
    """Folder of what can be made again: of exported models and of TensorRT's engines."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vljepa_ros"


def exported_folder(checkpoint: Path, precision: str) -> Path:
    """Where the export of a checkpoint's folder belongs, made or not.

    It depends on all that an export is made from: weights, configuration, this code, the clip,
    and the folders of published weights that the configuration names. Of the large files of
    those only name, size and time of change count. What the hub has, a revision in the
    configuration pins.
    """
    code = sorted(path for pattern in _CODE for path in _PACKAGE.glob(pattern))
    made_from = [*sorted(checkpoint.glob("*.safetensors")), *checkpoint.glob("config.json"), *code]
    digest = hashlib.sha256(_sha256(made_from).encode())
    for path in _frozen(checkpoint):
        about = path.stat()
        small = about.st_size <= _SMALL
        state = _sha256([path]) if small else f"{about.st_size} {about.st_mtime_ns}"
        digest.update(f"{path.name} {state}\n".encode())
    key = f"{checkpoint.name}-{digest.hexdigest()[:16]}-{precision}"
    return cache_folder() / FORMAT / key


def unfinished(folder: Path) -> Path:
    """Where an export is made, before it gets its name."""
    return folder.with_name(f".export-{folder.name}")


def _frozen(checkpoint: Path) -> list[Path]:
    """Files in the folders of published weights that a configuration names, in order."""
    parts = [part for part in _config(checkpoint).values() if isinstance(part, dict)]
    named = {str(part["weights"]) for part in parts if part.get("weights")}
    folders = [Path(name).expanduser() for name in sorted(named)]
    patterns = ("*.safetensors", "*.json")
    return [path for folder in folders for kind in patterns for path in sorted(folder.glob(kind))]


def is_exportable(checkpoint: Path) -> bool:
    """Whether a folder holds a model of this package, and none of transformers (CLIP, SigLIP)."""
    return "model_type" not in _config(checkpoint)


def forget_unused(kept: Path) -> None:
    """Delete the exports, and what TensorRT made of them, unused or unfinished since long.

    Args:
        kept: an export that stays; those beside it are looked at.
    """
    of_killed = kept.parent.glob(unfinished(Path("*")).name)
    for file in [*kept.parent.glob(f"*/{EXPORT_FILE}"), *of_killed]:
        folder = file if file.is_dir() else file.parent
        with suppress(OSError):  # another process may delete it too
            if folder != kept and time.time() - file.stat().st_mtime > _UNUSED:
                shutil.rmtree(folder)
                shutil.rmtree(cache_folder() / "tensorrt" / folder.name)


def weights_sha256(checkpoint: Path) -> str:
    """SHA-256 of the weight file, or of all one after the other, in hexadecimal."""
    return _sha256(sorted(checkpoint.glob("*.safetensors")))


def _config(checkpoint: Path) -> dict[str, Any]:
    """Its configuration; empty where it cannot be read: who loads it says what is wrong."""
    try:
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _sha256(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def read_export(folder: Path) -> dict[str, Any]:
    """The description of an exported model.

    Raises:
        DamagedExportError: it is missing, damaged or of another format.
    """
    path = folder / EXPORT_FILE
    with reading(path):
        description = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise DamagedExportError(path, f"not of the format {FORMAT}")
    return description
