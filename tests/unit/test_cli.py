"""The console command: what it prints, and that an error is one line and exit code 1."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vljepa_ros.cli import main
from vljepa_ros.runtime.testing import random_checkpoint
from vljepa_ros.training import evaluate
from vljepa_ros.training.features import features_path
from vljepa_ros.training.prepare import HELD_OUT
from vljepa_ros.training.shards import shard_path
from vljepa_ros.training.sources import SourceError


def test_model_info_counts_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model-info", "vljepa-1.6b"]) == 0
    shown = capsys.readouterr().out
    assert "303.9 M" in shown and "496.0 M" in shown
    assert main(["model-info", "vljepa-tiny"]) == 0
    shown = capsys.readouterr().out
    assert "EfficientNet" in shown
    assert "2.0 M" in shown  # with the words that the shipped Y-Decoder knows


@pytest.mark.parametrize("model", ["vljepa-1.6b", "nobody/nothing"])
def test_fetch_without_a_network_says_what_to_do(
    model: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert main(["fetch", model]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "give a folder, or fetch" in line


def test_an_export_is_compared_part_by_part(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = random_checkpoint(tmp_path / "model")
    assert main(["export", str(model), "--precision", "fp32", "--check"]) == 0
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("x-encoder", "predictor", "y-encoder", "y-decoder"))


def test_data_are_made_where_they_are_missing(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(shards, tmp_path / "data")
    shard = shard_path(root, "composites", "train", 0)
    before = shard.read_bytes()
    for split in ("val", "test"):
        monkeypatch.setitem(HELD_OUT, split, 0)
    counts = ["--tabletop", "0", "--composites", "4", "--moments", "0"]
    assert main(["data", "--data", str(root), *counts]) == 0
    assert shard.read_bytes() == before
    assert np.load(features_path(shard), mmap_mode="r").shape == (32, 54, 976)


def test_own_shards_are_encoded_without_drawing_others(shards: Path, tmp_path: Path) -> None:
    own = shard_path(tmp_path, "mine", "train", 0)
    own.parent.mkdir(parents=True)
    shutil.copy(shard_path(shards, "composites", "train", 0), own)
    assert main(["data", "--data", str(tmp_path), "--draw-nothing"]) == 0
    assert np.load(features_path(own), mmap_mode="r").shape == (32, 54, 976)
    assert {path.name for path in tmp_path.iterdir()} == {"mine"}


def test_ctrl_c_ends_a_command_with_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vljepa_ros.training.prepare.prepare", interrupted)
    assert main(["data", "--data", str(tmp_path)]) == 130
    assert capsys.readouterr().err.startswith("vljepa: stopped")


def test_a_folder_that_cannot_be_made_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert main(["data", "--data", str(tmp_path / "file")]) == 1
    assert "cannot be read or written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "runs", "pictures"),
    [
        ([], ("torch", "fp32"), False),
        (["--backend", "onnx"], ("onnx", "fp32"), True),
        (["--backend", "auto", "--precision", "auto"], ("onnx", "int8"), True),
    ],
)
def test_what_the_nodes_run_can_be_measured(
    told: list[str],
    runs: tuple[str, str],
    pictures: bool,
    data: Path,
    shards: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    made: list[evaluate.Evaluation] = []

    class Short(evaluate.Evaluation):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, trials=3, **kwargs)
            made.append(self)

    def nothing(cache: Path) -> None:
        raise SourceError("none")

    monkeypatch.setattr(evaluate, "Evaluation", Short)
    monkeypatch.setattr(evaluate, "load_photographs", nothing)
    model = str(random_checkpoint(tmp_path / "model"))
    if not pictures:  # as if its class embeddings, which are random, were those of the stored ones
        (known,) = {path.read_text() for path in data.rglob("*.tokens.sha256")}
        monkeypatch.setattr(evaluate, "own_tokens", lambda folder: known)
    # The shards have pictures alone.
    folder = str(shards if pictures else data)
    assert main(["eval", "--model", model, "--data", folder, *told]) == 0
    (made_one,) = made
    assert (made_one.fingerprint is None) == pictures
    assert (made_one.engine.info.backend, made_one.engine.info.precision) == runs
    shown = capsys.readouterr().out
    assert "32 on every frame" in " ".join(shown.split())


def test_the_shipped_model_needs_nothing_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "vljepa-tiny"]) == 0
    assert "nothing to fetch" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["model-info", "fetch"])
def test_a_name_that_is_unknown_is_told_those_that_are(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "nosuch"]) == 1
    told = capsys.readouterr().err
    assert "no model 'nosuch'" in told and "'vljepa-1.6b', 'vljepa-tiny'" in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["model-info", "nosuch"],
        ["import", "nosuch.pt", "--out", "nowhere"],
        ["train", "--config", "config/models/nosuch.yaml"],
        ["eval", "--model", "nosuch"],
        ["eval", "--data", "nosuch"],
    ],
)
def test_an_error_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("vljepa: ")
    assert not Path("nowhere").exists()


def test_a_description_of_a_model_alone_cannot_be_trained(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "model.yaml"
    file.write_text("model: {}\n")
    assert main(["train", "--config", str(file)]) == 1
    assert "describes no training" in capsys.readouterr().err
