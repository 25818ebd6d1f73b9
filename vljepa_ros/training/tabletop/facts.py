"""What is true when: states and events in seconds, and their form in frames."""

import math
from dataclasses import dataclass, replace
from typing import Any

EPSILON = 1e-6  # s, so that a time that falls on a frame is not pushed to the next by rounding


@dataclass(frozen=True)
class Seen:
    """One object that is in view."""

    id: int
    place: str  # "left", "middle" or "right" third of the image
    on: int | None  # id of the object it stands on


@dataclass(frozen=True)
class State:
    """Everything that can be said of a scene at rest; None where there is no such furniture."""

    visible: tuple[Seen, ...]
    lamp: str | None  # "on", "off"
    drawer: str | None  # "open", "closed"
    lid: str | None  # "open", "closed"
    arm: str | None  # "away", "near", "holding"
    target: int | None = None  # id of what the arm is near or holds

    def ids(self) -> list[int]:
        """Ids of the objects in view."""
        return [seen.id for seen in self.visible]

    def top(self, index: int) -> bool:
        """Whether nothing stands on object `index`."""
        return all(seen.on != index for seen in self.visible)

    def without(self, index: int) -> "State":
        """The same state with object `index` gone."""
        return replace(self, visible=tuple(s for s in self.visible if s.id != index))

    def with_seen(self, seen: Seen) -> "State":
        """The same state with one object added or changed."""
        others = self.without(seen.id).visible
        return replace(self, visible=tuple(sorted((*others, seen), key=lambda s: s.id)))


@dataclass(frozen=True)
class Event:
    """Something that happens; the state after it holds from its end."""

    type: str
    object: int | None
    start: float  # s
    end: float  # s, equal to `start` for what happens at once
    direction: str | None = None  # "left", "right"
    onto: int | None = None


def first_frame(event: Event, period: float) -> int:
    """The first frame that shows something of the event."""
    frame = math.ceil(event.start / period - EPSILON)
    moves = event.end > event.start
    return frame + 1 if moves and abs(frame * period - event.start) < EPSILON else frame


def last_frame(time: float, period: float) -> int:
    """The first frame at or after `time`: there, what ended at `time` is complete."""
    return math.ceil(time / period - EPSILON)


def state_facts(state: State) -> dict[str, Any]:
    """The state as JSON, without its start."""
    return {
        "visible": [{"id": s.id, "place": s.place, "on": s.on} for s in state.visible],
        "lamp": state.lamp,
        "drawer": state.drawer,
        "lid": state.lid,
        "arm": state.arm,
        "target": state.target,
    }


def state_list(states: list[tuple[float, State]], period: float) -> list[dict[str, Any]]:
    """(time in s, state) in order -> one entry for each frame from which another state holds."""
    by_frame: dict[int, State] = {}
    for time, state in states:
        by_frame[last_frame(time, period)] = state
    entries: list[dict[str, Any]] = []
    previous: State | None = None
    for frame, state in sorted(by_frame.items()):
        if state != previous:
            entries.append({"start": frame, **state_facts(state)})
            previous = state
    return entries


def event_list(events: list[Event], period: float) -> list[dict[str, Any]]:
    """Events as JSON, their times in frames."""
    return [
        {
            "type": event.type,
            "object": event.object,
            "start": first_frame(event, period),
            "end": max(first_frame(event, period), last_frame(event.end, period)),
            "direction": event.direction,
            "onto": event.onto,
        }
        for event in events
    ]
