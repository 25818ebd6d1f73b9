"""An export whose files are damaged, as after a power cut, is made once more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from vljepa_ros.errors import EngineError
from vljepa_ros.runtime import EngineConfig
from vljepa_ros.runtime.choice import load_backend, prepare
from vljepa_ros.runtime.exported import DamagedExportError, exported_folder
from vljepa_ros.runtime.parity import read_reference
from vljepa_ros.runtime.testing import random_checkpoint

ONNX = EngineConfig(backend="onnx")
WAYS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: os.truncate(path, 0),
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "halved": lambda path: os.truncate(path, path.stat().st_size // 2),
    "missing": Path.unlink,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("small"))


@pytest.fixture
def copied(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export in a cache of its own. To make it again takes seconds: it is copied instead."""
    made = prepare(small, "fp32")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def export(_: Path, folder: Path, __: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for file in made.iterdir():
            os.link(file, folder / file.name)  # by its links a test knows it

    monkeypatch.setattr("vljepa_ros.runtime.export.export", export)
    folder = exported_folder(small, "fp32")
    shutil.copytree(made, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "way"),
    [
        *product(["reference.npz", "query.npy", "predictor.onnx"], WAYS),
        ("export.json", "empty"),
        ("export.json", "zeroed"),
        ("words.npy", "halved"),
        ("numbers.npy", "missing"),
        ("tokenizer-0.json", "empty"),
        ("tokenizer-0.json", "missing"),
    ],
)
def test_a_damaged_file_is_made_again(small: Path, copied: Path, name: str, way: str) -> None:
    WAYS[way](copied / name)
    assert load_backend(small, ONNX).info.fallback == ""
    assert (copied / name).stat().st_nlink > 1


def test_what_is_exported_again_works(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prepare(small, "fp32")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = shutil.copytree(made, exported_folder(small, "fp32"))
    for file in folder.iterdir():
        WAYS["halved"](file)
    assert load_backend(small, ONNX).info.fallback == ""


def test_if_it_is_damaged_again_the_file_is_named(
    small: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(_: Path, folder: Path, __: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "export.json").touch()

    monkeypatch.setattr("vljepa_ros.runtime.export.export", export)
    WAYS["empty"](copied / "query.npy")
    with pytest.raises(EngineError, match=rf"{copied}/export.json cannot be read .*; delete"):
        load_backend(small, ONNX)


def test_an_export_that_another_process_made_again_stays(copied: Path) -> None:
    whole = (copied / "reference.npz").read_bytes()
    WAYS["empty"](copied / "reference.npz")
    with pytest.raises(DamagedExportError) as caught:
        read_reference(copied)
    (copied / "new").write_bytes(whole)
    (copied / "new").replace(copied / "reference.npz")
    caught.value.remove()
    read_reference(copied)
