"""Which questions are drawn of which windows, and windows that show a class; without pictures."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from vljepa_ros.errors import InputError
from vljepa_ros.model.config import WindowConfig
from vljepa_ros.training import dataset, phrases
from vljepa_ros.training.class_windows import ClassWindows, show_classes
from vljepa_ros.training.dataset import Sampler
from vljepa_ros.training.features import Episode

WINDOW = WindowConfig(frames=4, period=0.5, tubelet=4)


def _state(start: int, shown: tuple[int, ...], **values: Any) -> dict[str, Any]:
    visible = [{"id": i, "place": ("left", "right")[i], "on": None} for i in shown]
    known = {"lamp": None, "drawer": None, "lid": None, "arm": "away", "target": None}
    return {"start": start, "visible": visible, **known, **values}


def _event(kind: str, number: int | None, start: int, end: int) -> dict[str, Any]:
    return {"type": kind, "object": number, "start": start, "end": end} | {
        "direction": None,
        "onto": None,
    }


@pytest.fixture
def episode() -> Episode:
    """A red mug appears beside a blue ball; then the arm grasps it, and puts it back."""
    facts = {
        "source": "tabletop",
        "frame_period": 0.25,
        "frames": 40,
        "objects": [
            {"id": 0, "name": "mug", "color": "red"},
            {"id": 1, "name": "ball", "color": "blue"},
        ],
        "states": [
            _state(0, (1,)),
            _state(8, (0, 1)),
            _state(16, (0, 1), arm="near", target=0),
            _state(20, (0, 1), arm="holding", target=0),
            _state(36, (0, 1)),
        ],
        "events": [
            _event("appear", 0, 4, 8),
            _event("approach", 0, 12, 16),
            _event("grasp", 0, 17, 20),
            _event("lift", 0, 20, 24),
            _event("place", 0, 26, 32),
        ],
    }
    return Episode(facts, np.zeros((40, 1, 1), np.float16))


def _asked(episode: Episode, kind: str) -> set[int]:
    """The last frames of the windows about which the kind is asked."""
    sampler = Sampler([episode], WINDOW, {kind: 1.0}, seed=0)
    return {sampler.draw()[2][-1] for _ in range(1000)}


@pytest.mark.parametrize("kind", ["what", "color", "count", "where", "exists"])
def test_what_an_event_changes_is_not_asked_while_it_does(episode: Episode, kind: str) -> None:
    assert _asked(episode, kind) == set(range(40)) - set(range(4, 8)) - set(range(26, 32))


def test_what_is_held_is_asked_when_it_is_sure(episode: Episode) -> None:
    grasp, let_go = set(range(17, 20)), set(range(32, 36))
    assert _asked(episode, "holding") == set(range(40)) - grasp - let_go


def test_what_is_held_is_asked_most_often_where_something_is(episode: Episode) -> None:
    sampler = Sampler([episode], WINDOW, {"holding": 1.0}, seed=0)
    held = [sampler.draw()[0].answers[0] for _ in range(1000)]
    assert 0.05 < np.mean([answer in phrases.NOTHING_HELD for answer in held]) < 0.3


@pytest.mark.parametrize("kind", ["caption", "event"])
def test_an_event_is_asked_about_but_for_its_first_frame(episode: Episode, kind: str) -> None:
    assert _asked(episode, kind) == set(range(40)) - {4, 12, 17, 20, 26}


def test_stages_draw_different_batches(episode: Episode) -> None:
    first, second = (Sampler([episode], WINDOW, {"what": 1.0}, s).batch(0, 40) for s in "ab")
    assert first.texts != second.texts


def test_what_can_never_be_asked_is_an_error(
    episode: Episode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "_TRIES", 50)
    with pytest.raises(InputError, match="of these 1 episodes can be asked for lamp"):
        Sampler([episode], WINDOW, {"lamp": 1.0}, 0).draw()


def test_wrong_answers_name_things_of_the_same_source(episode: Episode) -> None:
    cat = {"source": "composites", "objects": [{"id": 0, "name": "cat", "color": None}]}
    facts = {**episode.facts, **cat, "states": [_state(0, (0,), arm=None)], "events": []}
    other = Episode(facts, episode.frames)
    batch = Sampler([episode, other], WINDOW, {"caption": 1.0}, seed=0).batch(0, 80)
    for sample, negatives in zip(batch.samples, batch.negatives, strict=True):
        if "cat" in sample.answers[0]:
            assert not any(name in text for text in negatives for name in ("mug", "ball"))


def test_a_window_shows_a_class_by_its_class_tokens_alone() -> None:
    names = [f"kind {n} (of thing)" for n in range(40)]
    classes = ClassWindows(names, torch.eye(40), class_tokens=5)
    for seed in range(20):
        sample, wrong, shown = classes.draw(Random(seed), 4)
        windows = torch.full((2, 4, 9, 50), 7.0)
        show_classes(windows, torch.stack([shown, classes.nothing()]))
        tokens, other = windows
        assert (other == 7).all()
        number = int(tokens[0, 4, :40].argmax())
        assert sample.answers[0] == f"a kind {number}"
        assert sample.query
        assert (tokens[:, :4] == 7).all() and (tokens[..., 40:] == 7).all()
        assert torch.allclose(tokens[:, 4, :40].sum(-1), torch.ones(4))
        assert torch.equal(tokens[0], tokens[3])
        assert len(wrong) == 4
        assert not any(re.search(rf"\bkind {number}\b", answer) for answer in wrong)
        assert not set(wrong) & set(sample.answers)
