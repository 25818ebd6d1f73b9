"""What the evaluation measures: which caption finds which window, and what a blind run sees."""

from __future__ import annotations

from pathlib import Path
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest

from vljepa_ros.model.config import WindowConfig
from vljepa_ros.training import evaluate
from vljepa_ros.training.evaluate import Evaluation
from vljepa_ros.training.features import Episode, load_episodes
from vljepa_ros.training.photographs import Photograph


@pytest.fixture(scope="module")
def episodes(data: Path) -> list[Episode]:
    return load_episodes(data, ("composites",), "train", (54, 976))


def test_each_caption_is_to_find_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second caption is nearer to the first window than that window's own."""
    rows = np.array([[0.5, 0.4], [0.6, 0.9]], np.float32)
    drawn = [(SimpleNamespace(answers=(name,)), None, None) for name in ("a", "b")]
    monkeypatch.setattr(evaluate, "draw_distinct", lambda *_: drawn)
    evaluation = Evaluation.__new__(Evaluation)
    evaluation.count, evaluation.seed, evaluation.window = 1, 0, WindowConfig(4, 0.5, 4)
    evaluation.engine = SimpleNamespace(encode_text=lambda texts: rows)
    windows = iter(np.eye(2, dtype=np.float32)[:, None])
    monkeypatch.setattr(evaluation, "_predict", lambda _: next(windows))
    assert evaluation.retrieval("composites", []).value == 1


def test_a_blind_run_never_sees_what_it_is_asked_about(
    episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    evaluation = Evaluation.__new__(Evaluation)
    evaluation.other, evaluation.sources = Random(0), {"composites": episodes[:2]}
    evaluation.cache = Path()
    monkeypatch.setattr(evaluation, "_embed", lambda seen, *_: shown.append(id(seen)))
    for _ in range(20):
        evaluation._predict((SimpleNamespace(query="?"), episodes[0], [0]))
    assert set(shown) == {id(episodes[1])}
    pictures = [Photograph(c, np.full((1, 1, 3), i, np.uint8)) for i, c in enumerate("aab")]
    monkeypatch.setattr(evaluate, "load_photographs", lambda _: pictures)
    seen: list[str] = []
    evaluation.engine = SimpleNamespace(
        encode_frames=lambda rgb: seen.append(pictures[rgb[0][0, 0, 0]].label) or [None],
        predict=lambda *_: [None],
        rank=lambda *_: SimpleNamespace(best=0),
    )
    for _ in range(10):
        evaluation.photographs()
    assert seen[:3] == ["b", "b", "a"] and seen == seen[:3] * 10
