"""Where exported models lie, and what they are."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from vljepa_ros.errors import EngineError

EXPORT_FILE = "export.json"
FORMAT = "vljepa-onnx-1"
_PACKAGE = Path(__file__).resolve().parents[1]
_CODE = ("model", "runtime")


def cache_folder() -> Path:
    """Folder of what can be made again: of exported models and of TensorRT's engines."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vljepa_ros"


def exported_folder(checkpoint: Path, precision: str) -> Path:
    """Where the export of a checkpoint's folder belongs, made or not.

    It depends on all that an export is made from: weights, configuration and this code.
    """
    code = sorted(path for folder in _CODE for path in (_PACKAGE / folder).glob("*.py"))
    made_from = [*sorted(checkpoint.glob("*.safetensors")), *checkpoint.glob("config.json"), *code]
    key = f"{checkpoint.name}-{_sha256(made_from)[:16]}-{precision}"
    return cache_folder() / FORMAT / key


def weights_sha256(checkpoint: Path) -> str:
    """SHA-256 of the weight file, or of all one after the other, in hexadecimal."""
    return _sha256(sorted(checkpoint.glob("*.safetensors")))


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
        EngineError: it is missing, damaged or of another format.
    """
    path = folder / EXPORT_FILE
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} cannot be read ({error}); delete {folder}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise EngineError(f"{path} is not of the format {FORMAT}; delete {folder}")
    return description
