"""Hard negatives: wrong for the question asked, near to the right answer, the same every time."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

import pytest

from vljepa_ros.training.counterfactuals import hard_negatives
from vljepa_ros.training.language import KINDS, make_sample
from vljepa_ros.training.phrases import EVENT_QUERIES

_STATE = {"lamp": "on", "drawer": "closed", "lid": None, "arm": "holding", "target": 0}
FACTS: dict[str, Any] = {
    "source": "tabletop",
    "objects": [
        {"id": 0, "name": "can", "color": "purple"},
        {"id": 1, "name": "ball", "color": "orange"},
    ],
    "states": [
        {
            "start": 0,
            "visible": [
                {"id": 0, "place": "left", "on": None},
                {"id": 1, "place": "right", "on": None},
            ],
            **_STATE,
        }
    ],
    "events": [
        {"type": "place", "object": 0, "start": 10, "end": 16, "direction": None, "onto": None}
    ],
}
THINGS = [*FACTS["objects"], {"id": 0, "name": "mug", "color": "red"}]


def _negatives(kind: str, window: tuple[int, int], seed: int) -> tuple[Any, list[str]]:
    sample = make_sample(FACTS, *window, kind, Random(seed))
    assert sample is not None
    return sample, hard_negatives(FACTS, window, sample, seed, THINGS, 4)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"direction"}))
@pytest.mark.parametrize("window", [(0, 6), (8, 14)])
def test_no_negative_is_right(kind: str, window: tuple[int, int]) -> None:
    for seed in range(30):
        sample, negatives = _negatives(kind, window, seed)
        assert not set(negatives) & set(sample.answers)
        assert len(negatives) <= 4
        assert negatives == _negatives(kind, window, seed)[1]


def test_an_event_is_told_of_another_thing_and_another_event_of_the_thing() -> None:
    found = {text for seed in range(60) for text in _negatives("event", (8, 14), seed)[1]}
    assert "the robot arm puts the red can down" in found
    assert "the robot arm puts the purple mug down" in found
    assert "the robot arm lifts the purple can" in found
    assert "nothing is happening" in found
    # Another wording of the truth would teach that it is wrong.
    assert "the purple can is put down by the arm" not in found


def test_the_wording_of_a_question_does_not_decide_what_is_altered() -> None:
    first: dict[str, set[str]] = defaultdict(set)
    for seed in range(200):
        sample, negatives = _negatives("event", (8, 14), seed)
        alike = "purple can" in negatives[0]  # and the event another
        first[sample.query].add("event" if alike else "thing")
    assert set(first) == set(EVENT_QUERIES)
    assert all(altered == {"event", "thing"} for altered in first.values())


def test_the_negatives_of_a_choice_are_the_other_choices() -> None:
    for seed in range(10):
        sample, negatives = _negatives("color", (0, 6), seed)
        assert len(negatives) == 4
        assert set(negatives) <= set(sample.choices) - {sample.answers[0]}


def test_a_quiet_scene_is_told_with_a_switched_lamp() -> None:
    found = {text for seed in range(60) for text in _negatives("caption", (0, 6), seed)[1]}
    assert any(text.endswith("the lamp is off") for text in found)


def test_where_nothing_can_be_altered_there_are_none() -> None:
    state = {"start": 0, "visible": [], **_STATE, "arm": "away", "target": None}
    empty = {**FACTS, "source": "composites", "objects": [], "events": [], "states": [state]}
    sample = make_sample(empty, 0, 6, "event", Random(0))
    assert sample is not None
    assert hard_negatives(empty, (0, 6), sample, 0, THINGS, 4) == []


def test_two_things_exchange_an_attribute() -> None:
    quiet = {**FACTS, "events": []}
    wrong = set()
    for seed in range(40):
        sample = make_sample(quiet, 0, 6, "caption", Random(seed))
        assert sample is not None
        wrong |= set(hard_negatives(quiet, (0, 6), sample, seed, FACTS["objects"], 4))
    assert any("an orange can and a purple ball" in text for text in wrong)


def test_the_thing_of_an_event_exchanges_an_attribute_with_another() -> None:
    things = [FACTS["objects"][0]]  # so that a new name or color would be its own
    wrong = set()
    for seed in range(40):
        sample = make_sample(FACTS, 8, 14, "event", Random(seed))
        assert sample is not None
        wrong |= set(hard_negatives(FACTS, (8, 14), sample, seed, things, 4))
    assert any("orange can" in text for text in wrong)
    assert any("purple ball" in text for text in wrong)


def _happening(**event: Any) -> dict[str, Any]:
    return {**FACTS, "events": [{**FACTS["events"][0], **event}]}


def _share(facts: dict[str, Any], here: str, not_here: str) -> float:
    """Of 200 questions about the event, those with a negative that has `here` alone."""
    count = 0
    for seed in range(200):
        sample = make_sample(facts, 8, 14, "event", Random(seed))
        assert sample is not None
        wrong = hard_negatives(facts, (8, 14), sample, seed, THINGS, 4)
        count += any(here in text and not_here not in text for text in wrong)
    return count / 200


@pytest.mark.parametrize("kind", ["push", "move"])
def test_the_one_wrong_answer_about_a_direction_is_the_other_side(kind: str) -> None:
    facts = _happening(type=kind, direction="left")
    for seed in range(10):
        sample = make_sample(facts, 8, 14, "direction", Random(seed))
        assert sample is not None and sample.answers[0] == "to the left"
        assert hard_negatives(facts, (8, 14), sample, seed, THINGS, 4) == ["to the right"]


@pytest.mark.parametrize("kind", ["push", "move"])
def test_most_often_an_event_goes_to_the_other_side(kind: str) -> None:
    assert _share(_happening(type=kind, direction="left"), "right", "left") > 0.5


def test_most_often_an_event_happens_to_another_thing_in_view() -> None:
    assert _share(_happening(type="approach"), "orange ball", "purple") > 0.5


def test_often_the_thing_is_put_on_top_of_another() -> None:
    assert _share(_happening(type="stack", onto=1), "purple can", "orange ball") > 0.3


def test_no_negative_is_given_twice() -> None:
    for seed in range(60):
        _, negatives = _negatives("event", (8, 14), seed)
        assert len(set(negatives)) == len(negatives)


def test_no_arm_is_told_of_where_there_is_none() -> None:
    """The word alone would tell that the answer is wrong."""
    event = {**FACTS["events"][0], "type": "appear"}
    state = {**FACTS["states"][0], "lamp": None, "arm": None, "target": None}
    facts = {**FACTS, "source": "composites", "events": [event], "states": [state]}
    for seed in range(60):
        sample = make_sample(facts, 8, 14, "event", Random(seed))
        assert sample is not None
        wrong = hard_negatives(facts, (8, 14), sample, seed, THINGS, 4)
        assert wrong and not any("arm" in text or "robot" in text for text in wrong)
