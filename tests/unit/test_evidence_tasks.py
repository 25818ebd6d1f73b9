"""Claim 3: every system is asked the same, and only what fits strictly best counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evidence import tasks
from evidence.systems import Nearest, image_net_head
from numpy.typing import NDArray

from vljepa_ros.model.config import WindowConfig
from vljepa_ros.training.features import Episode
from vljepa_ros.training.language import Sample
from vljepa_ros.training.sources import SourceError
from vljepa_ros.training.trials import Draw

_WINDOW = WindowConfig(4, 0.5, 1)
_THINGS = ("cat", "car", "cup", "key", "toy", "hat", "fan", "box", "jar", "map")


def episode(number: int) -> Episode:
    """One thing, whose number is all that the frames show."""
    place = ("left", "middle", "right")[number % 3]
    state = {"lamp": None, "drawer": None, "lid": None, "arm": None, "target": None}
    facts = {
        "source": "composites",
        "frame_period": 0.25,
        "objects": [{"id": 0, "name": _THINGS[number], "color": None}],
        "states": [{"start": 0, "visible": [{"id": 0, "place": place, "on": None}], **state}],
        "events": [],
    }
    return Episode(facts, np.full((8, 2, 3), number, np.float16))


class Knowing:
    """Knows the right answer; `sure` by how much more than every other text."""

    def __init__(self, sure: float) -> None:
        self.sure = sure
        self.asked: list[tuple[str, tuple[str, ...], bool]] = []

    def scores(
        self, drawn: Sequence[Draw], candidates: Sequence[str], answering: bool
    ) -> NDArray[np.float32]:
        self.asked += [(draw[0].query, tuple(candidates), answering) for draw in drawn]
        right = [[text == draw[0].answers[0] for text in candidates] for draw in drawn]
        return self.sure * np.array(right, np.float32)


def asked_of(system: Any) -> list[tuple[str, float, NDArray[np.bool_]]]:
    episodes = [episode(number) for number in range(len(_THINGS))]
    made = tasks.tasks_of("made up", episodes, _WINDOW, names=5, questions=4)
    return [(task.name, task.chance, task.right(system)) for task in made]


def test_whoever_knows_is_right_and_a_tie_is_not() -> None:
    knowing, undecided = Knowing(1.0), Knowing(0.0)
    right, wrong = asked_of(knowing), asked_of(undecided)
    assert [(name, len(hits)) for name, _, hits in right] == [
        ("made up: naming, 10 names", 15),
        ("made up: retrieval among 10 windows", 10),
        ("made up: questions of 3 kinds", 36),
    ]
    assert [chance for _, chance, _ in right] == pytest.approx(
        [0.1, 0.1, (1 / 6 + 1 / 3 + 0.5) / 3]
    )
    assert all(hits.all() for _, _, hits in right)
    assert not any(hits.any() for _, _, hits in wrong)
    assert knowing.asked == undecided.asked, "all systems are asked the same"
    assert {len(set(texts)) for _, texts, answering in knowing.asked if not answering} == {10}


def test_what_does_not_know_the_query_gets_it_with_the_answers() -> None:
    embedded: list[str] = []

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        embedded.extend(texts)
        return np.eye(2, dtype=np.float32)[: len(texts)]

    draw: Draw = (Sample("exists", "Is it?", ("yes",), "yes"), episode(0), [0])
    for joins, answering, told in (
        (True, True, ["Is it? yes", "Is it? no"]),
        (True, False, ["yes", "no"]),
        (False, True, ["yes", "no"]),
    ):
        embedded.clear()
        system = Nearest(lambda _: np.array([0.0, 1.0], np.float32), embed, joins)
        assert system.scores([draw], ["yes", "no"], answering).tolist() == [[0.0, 1.0]]
        assert embedded == told


def test_the_image_net_head_is_the_mean_of_the_frames_classes() -> None:
    tokens = np.zeros((4, 3, 5), np.float16)
    tokens[:, -2, :2] = [[3, 0], [1, 0], [0, 3], [0, 3]]  # of the whole frames
    tokens[:, -1, :2] = 9  # of a quarter
    encoder: Any = type("Encoder", (), {"class_tokens": 2, "class_dim": 2})
    system = image_net_head(encoder, embed=lambda texts: np.zeros((len(texts), 2), np.float32))
    draw: Draw = (Sample("what", "?", ("",), ""), Episode({}, tokens), [0, 1, 2, 3])
    np.testing.assert_allclose(system.see(draw), np.array([4, 6]) / 52**0.5, rtol=1e-3)


def test_a_result_without_the_photographs_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(cache: Path) -> list[Any]:
        raise SourceError("put the wheel there")

    monkeypatch.setattr(tasks, "load_photographs", offline)
    encoder: Any = None
    with pytest.raises(SourceError, match="put the wheel there"):
        tasks.photographs(tmp_path, encoder)


def test_the_table_and_the_picture_tell_each_system(tmp_path: Path) -> None:
    shares = {
        name: [0.1 * n, 0.1 * n - 0.05, 0.1 * n + 0.05] for n, name in enumerate(tasks._NAMES, 1)
    }
    systems = {name: {"right": share, "trials": 20} for name, share in shares.items()}
    rows = [{"task": f"{s}: naming", "chance": 0.1, "systems": systems} for s in ("one", "two")]
    result = {"model_id": "some@weights", "samples": 1234, "rows": rows}
    text = tasks.markdown(result)
    assert "some@weights" in text
    assert "1,234 samples" in text
    assert "| one: naming | 10.0 (5.0 to 15.0) | 20.0 (15.0 to 25.0) |" in text
    tasks.draw(result, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
