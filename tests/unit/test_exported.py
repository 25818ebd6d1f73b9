"""Where an export belongs: what makes another one of it."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from vljepa_ros.runtime import exported
from vljepa_ros.runtime.exported import exported_folder
from vljepa_ros.runtime.testing import random_checkpoint


def test_an_export_belongs_to_all_that_it_is_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "llama"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"old")
    (weights / "tokenizer.json").write_text("{}")
    folder = random_checkpoint(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["query"] = {"kind": "llama", "weights": str(weights)}
    (folder / "config.json").write_text(json.dumps(config))
    made = [exported_folder(folder, "int8")]
    assert exported_folder(folder, "int8") == made[0]

    def changes() -> bool:
        made.append(exported_folder(folder, "int8"))
        return made[-1] not in made[:-1]

    (weights / "model.safetensors").write_bytes(b"new")
    assert changes()
    (weights / "tokenizer.json").write_text("[]")
    assert changes()
    (folder / "model.safetensors").write_bytes(b"trained")
    assert changes()
    monkeypatch.setattr(exported, "_SMALL", 2)  # bytes: now the weights are large
    assert changes()
    os.utime(weights / "model.safetensors", ns=(1, 1))
    assert changes()
    package = shutil.copytree(
        Path(exported.__file__).parents[1], tmp_path / "package", ignore=_only_code_and_clip
    )
    monkeypatch.setattr(exported, "_PACKAGE", package)
    assert exported_folder(folder, "int8") == made[-1]
    for file in ("demo/tabletop.mp4", "tokenizer.py", "model/tokenizer.py", "runtime/parity.py"):
        with (package / file).open("ab") as code:
            code.write(b"#")
        assert changes()


def test_exports_that_nobody_uses_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    exports, engines = exported.cache_folder() / "format", exported.cache_folder() / "tensorrt"
    for name, age in (("old", 100), ("used", 80), ("new", 0), ("kept", 100)):
        (exports / name).mkdir(parents=True)
        (engines / name).mkdir(parents=True)
        file = exports / name / exported.EXPORT_FILE
        file.write_text("{}")
        then = time.time() - age * 24 * 3600
        os.utime(file, (then, then))
    for name, age in (("old", 100), ("new", 0)):  # whose export was killed
        part = exported.unfinished(exports / name)
        part.mkdir()
        then = time.time() - age * 24 * 3600
        os.utime(part, (then, then))
    exported.forget_unused(exports / "kept")
    left = {"used", "new", "kept", exported.unfinished(exports / "new").name}
    assert {path.name for path in exports.iterdir()} == left
    assert {path.name for path in engines.iterdir()} == {"used", "new", "kept"}


def _only_code_and_clip(folder: str, names: list[str]) -> set[str]:
    return {n for n in names if Path(n).suffix not in ("", ".py", ".mp4") or n == "weights"}
