"""Moments tell of their frames what the episode tells of them."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from vljepa_ros.errors import InputError
from vljepa_ros.training.language import make_sample
from vljepa_ros.training.shards import FRAME_PERIOD
from vljepa_ros.training.tabletop.episode import plan
from vljepa_ros.training.tabletop.moments import FRAMES, choose, cut, generate

_KINDS = ("caption", "event", "direction", "what", "count", "where", "lamp_state", "holding")


def _facts(seed: int) -> dict[str, Any]:
    return plan(seed).facts(FRAME_PERIOD)


def _first(facts: dict[str, Any], seed: int) -> int:
    return choose(facts, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(40))
def test_a_moment_begins_within_no_event_and_shows_one_if_there_is_one(seed: int) -> None:
    facts = _facts(seed)
    first = _first(facts, seed)
    assert 0 <= first <= facts["frames"] - FRAMES
    assert not any(event["start"] < first < event["end"] for event in facts["events"])
    shown = [e for e in facts["events"] if first <= e["start"] < first + FRAMES]
    assert bool(shown) == bool(facts["events"])


@pytest.mark.parametrize("seed", range(40))
def test_what_is_asked_of_a_moment_has_the_answer_of_its_episode(seed: int) -> None:
    facts = _facts(seed)
    first = _first(facts, seed)
    moment = cut(facts, first)
    assert moment["frames"] == FRAMES
    for last in range(FRAMES):
        for kind in _KINDS:
            whole = make_sample(facts, first, first + last, kind, Random(last))
            assert make_sample(moment, 0, last, kind, Random(last)) == whole


@pytest.mark.parametrize("seed", range(200))
def test_all_things_that_are_told_of_are_known(seed: int) -> None:
    facts = _facts(seed)
    moment = cut(facts, _first(facts, seed))
    told = {event[key] for event in moment["events"] for key in ("object", "onto")} - {None}
    assert told <= {thing["id"] for thing in moment["objects"]}


def test_rare_events_are_shown_more_often_than_they_happen() -> None:
    episodes = [_facts(seed) for seed in range(150)]
    happened = [event["type"] for facts in episodes for event in facts["events"]]
    shown = [
        event["type"]
        for seed, facts in enumerate(episodes)
        for event in cut(facts, _first(facts, seed))["events"]
        if event["start"] >= 0
    ]
    rare = ("grasp", "lift", "place", "stack")
    share, before = (sum(map(kinds.count, rare)) / len(kinds) for kinds in (shown, happened))
    assert share > 1.1 * before


@pytest.mark.parametrize("asked", [("dev", 1, 0, 1), ("val", -1, 0, 1), ("val", 1, 0, 0)])
def test_what_makes_no_sense_is_refused(tmp_path: Path, asked: tuple[str, int, int, int]) -> None:
    with pytest.raises(InputError, match="take one of train, val, test"):
        generate(tmp_path, *asked)
