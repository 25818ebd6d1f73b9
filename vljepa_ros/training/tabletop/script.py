"""The script of a scene: its clock, its tracks, and the record of facts, by which actions work."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.training.tabletop import placing
from vljepa_ros.training.tabletop.arm import OPEN_MAX
from vljepa_ros.training.tabletop.camera import raised
from vljepa_ros.training.tabletop.facts import Event, Seen, State
from vljepa_ros.training.tabletop.layout import Layout
from vljepa_ros.training.tabletop.timeline import Timeline, Track

Array = NDArray[np.float64]

CARRY = 0.24  # m over the table, at least, while something is carried
FINGER_ROOM = 0.03  # m, how much wider than the object the fingers open


@dataclass(frozen=True)
class Pose:
    """Foot of an object (3,) in m, and its turn in rad."""

    spot: Array
    yaw: float


class Script:
    """A scene under way, written action by action; `now` (s) is the end of what is planned."""

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self.layout = layout
        self.rng = rng
        self.now = 0.0
        self.timeline = Timeline(
            objects=[Track([0.0, 0.0, 0.0, 0.0, 0.0]) for _ in layout.things],
            arm=Track(layout.arm_home),
        )
        self.poses: dict[int, Pose] = {}
        self.events: list[Event] = []
        self.state = State(
            visible=(),
            lamp=None if layout.lamp is None else "off",
            drawer=None if layout.cabinet is None else "closed",
            lid=None if layout.box is None else "closed",
            arm=None if layout.arm is None else "away",
        )
        self.states: list[tuple[float, State]] = [(0.0, self.state)]

    def free_to_move(self) -> list[int]:
        """Objects that nothing stands on and the arm is not at."""
        state = self.state
        return [i for i in state.ids() if state.top(i) and i != state.target]

    def within_reach(self) -> list[int]:
        """Objects that the idle arm can go to."""
        if self.state.arm != "away":
            return []
        return [
            i for i in self.free_to_move() if placing.reachable(self.layout, self.poses[i].spot)
        ]

    def others(self, index: int) -> dict[int, Array]:
        """Where the objects other than `index` stand on the table."""
        grounded = {s.id for s in self.state.visible if s.on is None}
        return {i: pose.spot for i, pose in self.poses.items() if i in grounded - {index}}

    def pause(self, low: float, high: float) -> None:
        """Nothing happens for a time between `low` and `high` s."""
        self.now += float(self.rng.uniform(low, high))

    def done(self, event: Event) -> bool:
        """Record an event and the state after it."""
        self.events.append(event)
        self.states.append((self.now, self.state))
        return True

    def reached(self, index: int, start: float) -> bool:
        """The arm has come near object `index`."""
        self.state = replace(self.state, arm="near", target=index)
        return self.done(Event("approach", index, start, self.now))

    def yaw(self, index: int) -> float:
        """A turn at random, rad, that leaves a mug's handle and a book's cover in sight."""
        name = self.layout.things[index].name
        turn = float(self.rng.uniform(-0.45, 0.45))
        flip = np.pi if name == "mug" and self.rng.random() < 0.5 else 0.0
        return turn + flip

    def signs(self) -> list[int]:
        """Right (1) and left (-1) in a random order."""
        return [1, -1] if self.rng.random() < 0.5 else [-1, 1]

    def side(self, sign: int) -> str:
        """The word for a sign."""
        return "right" if sign > 0 else "left"

    def stand(self, index: int, pose: Pose, on: int | None) -> None:
        """Note that an object is at `pose` now, and what it stands on."""
        self.poses[index] = pose
        place = self.layout.room.camera.place(pose.spot)
        self.state = self.state.with_seen(Seen(index, place, on))

    def value(self, index: int, seen: float) -> Array:
        """What the object's track holds for its pose; `seen` is 1 or 0."""
        pose = self.poses[index]
        return np.array([*pose.spot, pose.yaw, seen])

    def top(self, index: int) -> float:
        """Height of an object's top over the table, m."""
        return float(self.poses[index].spot[2] + self.layout.things[index].height)

    def on_top(self, onto: int) -> Array:
        """Foot (3,) of something that stands on object `onto`."""
        spot: Array = self.poses[onto].spot.copy()
        # What stands on a plate stands in its hollow.
        hollow = 0.4 if self.layout.things[onto].name == "plate" else 1.0
        spot[2] += hollow * self.layout.things[onto].height
        return spot

    def grip_point(self, index: int) -> Array:
        """Where the fingertips meet to hold the object, (3,)."""
        thing, pose = self.layout.things[index], self.poses[index]
        depth = min(0.05, thing.height * 0.6)
        if thing.name == "ball":
            depth = thing.height * 0.5
        point = raised(pose.spot, thing.height - depth)
        if thing.name == "plate":  # held by its rim
            point[0] += thing.half_width * 0.93
        return point

    def opening(self, index: int) -> float:
        """Half opening of the fingers that makes room for the object, m."""
        return min(self.layout.things[index].grip + FINGER_ROOM, OPEN_MAX)

    def slide_end(self, index: int, sign: int) -> Array | None:
        """See placing.slide_end."""
        return placing.slide_end(
            self.layout, index, self.poses[index].spot, sign, self.others(index), self.rng
        )

    def slide(self, index: int, end: Array, duration: float) -> None:
        """Move an object along the table in `duration` s."""
        start = self.now
        self.now += float(duration)
        self.go(index, [(start, self.now, end)], with_arm=False)
        self.stand(index, Pose(end, self.poses[index].yaw), None)

    def carry(self, index: int, spot: Array, on: int | None, with_arm: bool) -> None:
        """Take an object up, over and down to `spot` (3,)."""
        pose = self.poses[index]
        height = max(CARRY, float(spot[2]) + 0.06, float(pose.spot[2]))
        legs: list[tuple[float, float, Array]] = []
        for duration, point in (
            (0.3, np.array([*pose.spot[:2], height])),
            (0.6, np.array([*spot[:2], height])),
            (0.45, spot),
        ):
            if np.linalg.norm(point - (legs[-1][2] if legs else pose.spot)) > 0.01:
                legs.append((self.now, self.now + duration, point))
                self.now += duration
        self.go(index, legs, with_arm)
        self.stand(index, Pose(spot, pose.yaw), on)

    def go(self, index: int, legs: list[tuple[float, float, Array]], with_arm: bool) -> None:
        """Move an object, and the arm if it holds it, along (start, end, foot) legs."""
        pose, arm = self.poses[index], self.timeline.arm
        grip = arm.last[:3] - pose.spot
        for start, end, point in legs:
            self.timeline.objects[index].move(start, end, [*point, pose.yaw, 1.0])
            if with_arm:
                arm.move(start, end, [*(point + grip), arm.last[3]])
