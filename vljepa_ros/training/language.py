"""Turns the facts of an episode into queries and answers for any window of its frames.

Texts are made while training, not stored, so that wording can change without rendering again.
The facts are what `training/tabletop/facts.py` and `training/clip_plan.py` write into the shards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from vljepa_ros.training import phrases

Facts = Mapping[str, Any]
NOTHING_HELD = "holding nothing"  # a meaning


@dataclass(frozen=True)
class Sample:
    """A query about one window and what would answer it.

    Attributes:
        kind: what is asked, a key of KINDS.
        query: the text query.
        answers: wordings that mean the same; the first is the plainest.
        meaning: equal for two samples exactly when their answers mean the same.
        choices: candidate answers with answers[0] among them; empty for open questions.
    """

    kind: str
    query: str
    answers: tuple[str, ...]
    meaning: str
    choices: tuple[str, ...] = ()


def state_at(facts: Facts, frame: int) -> Facts:
    """The state that holds at a frame."""
    return [s for s in facts["states"] if s["start"] <= frame][-1]  # type: ignore[no-any-return]


def event_in(facts: Facts, first: int, last: int) -> Facts | None:
    """The newest event that the frames `first` to `last` show, of which a part is visible."""
    shown = [e for e in facts["events"] if e["start"] <= last and e["end"] > first]
    return max(shown, key=lambda e: e["start"]) if shown else None


def name_of(facts: Facts, number: int) -> str:
    """ "red mug", or "strawberry" where no color is known."""
    thing = _thing(facts, number)
    return f"{thing['color']} {thing['name']}" if thing["color"] else str(thing["name"])


def _thing(facts: Facts, number: int) -> Facts:
    return next(o for o in facts["objects"] if o["id"] == number)  # type: ignore[no-any-return]


def with_article(name: str) -> str:
    """ "a red mug", "an orange ball", "grapes"."""
    if name.endswith("s") and not name.endswith(("ss", "us")):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _caption(facts: Facts, first: int, last: int, rng: Random) -> Sample:
    query = rng.choice(phrases.CAPTION_QUERIES)
    if event_in(facts, first, last):
        event = _event(facts, first, last, rng)
        return Sample("caption", query, event.answers, event.meaning)
    state = state_at(facts, last)
    names = sorted(name_of(facts, v["id"]) for v in state["visible"])
    lamp = state["lamp"]
    if names:
        fill = {
            "things": _list(names),
            "in_view": phrases.IN_VIEW[facts["source"]],
            "is_are": "is" if len(names) == 1 else "are",
        }
        answers = tuple(s.format(**fill) for s in phrases.STATES)
    else:
        answers = phrases.EMPTY[facts["source"]]
    if lamp:
        answers = tuple(
            f"{a}; {phrases.LAMP_STATES[lamp][i % len(phrases.LAMP_STATES[lamp])]}"
            for i, a in enumerate(answers)
        )
    return Sample("caption", query, answers, f"state {names} {lamp}")


def _event(facts: Facts, first: int, last: int, rng: Random) -> Sample:
    query = rng.choice(phrases.EVENT_QUERIES)
    event = event_in(facts, first, last)
    if event is None:
        return Sample("event", query, phrases.NO_EVENT, "nothing")
    fill = {"in_view": phrases.IN_VIEW[facts["source"]], "side": event.get("direction")}
    name = ""
    if event["object"] is not None:
        name = name_of(facts, event["object"])
        fill |= {"a": with_article(name), "the": f"the {name}"}
    onto = event.get("onto")
    if onto is not None:
        fill |= {"onto": f"the {name_of(facts, onto)}"}
    answers = tuple(t.format(**fill) for t in phrases.EVENTS[event["type"]])
    meaning = f"{event['type']} {name} {fill['side']} {fill.get('onto')}"
    return Sample("event", query, answers, meaning)


def _direction(facts: Facts, first: int, last: int, rng: Random) -> Sample | None:
    event = event_in(facts, first, last)
    if event is None or (side := event.get("direction")) is None:
        return None
    name = name_of(facts, event["object"])
    either = rng.choice(("to the left or to the right", "to the right or to the left"))
    query = rng.choice((f"Which way does the {name} move?", f"Does the {name} move {either}?"))
    answers = (f"to the {side}", f"it moves to the {side}", f"it goes {side}")
    return Sample("direction", query, answers, f"to the {side}", ("to the left", "to the right"))


def _what(facts: Facts, first: int, last: int, rng: Random) -> Sample | None:
    visible = state_at(facts, last)["visible"]
    if len(visible) != 1:
        by_place: dict[str, list[int]] = {}
        for item in visible:
            by_place.setdefault(item["place"], []).append(item["id"])
        alone = [(place, ids[0]) for place, ids in by_place.items() if len(ids) == 1]
        if not alone:
            return None
        place, number = rng.choice(sorted(alone))
        query = f"What is {phrases.PLACES[place][0]}?"
    else:
        number, query = visible[0]["id"], rng.choice(phrases.WHAT_QUERIES)
    name = name_of(facts, number)
    answers = (with_article(name), f"it is {with_article(name)}", f"the {name}")
    return Sample("what", query, answers, f"thing {name}")


def _color(facts: Facts, first: int, last: int, rng: Random) -> Sample | None:
    things = [_thing(facts, v["id"]) for v in state_at(facts, last)["visible"]]
    names = [t["name"] for t in things]
    unique = [t for t in things if t["color"] and names.count(t["name"]) == 1]
    if not unique:
        return None
    thing = rng.choice(unique)
    word = rng.choice(("color", "colour"))
    color, name = thing["color"], thing["name"]
    query = rng.choice((f"What {word} is the {name}?", f"Which {word} does the {name} have?"))
    answers = (color, f"it is {color}", f"the {name} is {color}")
    return Sample("color", query, answers, f"color {color}", phrases.COLORS)


def _count(facts: Facts, first: int, last: int, rng: Random) -> Sample:
    visible = state_at(facts, last)["visible"]
    number = phrases.NUMBERS[len(visible)]
    query = rng.choice(
        ("How many objects are there?", "How many things do you see?", "Count the objects.")
    )
    answers = (number, f"there are {number}", f"I see {number}")
    return Sample("count", query, answers, f"count {number}", phrases.NUMBERS)


def _where(facts: Facts, first: int, last: int, rng: Random) -> Sample | None:
    visible = [v for v in state_at(facts, last)["visible"] if v.get("on") is None]
    if not visible:
        return None
    item = rng.choice(visible)
    name, answers = name_of(facts, item["id"]), phrases.PLACES[item["place"]]
    query = rng.choice((f"Where is the {name}?", f"On which side is the {name}?"))
    choices = tuple(wordings[0] for wordings in phrases.PLACES.values())
    return Sample("where", query, answers, f"place {item['place']}", choices)


def _exists(facts: Facts, first: int, last: int, rng: Random) -> Sample | None:
    names = [name_of(facts, v["id"]) for v in state_at(facts, last)["visible"]]
    truth = rng.random() < 0.5 and bool(names)
    name = rng.choice(names) if truth else _absent(facts, names, rng)
    if name is None:
        return None
    place = rng.choice(("there", phrases.IN_VIEW[facts["source"]], "to be seen"))
    thing = with_article(name)
    query = f"Is there {thing}?" if place == "there" else f"Is {thing} {place}?"
    return _yes_no("exists", query, truth)


def _absent(facts: Facts, present: list[str], rng: Random) -> str | None:
    """A thing that is not there: one that differs in one attribute, or that comes or went.

    Never from a list of its own: the words of the question would then tell the answer.
    """
    # An orange is a thing as well as a color.
    colored = [n.split(" ", 1) for n in present if n.split(" ")[0] in phrases.COLORS and " " in n]
    if facts["source"] == "tabletop" and colored:
        color, noun = rng.choice(colored)
        if rng.random() < 0.5:
            pool = [f"{other} {noun}" for other in phrases.COLORS]
        else:
            pool = [f"{color} {other}" for other in phrases.SHAPES]
    else:
        pool = [name_of(facts, thing["id"]) for thing in facts["objects"]]
    pool = [name for name in pool if name not in present]
    return rng.choice(pool) if pool else None


def _lamp(facts: Facts, first: int, last: int, rng: Random) -> Sample | None:
    lamp = state_at(facts, last)["lamp"]
    if lamp is None:
        return None
    asked = rng.choice(("on", "off"))
    return _yes_no("lamp", f"Is the lamp {asked}?", lamp == asked)


def _lamp_state(facts: Facts, first: int, last: int, rng: Random) -> Sample | None:
    lamp = state_at(facts, last)["lamp"]
    if lamp is None:
        return None
    query = rng.choice(("Is the lamp on or off?", "Is the lamp off or on?"))
    return _either("lamp_state", query, lamp, phrases.LAMP_STATES)


def _furniture(facts: Facts, first: int, last: int, rng: Random) -> Sample | None:
    part = _known_part(facts, last, rng)
    if part is None:
        return None
    thing, state = part
    asked = rng.choice(("open", "closed"))
    return _yes_no("furniture", f"Is the {thing} {asked}?", state == asked)


def _furniture_state(facts: Facts, first: int, last: int, rng: Random) -> Sample | None:
    part = _known_part(facts, last, rng)
    if part is None:
        return None
    thing, state = part
    query = rng.choice((f"Is the {thing} open or closed?", f"Is the {thing} closed or open?"))
    return _either("furniture_state", query, state, phrases.FURNITURE_STATES[thing])


def _known_part(facts: Facts, last: int, rng: Random) -> tuple[str, str] | None:
    """A part that opens and its state; None where the scene has none."""
    state = state_at(facts, last)
    known = [(thing, state[k]) for k, thing in (("drawer", "drawer"), ("lid", "box")) if state[k]]
    return rng.choice(known) if known else None


def _holding(facts: Facts, first: int, last: int, rng: Random) -> Sample | None:
    state = state_at(facts, last)
    if state["arm"] is None:
        return None
    query = rng.choice(("What is the robot holding?", "What does the gripper hold?"))
    if state["arm"] != "holding":
        return Sample("holding", query, phrases.NOTHING_HELD, NOTHING_HELD)
    done = [e for e in facts["events"] if e["object"] == state["target"] and e["end"] <= last]
    if done and done[-1]["type"] in ("place", "stack"):
        return None  # the fingers open at some time after, which the facts do not tell
    name = name_of(facts, state["target"])
    held = tuple(text.format(name=name) for text in phrases.HELD)
    return Sample("holding", query, held, f"thing {name}")


def _yes_no(kind: str, query: str, truth: bool) -> Sample:
    answers = phrases.YES if truth else phrases.NO
    return Sample(kind, query, answers, answers[0], ("yes", "no"))


def _either(kind: str, query: str, state: str, states: Mapping[str, tuple[str, ...]]) -> Sample:
    answers = (*states[state], f"it is {state}", state)
    choices = tuple(wordings[0] for wordings in states.values())
    return Sample(kind, query, answers, states[state][0], choices)


def _list(names: list[str]) -> str:
    things = [with_article(name) for name in names]
    return things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"


KINDS: dict[str, Callable[[Facts, int, int, Random], Sample | None]] = {
    "caption": _caption,
    "event": _event,
    "direction": _direction,
    "what": _what,
    "color": _color,
    "count": _count,
    "where": _where,
    "exists": _exists,
    "lamp": _lamp,
    "furniture": _furniture,
    "lamp_state": _lamp_state,
    "furniture_state": _furniture_state,
    "holding": _holding,
}


def make_sample(facts: Facts, first: int, last: int, kind: str, rng: Random) -> Sample | None:
    """Ask about the window of frames `first` to `last`.

    Returns:
        None where the question makes no sense, for example the lamp's state without a lamp.
    """
    return KINDS[kind](facts, first, last, rng)
