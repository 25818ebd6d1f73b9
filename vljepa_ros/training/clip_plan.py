"""What happens in a composite clip: which cut-outs are where in every frame, and its facts.

`start` of an event is the first frame that differs from the one before, `end` the first that
shows the outcome; the state changes at `end`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vljepa_ros.training.shards import FRAME_PERIOD

FRAMES = (32, 40)  # fewest and most
PLACES = ("left", "middle", "right")
# Where the middle of a thing is, as a share of the width. Between the places lies a gap, wider
# than the slow drift of the camera.
PLACE_CENTRES = {"left": (0.22, 0.30), "middle": (0.45, 0.55), "right": (0.70, 0.78)}
MOST_WIDTH = {1: 0.44, 2: 0.30, 3: 0.26}  # of the image, by how many things a clip has
OBJECT_COUNTS = (0.6, 0.28, 0.12)  # how often a clip has one, two, three things
EMPTY_START = 0.4  # how often nothing is there at first
QUIET = (4, 9)  # frames between events: fewest and most
FRAMES_OF_EVENT = {"appear": (1, 4), "remove": (1, 4), "move": (3, 6)}

Array = NDArray[np.float64]


@dataclass
class Pose:
    """Where a thing is in each frame, as shares of the image's width and height; (F,) each."""

    x: Array
    y: Array
    opacity: Array  # 0 not there .. 1


@dataclass
class Plan:
    """A clip before it is drawn."""

    frames: int
    names: list[tuple[str, str | None]]  # noun and color of each thing
    centres: list[Array]  # rest position (x, y) of each thing now
    places: list[str | None]  # place of each thing now; None: not there
    poses: list[Pose]
    states: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def facts(self, seed: int) -> dict[str, Any]:
        """The episode's JSON."""
        things = [
            {"id": number, "name": noun, "color": color}
            for number, (noun, color) in enumerate(self.names)
        ]
        seen = {view["id"] for state in self.states for view in state["visible"]}
        return {
            "source": "composites",
            "seed": seed,
            "frame_period": FRAME_PERIOD,
            "frames": self.frames,
            "objects": [thing for thing in things if thing["id"] in seen],
            "states": self.states,
            "events": self.events,
        }


def plan_clip(rng: Generator, names: Sequence[tuple[str, str | None]]) -> Plan:
    """A clip with one to three things, (noun, color) each; their nouns differ."""
    frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    count = len(names)
    plan = Plan(
        frames,
        names=list(names),
        centres=[np.zeros(2) for _ in range(count)],
        places=[None] * count,
        poses=[Pose(*np.zeros((3, frames))) for _ in range(count)],
    )
    if rng.random() >= EMPTY_START:
        for thing in range(int(rng.integers(1, count + 1))):
            _put(plan, rng, thing, _free_place(plan, rng), 0)
    _add_state(plan, 0)
    frame = int(rng.integers(QUIET[0], QUIET[1] + 1))
    while True:
        kind, thing = _choose_event(plan, rng)
        fewest, most = FRAMES_OF_EVENT[kind]
        end = frame + int(rng.integers(fewest, most + 1)) - 1
        if end + QUIET[0] > frames:
            return plan
        _EVENTS[kind](plan, rng, thing, frame, end)
        _add_state(plan, end)
        frame = end + int(rng.integers(QUIET[0], QUIET[1] + 1))


def _choose_event(plan: Plan, rng: Generator) -> tuple[str, int]:
    hidden = [thing for thing, place in enumerate(plan.places) if place is None]
    shown = [thing for thing, place in enumerate(plan.places) if place is not None]
    weights = {
        "appear": 1.0 if hidden else 0.0,
        "remove": 0.7 if shown else 0.0,
        # All three places taken: nothing can move, for its way would lead through another.
        "move": 1.0 if shown and len(shown) < len(PLACES) else 0.0,
    }
    odds = np.array(list(weights.values()))
    kind = str(rng.choice(list(weights), p=odds / odds.sum()))
    return kind, int(rng.choice(hidden if kind == "appear" else shown))


def _free_place(plan: Plan, rng: Generator) -> str:
    return str(rng.choice([place for place in PLACES if place not in plan.places]))


def _put(plan: Plan, rng: Generator, thing: int, place: str, frame: int) -> Array:
    """Let `thing` be at `place` from `frame` on; its new centre."""
    centre = np.array([rng.uniform(*PLACE_CENTRES[place]), rng.uniform(0.42, 0.62)])
    plan.places[thing], plan.centres[thing] = place, centre
    pose = plan.poses[thing]
    pose.x[frame:], pose.y[frame:], pose.opacity[frame:] = *centre, 1.0
    return centre


def _approach(start: int, end: int) -> Array:
    """Share of the way that is done in the frames `start` to `end`; 1 in the last."""
    part = np.arange(1, end - start + 2) / (end - start + 1)
    return np.asarray(part * part * (3 - 2 * part))


def _outside(rng: Generator, centre: Array) -> Array:
    """A point outside the image from which a thing comes to `centre`, or to which it goes."""
    if rng.random() < 0.5:
        return np.array([centre[0], -0.4])
    return np.array([-0.4 if centre[0] < 0.5 else 1.4, centre[1]])


def _appear(plan: Plan, rng: Generator, thing: int, start: int, end: int) -> None:
    centre = _put(plan, rng, thing, _free_place(plan, rng), start)
    done, span = _approach(start, end), slice(start, end + 1)
    pose = plan.poses[thing]
    if rng.random() < 0.5:
        pose.opacity[span] = done
    else:
        way = _outside(rng, centre)
        pose.x[span], pose.y[span] = (way + np.outer(done, centre - way)).T
    _add_event(plan, "appear", thing, start, end)


def _remove(plan: Plan, rng: Generator, thing: int, start: int, end: int) -> None:
    centre = plan.centres[thing]
    done, span = _approach(start, end), slice(start, end + 1)
    pose = plan.poses[thing]
    if rng.random() < 0.5:
        pose.opacity[span] = 1 - done
    else:
        way = _outside(rng, centre)
        pose.x[span], pose.y[span] = (centre + np.outer(done, way - centre)).T
    pose.opacity[end:] = 0
    plan.places[thing] = None
    _add_event(plan, "remove", thing, start, end)


def _move(plan: Plan, rng: Generator, thing: int, start: int, end: int) -> None:
    before, centre = plan.places[thing], plan.centres[thing]
    assert before is not None
    free = [place for place in PLACES if place not in plan.places]
    place = str(rng.choice(free))
    target = _put(plan, rng, thing, place, start)
    pose, span = plan.poses[thing], slice(start, end + 1)
    pose.x[span], pose.y[span] = (centre + np.outer(_approach(start, end), target - centre)).T
    right = PLACES.index(place) > PLACES.index(before)
    _add_event(plan, "move", thing, start, end, "right" if right else "left")


_EVENTS = {"appear": _appear, "remove": _remove, "move": _move}


def _add_event(
    plan: Plan,
    kind: str,
    thing: int,
    start: int,
    end: int,
    direction: str | None = None,
) -> None:
    event = {"type": kind, "object": thing, "start": start, "end": end}
    plan.events.append(event | {"direction": direction, "onto": None})


def _add_state(plan: Plan, start: int) -> None:
    visible = [
        {"id": thing, "place": place, "on": None}
        for thing, place in enumerate(plan.places)
        if place is not None
    ]
    nothing = dict.fromkeys(("lamp", "drawer", "lid", "arm", "target"))
    plan.states.append({"start": start, "visible": visible} | nothing)
