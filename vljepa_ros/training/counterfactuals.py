"""Hard negatives: answers that would be right if one attribute of the scene were another.

Chance puts few of them into a batch, and without them a predictor learns that the arm lifts
something purple before it learns whether that is a ball or a can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from vljepa_ros.training.language import Facts, Sample, event_in, make_sample, state_at

_OBJECT_EVENTS = ("appear", "remove", "move", "push", "approach", "grasp", "lift", "place")
_CLIP_EVENTS = ("appear", "remove", "move")  # of composites, which have no arm
_PART_EVENTS = (
    *("drawer_open", "drawer_close", "lid_open", "lid_close"),
    *("lamp_on", "lamp_off"),
)
_TRIES = 4  # alterations tried for each negative


def hard_negatives(
    facts: Facts,
    window: tuple[int, int],
    sample: Sample,
    seed: int,
    things: Sequence[Facts],
    count: int,
) -> list[str]:
    """Wrong answers that differ from the right one by little.

    Args:
        facts: of the episode.
        window: first and last frame.
        sample: the question, made by `make_sample` with Random(seed).
        seed: which repeats the question about altered facts.
        things: objects to take other names and colors from.
        count: how many.

    Returns:
        At most `count` texts; fewer where no alteration changes the answer.
    """
    # Not the stream that made the question, or its wording would decide what is altered.
    rng = Random(f"{seed}/negatives")
    if sample.choices:
        wrong = [choice for choice in sample.choices if choice != sample.answers[0]]
        return rng.sample(wrong, min(count, len(wrong)))
    found: list[str] = []
    for _ in range(_TRIES * count):
        altered = _alter(facts, window, sample.kind, rng, things)
        other = make_sample(altered, *window, sample.kind, Random(seed))
        if other and other.query == sample.query and other.meaning != sample.meaning:
            wrong = [text for text in other.answers if text not in (*sample.answers, *found)]
            found += rng.sample(wrong, min(1, len(wrong)))
            if len(found) == count:
                break
    return found


def _alter(
    facts: Facts, window: tuple[int, int], kind: str, rng: Random, things: Sequence[Facts]
) -> Facts:
    """The same facts with one of them changed that an answer of this kind may tell."""
    event = event_in(facts, *window)
    state = state_at(facts, window[1])
    shown = [view["id"] for view in state["visible"]]
    rename = partial(_rename, facts, rng=rng, things=things)
    ways: list[Callable[[], Facts]] = []
    if kind in ("caption", "event") and event is not None:
        ways = [partial(_retell, facts, event, rng), lambda: {**facts, "events": []}]
        if event["object"] is not None:
            ways += 2 * [partial(rename, event["object"])]
            ways.append(partial(_swap, facts, event["object"], rng))
            ways += _other_roles(facts, event, shown, rename, rng)
    else:
        if kind in ("caption", "event"):
            ways.append(partial(_happen, facts, window, rng))
        if kind == "caption":
            ways.append(partial(_change_state, facts, state, rng))
        if kind == "holding" and shown:
            ways.append(partial(_hold, facts, state, rng))
        if kind != "event" and shown:
            ways += 2 * [lambda: rename(rng.choice(shown))]
        if kind != "event" and len(shown) > 1:
            ways += 2 * [lambda: _swap(facts, rng.choice(shown), rng)]
    return rng.choice(ways)() if ways else facts


def _other_roles(
    facts: Facts,
    event: Facts,
    shown: Sequence[int],
    rename: Callable[[int], Facts],
    rng: Random,
) -> list[Callable[[], Facts]]:
    """The same event to the other side, of another thing in view, or on top of another."""
    onto, ways = event.get("onto"), []
    others = [number for number in shown if number not in (event["object"], onto)]
    if others:
        ways += 2 * [lambda: _with(facts, event, object=rng.choice(others))]
    if event.get("direction") is not None:
        side = "left" if event["direction"] == "right" else "right"
        ways += 2 * [lambda: _with(facts, event, direction=side)]
    if onto is not None:
        ways += 2 * [lambda: rename(onto)]
        if others:
            ways.append(lambda: _with(facts, event, onto=rng.choice(others)))
    return ways


def _with(facts: Facts, event: Facts, **changes: Any) -> Facts:
    """The same facts with an event that differs."""
    return {**facts, "events": [{**event, **changes}]}


def _rename(facts: Facts, number: int, *, rng: Random, things: Sequence[Facts]) -> Facts:
    """Give an object another color or another noun."""
    other = rng.choice(things)
    objects = []
    for thing in facts["objects"]:
        if thing["id"] == number:
            if thing["color"] and other["color"]:
                key = rng.choice(("color", "name"))
                thing = {**thing, key: other[key]}
            else:
                thing = {**thing, "name": other["name"], "color": other["color"]}
        objects.append(thing)
    return {**facts, "objects": objects}


def _swap(facts: Facts, number: int, rng: Random) -> Facts:
    """Let two objects exchange their colors or their nouns."""
    things = {thing["id"]: thing for thing in facts["objects"]}
    one = things[number]
    colored = [other for other in facts["objects"] if other["color"] and one["color"]]
    key = rng.choice(("color", "name")) if colored else "name"
    other = rng.choice(colored or facts["objects"])
    swapped = {number: {**one, key: other[key]}, other["id"]: {**other, key: one[key]}}
    return {**facts, "objects": [swapped.get(i, thing) for i, thing in things.items()]}


def _retell(facts: Facts, event: Facts, rng: Random) -> Facts:
    """Let another event happen to the same object or part."""
    if event["object"] is None:
        kind = rng.choice(_PART_EVENTS)
    else:
        kind = rng.choice(_OBJECT_EVENTS if facts["source"] == "tabletop" else _CLIP_EVENTS)
    side = rng.choice(("left", "right")) if kind in ("move", "push") else None
    return _with(facts, event, type=kind, direction=side, onto=None)


def _happen(facts: Facts, window: tuple[int, int], rng: Random) -> Facts:
    """Let an event happen where nothing does."""
    event: dict[str, Any] = {"start": window[1], "end": window[1], "object": None}
    if facts["source"] == "composites" or rng.random() < 0.5:
        if not facts["objects"]:
            return facts
        event["object"] = rng.choice(facts["objects"])["id"]
    return _retell(facts, event, rng)


def _change_state(facts: Facts, state: Facts, rng: Random) -> Facts:
    """Switch the lamp or take an object away: what the caption of a quiet scene tells."""
    changes: list[dict[str, Any]] = [
        {"visible": [v for v in state["visible"] if v is not view]} for view in state["visible"]
    ]
    if state["lamp"]:
        changes.append({"lamp": "off" if state["lamp"] == "on" else "on"})
    return {**facts, "states": [{**state, **rng.choice(changes)}]} if changes else facts


def _hold(facts: Facts, state: Facts, rng: Random) -> Facts:
    """Put another object, or nothing, into the gripper."""
    target = rng.choice([view["id"] for view in state["visible"]])
    arm = rng.choice(("holding", "away"))
    return {**facts, "states": [{**state, "arm": arm, "target": target}]}
