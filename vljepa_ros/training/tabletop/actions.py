"""The actions of a scene: each plans one thing that happens, its motion and its facts.

One that returns False found no room and did nothing.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from vljepa_ros.training.tabletop import placing
from vljepa_ros.training.tabletop.arm import OPEN_MAX
from vljepa_ros.training.tabletop.camera import raised
from vljepa_ros.training.tabletop.facts import Event
from vljepa_ros.training.tabletop.script import FINGER_ROOM, Pose, Script

FALL = 0.42  # m, from how high an object comes in, and how high it leaves
LIFT = 0.20  # m
PUSHER = 0.028  # m, half the width of the closed fingers


def set_up(script: Script, index: int) -> bool:
    """Put an object on the table before the episode begins; False where there is no room."""
    spot = placing.free_spot(script.layout, index, script.others(index), script.rng)
    if spot is None:
        return False
    script.stand(index, Pose(spot, script.yaw(index)), None)
    script.timeline.objects[index].move(0.0, 0.0, script.value(index, 1.0))
    script.states = [(0.0, script.state)]
    return True


def set_up_onto(script: Script, index: int, onto: int) -> None:
    """Begin with an object on top of another."""
    script.stand(index, Pose(script.on_top(onto), script.yaw(index)), onto)
    script.timeline.objects[index].move(0.0, 0.0, script.value(index, 1.0))
    script.states = [(0.0, script.state)]


def _set_part(script: Script, part: str, value: str) -> None:
    changes: dict[str, Any] = {part: value}
    script.state = replace(script.state, **changes)


def set_up_part(script: Script, part: str) -> None:
    """Begin with the "drawer" or "lid" open, or the "lamp" on."""
    getattr(script.timeline, part).move(0.0, 0.0, [1.0])
    _set_part(script, part, "on" if part == "lamp" else "open")
    script.states = [(0.0, script.state)]


def appear(script: Script, index: int) -> bool:
    """An object pops up or comes down from above."""
    spot = placing.free_spot(script.layout, index, script.others(index), script.rng)
    if spot is None:
        return False
    start, track = script.now, script.timeline.objects[index]
    script.stand(index, Pose(spot, script.yaw(index)), None)
    if script.rng.random() < 0.5:
        value = script.value(index, 1.0)
        value[2] += FALL
        track.move(start, start, value)
        script.now += 0.5
    track.move(start, script.now, script.value(index, 1.0))
    return script.done(Event("appear", index, start, script.now))


def remove(script: Script, index: int) -> bool:
    """An object vanishes or is taken away upwards."""
    start, track = script.now, script.timeline.objects[index]
    if script.rng.random() < 0.5:
        value = script.value(index, 1.0)
        value[2] += FALL
        script.now += 0.5
        track.move(start, script.now, value)
    track.move(script.now, script.now, script.value(index, 0.0))
    del script.poses[index]
    script.state = script.state.without(index)
    return script.done(Event("remove", index, start, script.now))


def move(script: Script, index: int) -> bool:
    """An object slides to the left or the right by itself."""
    for sign in script.signs():
        end = script.slide_end(index, sign)
        if end is not None:
            start = script.now
            script.slide(index, end, script.rng.uniform(0.9, 1.4))
            return script.done(Event("move", index, start, script.now, script.side(sign)))
    return False


def stack(script: Script, index: int, onto: int) -> bool:
    """An object hops onto another by itself."""
    start = script.now
    script.carry(index, script.on_top(onto), onto, with_arm=False)
    return script.done(Event("stack", index, start, script.now, onto=onto))


def switch(script: Script, part: str) -> bool:
    """Open or close the "drawer" or the "lid", turn the "lamp" on or off."""
    start, track = script.now, getattr(script.timeline, part)
    other = {"on": "off", "off": "on", "open": "closed", "closed": "open"}
    after = other[getattr(script.state, part)]
    if part != "lamp":
        script.now += float(script.rng.uniform(0.8, 1.3))
    track.move(start, script.now, [float(after in ("on", "open"))])
    _set_part(script, part, after)
    word = "close" if after == "closed" else after
    return script.done(Event(f"{part}_{word}", None, start, script.now))


def approach(script: Script, index: int) -> bool:
    """The arm comes to stand over an object."""
    start = script.now
    script.now += float(script.rng.uniform(0.9, 1.2))
    over = script.grip_point(index)
    over[2] = script.top(index) + 0.05
    script.timeline.arm.move(start, script.now, [*over, script.opening(index)])
    return script.reached(index, start)


def push(script: Script, index: int) -> bool:
    """The arm comes to stand beside an object, then pushes it to the left or the right."""
    pose, thing = script.poses[index], script.layout.things[index]
    for sign in script.signs():
        end = script.slide_end(index, sign)
        if end is None or not placing.reachable(script.layout, end, margin=0.12):
            continue
        along = np.array([*script.layout.room.camera.table_right(), 0.0]) * sign
        lag = (thing.half_width * 0.97 + PUSHER) * along
        beside = pose.spot - lag - 0.03 * along
        beside[2] = min(0.05, thing.height * 0.5)
        if not placing.reachable(script.layout, beside):
            continue
        start, arm = script.now, script.timeline.arm
        above = raised(beside, thing.height + 0.08)
        arm.move(start, start + 0.8, [*above, 0.0])
        script.now += 1.15
        arm.move(start + 0.8, script.now, [*beside, 0.0])
        script.reached(index, start)
        script.pause(0.4, 1.2)
        contact = pose.spot - lag
        contact[2] = beside[2]
        arm.move(script.now, script.now + 0.15, [*contact, 0.0])
        script.now += 0.15
        start = script.now
        script.slide(index, end, script.rng.uniform(1.0, 1.5))
        arm.move(start, script.now, [*(contact + end - pose.spot), 0.0])
        return script.done(Event("push", index, start, script.now, script.side(sign)))
    return False


def grasp(script: Script, index: int) -> bool:
    """The fingers go down and close on the object that the arm is over."""
    start, arm = script.now, script.timeline.arm
    point = script.grip_point(index)
    arm.move(start, start + 0.35, [*point, script.opening(index)])
    script.now += 0.6
    arm.move(start + 0.35, script.now, [*point, script.layout.things[index].grip])
    script.state = replace(script.state, arm="holding")
    return script.done(Event("grasp", index, start, script.now))


def lift(script: Script, index: int) -> bool:
    """The arm raises the object that it holds."""
    start = script.now
    script.now += 0.8
    pose = script.poses[index]
    high = Pose(raised(pose.spot, LIFT), pose.yaw)
    script.go(index, [(start, script.now, high.spot)], with_arm=True)
    script.stand(index, high, None)
    return script.done(Event("lift", index, start, script.now))


def place(script: Script, index: int) -> bool:
    """The arm puts down what it holds, where it was or somewhere else."""
    pose, start = script.poses[index], script.now
    spot = pose.spot * [1, 1, 0]
    if script.rng.random() < 0.6 or not placing.stands_well(
        script.layout, index, spot, script.others(index)
    ):
        for _ in range(4):
            free = placing.free_spot(script.layout, index, script.others(index), script.rng)
            if free is not None and placing.reachable(script.layout, free):
                spot = free
                break
    script.carry(index, spot, None, with_arm=True)
    return script.done(Event("place", index, start, script.now))


def put_onto(script: Script, index: int, onto: int) -> bool:
    """The arm puts what it holds onto another object."""
    start = script.now
    script.carry(index, script.on_top(onto), onto, with_arm=True)
    return script.done(Event("stack", index, start, script.now, onto=onto))


def retract(script: Script) -> None:
    """The arm lets go and returns to its rest; a change of state without an event."""
    arm, index = script.timeline.arm, script.state.target
    tip = arm.last.copy()
    if index is not None and script.state.arm == "holding":
        tip[3] = min(tip[3] + FINGER_ROOM, OPEN_MAX)
        arm.move(script.now, script.now + 0.25, tip)
        script.now += 0.25
    up = tip.copy()
    up[2] += 0.12
    arm.move(script.now, script.now + 0.35, up)
    arm.move(script.now + 0.35, script.now + 1.1, script.layout.arm_home)
    script.now += 1.1
    script.state = replace(script.state, arm="away", target=None)
    script.states.append((script.now, script.state))
