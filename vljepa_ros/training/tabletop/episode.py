"""Draws whole episodes at random: a room, what stands in it, and what happens in turn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vljepa_ros.training.shards import FRAME_PERIOD
from vljepa_ros.training.tabletop import actions
from vljepa_ros.training.tabletop.facts import event_list, state_list
from vljepa_ros.training.tabletop.layout import Layout, draw_layout
from vljepa_ros.training.tabletop.script import Script
from vljepa_ros.training.tabletop.timeline import Timeline

PARTS = ("drawer", "lid", "lamp")

# s, the longest that a step takes: one that could be cut off by the end is not begun.
LONGEST = {"push": 4.1, "approach": 1.3, "place": 1.4, "stack": 1.4, "put_onto": 1.4, "move": 1.5}
LONGEST_OTHER = 1.4  # s

# After these the arm soon goes on.
AMID = ("approach", "grasp", "lift")


@dataclass(frozen=True)
class Step:
    """One thing that could happen next: an action and what it is done to."""

    action: Callable[..., object]
    weight: float
    what: tuple[int | str, ...] = ()

    @property
    def name(self) -> str:
        """That of the action."""
        return self.action.__name__


@dataclass(frozen=True)
class Episode:
    """A planned episode: how it looks at any time, and the facts."""

    seed: int
    layout: Layout
    timeline: Timeline
    script: Script
    duration: float  # s

    def frames(self, period: float) -> int:
        """How many frames it has at one per `period` s."""
        return round(self.duration / period)

    def facts(self, period: float) -> dict[str, Any]:
        """The facts in the form that shards hold."""
        frames = self.frames(period)
        states = state_list(self.script.states, period)
        states = [state for state in states if state["start"] < frames]
        seen = {entry["id"] for state in states for entry in state["visible"]}
        things = enumerate(self.layout.things)
        return {
            "source": "tabletop",
            "seed": self.seed,
            "frame_period": period,
            "frames": frames,
            "objects": [
                {"id": i, "name": thing.name, "color": thing.color}
                for i, thing in things
                if i in seen
            ],
            "states": states,
            "events": event_list(self.script.events, period),
        }


def _arm_steps(script: Script) -> list[Step]:
    state, target = script.state, script.state.target
    if state.arm == "away":
        near = script.within_reach()
        return [Step(actions.approach, 2.2 / len(near), (i,)) for i in near] + [
            Step(actions.push, 3.6 / len(near), (i,)) for i in near
        ]
    if target is None:
        return []
    last = script.events[-1].type
    if state.arm == "near":
        steps = [Step(actions.retract, 20 if last == "push" else 2)]
        if last != "push":
            steps.append(Step(actions.grasp, 16, (target,)))
        return steps
    if script.poses[target].spot[2] < 0.1:
        if any(event.type == "lift" for event in script.events[-2:]) or last in ("place", "stack"):
            return [Step(actions.retract, 30)]
        return [Step(actions.lift, 25, (target,))]
    steps = [Step(actions.place, 20, (target,))]
    for onto in _supports(script, target):
        steps.append(Step(actions.put_onto, 14, (target, onto)))
    return steps


def _supports(script: Script, index: int) -> list[int]:
    """Objects that object `index` can be put on."""
    things = script.layout.things
    thing = things[index]
    if thing.name == "plate" or thing.upright or not script.state.top(index):
        return []
    on_table = script.others(index)
    return [
        i
        for i in script.free_to_move()
        if i != index
        and i in on_table
        and things[i].supports
        and thing.half_width < 1.7 * things[i].half_width
        and (thing.name != "ball" or things[i].name == "plate")
    ]


def steps(script: Script, within: float) -> list[Step]:
    """Everything that could happen next and be over `within` s, each with its weight."""
    state = script.state
    absent = [i for i in range(len(script.layout.things)) if i not in state.ids()]
    free = script.free_to_move()
    found = _arm_steps(script)
    if len(state.ids()) < 4:
        found += [Step(actions.appear, 1.6 / len(absent), (i,)) for i in absent]
    for i in free:
        found.append(Step(actions.remove, 0.9 / len(free), (i,)))
        found.append(Step(actions.move, 1.2 / len(free), (i,)))
        if i in script.others(-1):
            pairs = _supports(script, i)
            found += [Step(actions.stack, 0.7 / len(free), (i, o)) for o in pairs]
    for part in PARTS:
        if getattr(state, part) is not None:
            weight = 1.8 if part == "lamp" else 1.5
            found.append(Step(actions.switch, weight, (part,)))
    return [step for step in found if LONGEST.get(step.name, LONGEST_OTHER) < within]


def take_step(script: Script, found: list[Step]) -> str:
    """Let one of the steps happen, drawn by weight; returns its name."""
    weights = np.array([step.weight for step in found])
    step = found[int(script.rng.choice(len(found), p=weights / weights.sum()))]
    step.action(script, *step.what)
    return step.name


def set_up(script: Script, present: int) -> None:
    """Begin with the first `present` objects, and with furniture as it may be."""
    rng = script.rng
    for index in range(present):
        supports = _supports(script, index)
        if supports and rng.random() < 0.25:
            actions.set_up_onto(script, index, supports[0])
        else:
            actions.set_up(script, index)
    for part in PARTS:
        if getattr(script.state, part) is not None and rng.random() < 0.45:
            actions.set_up_part(script, part)


def plan(seed: int) -> Episode:
    """The episode of `seed`, always the same."""
    rng = np.random.default_rng(seed)
    count = int(rng.choice([1, 2, 3, 4, 5], p=[0.08, 0.2, 0.28, 0.28, 0.16]))
    layout = draw_layout(rng, count)
    script = Script(layout, rng)
    set_up(script, int(rng.integers(0, count + 1)) if rng.random() < 0.35 else count - 1)
    duration = FRAME_PERIOD * int(rng.integers(40, 49))
    script.pause(0.5, 2.0)
    quiet = rng.random() < 0.08
    while not quiet and script.now < duration - 0.5:
        found = steps(script, within=duration - FRAME_PERIOD - script.now)
        if not found:
            break
        if take_step(script, found) in AMID:
            script.pause(0.5, 1.6)
        else:
            script.pause(1.0, 2.4)
    return Episode(seed, layout, script.timeline, script, duration)
