"""The console command: what it prints, and that an error is one line and exit code 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from vljepa_ros.cli import main
from vljepa_ros.runtime.testing import random_checkpoint


def test_model_info_counts_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model-info", "vljepa-1.6b"]) == 0
    shown = capsys.readouterr().out
    assert "303.9 M" in shown and "496.0 M" in shown
    assert main(["model-info", "vljepa-tiny"]) == 0
    assert "EfficientNet" in capsys.readouterr().out


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


def test_the_shipped_model_needs_nothing_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "vljepa-tiny"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["model-info", "nosuch"],
        ["import", "nosuch.pt", "--out", "nowhere"],
        ["train", "--config", "config/models/nosuch.yaml"],
        ["eval", "--model", "nosuch"],
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
