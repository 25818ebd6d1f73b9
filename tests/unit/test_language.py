"""Texts made from facts: true of the window, consistent, never a negative of themselves."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from vljepa_ros.training.language import KINDS, event_in, make_sample, name_of, with_article

FACTS: dict[str, Any] = {
    "source": "tabletop",
    "frame_period": 0.25,
    "frames": 30,
    "objects": [
        {"id": 3, "name": "mug", "color": "red"},
        {"id": 7, "name": "orange", "color": None},
    ],
    "states": [
        {"start": 0, "visible": [{"id": 3, "place": "left", "on": None}], "lamp": "on",
         "drawer": "closed", "lid": None, "arm": "away", "target": None},
        {"start": 12, "visible": [{"id": 3, "place": "left", "on": None},
                                  {"id": 7, "place": "right", "on": None}], "lamp": "on",
         "drawer": "closed", "lid": None, "arm": "away", "target": None},
        {"start": 20, "visible": [{"id": 3, "place": "left", "on": None},
                                  {"id": 7, "place": "right", "on": None}], "lamp": "off",
         "drawer": "closed", "lid": None, "arm": "away", "target": None},
    ],
    "events": [
        {"type": "appear", "object": 7, "start": 11, "end": 12, "direction": None, "onto": None},
        {"type": "lamp_off", "object": None, "start": 20, "end": 20, "direction": None,
         "onto": None},
    ],
}  # fmt: skip


def _ask(kind: str, first: int, last: int, seed: int = 0) -> Any:
    return make_sample(FACTS, first, last, kind, Random(seed))


def test_an_event_is_seen_only_while_the_window_shows_it() -> None:
    assert event_in(FACTS, 0, 6) is None
    shown = event_in(FACTS, 6, 12)
    assert shown is not None
    assert shown["type"] == "appear"
    assert event_in(FACTS, 12, 18) is None


def test_event_sentences_name_what_happened() -> None:
    assert "an orange appears on the table" in _ask("event", 6, 12).answers
    assert "the lamp goes off" in _ask("event", 16, 22).answers
    assert _ask("event", 0, 6).answers[0] == "nothing is happening"


def test_a_caption_tells_the_event_or_else_the_state() -> None:
    assert _ask("caption", 6, 12).meaning == _ask("event", 6, 12).meaning
    quiet = _ask("caption", 13, 19)
    assert quiet.answers[0] == "there are an orange and a red mug on the table; the lamp is on"


@pytest.mark.parametrize("seed", range(20))
def test_yes_and_no_are_true(seed: int) -> None:
    lamp = _ask("lamp", 24, 29, seed)
    assert lamp.meaning == ("yes" if "off" in lamp.query else "no")
    exists = _ask("exists", 0, 6, seed)
    assert exists.meaning == ("yes" if "red mug" in exists.query else "no")


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("seed", range(10))
def test_every_sample_is_complete(kind: str, seed: int) -> None:
    samples = [_ask(kind, max(0, last - 6), last, seed) for last in range(30)]
    # Nothing moves to a side in these facts.
    assert any(samples) == (kind != "direction")
    for sample in filter(None, samples):
        assert sample.kind == kind
        assert sample.query
        assert all(sample.answers)
        assert "{" not in "".join(sample.answers)
        assert not sample.choices or sample.answers[0] in sample.choices


def test_a_state_is_told_when_either_is_asked_for() -> None:
    for seed in range(4):
        lamp, drawer = _ask("lamp_state", 24, 29, seed), _ask("furniture_state", 24, 29, seed)
        assert lamp.answers[0] == "the lamp is off"
        assert lamp.choices == ("the lamp is on", "the lamp is off")
        assert drawer.answers[0] == "the drawer is closed"


@pytest.mark.parametrize("kind", ["move", "push"])
def test_the_direction_of_a_motion_is_asked_for_while_it_is_seen(kind: str) -> None:
    event = {"type": kind, "object": 7, "start": 11, "end": 15, "direction": "left", "onto": None}
    facts = {**FACTS, "events": [event]}
    for seed in range(4):
        sample = make_sample(facts, 8, 14, "direction", Random(seed))
        assert sample is not None
        assert name_of(facts, 7) in sample.query
        assert sample.answers[0] == "to the left"
        assert sample.choices == ("to the left", "to the right")
        assert make_sample(facts, 2, 8, "direction", Random(seed)) is None


def test_questions_that_make_no_sense_are_not_asked() -> None:
    facts = {**FACTS, "states": [{**FACTS["states"][0], "lamp": None, "drawer": None}]}
    for kind in ("lamp", "furniture", "lamp_state", "furniture_state"):
        assert make_sample(facts, 0, 6, kind, Random(0)) is None


@pytest.mark.parametrize(
    ("name", "expected"), [("red mug", "a red mug"), ("orange", "an orange"), ("grapes", "grapes")]
)
def test_articles(name: str, expected: str) -> None:
    assert with_article(name) == expected


def test_the_words_of_a_question_do_not_tell_its_answer() -> None:
    """Every thing that is asked for in vain is also asked for rightly at another time."""
    facts = {**FACTS, "source": "composites"}
    asked: dict[str, set[str]] = {"yes": set(), "no": set()}
    for last in range(30):
        for seed in range(20):
            sample = make_sample(facts, max(0, last - 6), last, "exists", Random(seed))
            if sample is not None:
                asked[sample.meaning].add("orange" if "orange" in sample.query else "red mug")
    assert asked == {"yes": {"orange", "red mug"}, "no": {"orange"}}


def test_of_two_events_the_newest_is_told() -> None:
    lamp = {**FACTS["events"][1], "start": 10, "end": 10}
    for events in ([FACTS["events"][0], lamp], [lamp, FACTS["events"][0]]):
        shown = event_in({**FACTS, "events": events}, 6, 12)
        assert shown is not None and shown["type"] == "appear"


def test_singulars_that_end_in_s_have_an_article() -> None:
    assert with_article("glass") == "a glass"
    assert with_article("bus") == "a bus"


def test_what_two_things_share_is_not_asked_for() -> None:
    """Of two mugs none is "the mug", and of two things at one place none is what is there."""
    mugs = [{"id": n, "name": "mug", "color": color} for n, color in enumerate(("red", "blue"))]
    shown = [{"id": n, "place": "left", "on": None} for n in range(2)]
    facts = {**FACTS, "objects": mugs, "states": [{**FACTS["states"][0], "visible": shown}]}
    for kind in ("color", "what"):
        assert all(make_sample(facts, 0, 6, kind, Random(seed)) is None for seed in range(10))


def test_where_a_thing_is_that_stands_on_another_is_not_asked() -> None:
    shown = [{"id": 3, "place": "left", "on": None}, {"id": 7, "place": "left", "on": 3}]
    facts = {**FACTS, "states": [{**FACTS["states"][0], "visible": shown}]}
    for seed in range(20):
        sample = make_sample(facts, 0, 6, "where", Random(seed))
        assert sample is not None and "red mug" in sample.query
