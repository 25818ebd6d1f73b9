"""The steps that a scene can take: each plans one thing that happens, its motion and its facts."""

from dataclasses import replace
from typing import Any

import numpy as np

from vljepa_ros.training.tabletop import placing
from vljepa_ros.training.tabletop.arm import OPEN_MAX
from vljepa_ros.training.tabletop.camera import raised
from vljepa_ros.training.tabletop.facts import Event
from vljepa_ros.training.tabletop.motion import FINGER_ROOM, Motion, Pose

FALL = 0.42  # m, from how high an object comes in, and how high it leaves
LIFT = 0.20  # m
PUSHER = 0.028  # m, half the width of the closed fingers


class Script(Motion):
    """Plans an episode step by step; a step that returns False found no room and did nothing."""

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

    def set_up(self, index: int) -> bool:
        """Put an object on the table before the episode begins; False where there is no room."""
        spot = placing.free_spot(self.layout, index, self.others(index), self.rng)
        if spot is None:
            return False
        self.stand(index, Pose(spot, self.yaw(index)), None)
        self.timeline.objects[index].move(0.0, 0.0, self.value(index, 1.0))
        self.states = [(0.0, self.state)]
        return True

    def set_up_onto(self, index: int, onto: int) -> None:
        """Begin with an object on top of another."""
        self.stand(index, Pose(self.on_top(onto), self.yaw(index)), onto)
        self.timeline.objects[index].move(0.0, 0.0, self.value(index, 1.0))
        self.states = [(0.0, self.state)]

    def _set_part(self, part: str, value: str) -> None:
        changes: dict[str, Any] = {part: value}
        self.state = replace(self.state, **changes)

    def set_up_part(self, part: str) -> None:
        """Begin with the "drawer" or "lid" open, or the "lamp" on."""
        getattr(self.timeline, part).move(0.0, 0.0, [1.0])
        self._set_part(part, "on" if part == "lamp" else "open")
        self.states = [(0.0, self.state)]

    def appear(self, index: int) -> bool:
        """An object pops up or comes down from above."""
        spot = placing.free_spot(self.layout, index, self.others(index), self.rng)
        if spot is None:
            return False
        start, track = self.now, self.timeline.objects[index]
        self.stand(index, Pose(spot, self.yaw(index)), None)
        if self.rng.random() < 0.5:
            value = self.value(index, 1.0)
            value[2] += FALL
            track.move(start, start, value)
            self.now += 0.5
        track.move(start, self.now, self.value(index, 1.0))
        return self.done(Event("appear", index, start, self.now))

    def remove(self, index: int) -> bool:
        """An object vanishes or is taken away upwards."""
        start, track = self.now, self.timeline.objects[index]
        if self.rng.random() < 0.5:
            value = self.value(index, 1.0)
            value[2] += FALL
            self.now += 0.5
            track.move(start, self.now, value)
        track.move(self.now, self.now, self.value(index, 0.0))
        del self.poses[index]
        self.state = self.state.without(index)
        return self.done(Event("remove", index, start, self.now))

    def move(self, index: int) -> bool:
        """An object slides to the left or the right by itself."""
        for sign in self.signs():
            end = self.slide_end(index, sign)
            if end is not None:
                start = self.now
                self.slide(index, end, self.rng.uniform(0.9, 1.4))
                return self.done(Event("move", index, start, self.now, self.side(sign)))
        return False

    def stack(self, index: int, onto: int) -> bool:
        """An object hops onto another by itself."""
        start = self.now
        self.carry(index, self.on_top(onto), onto, with_arm=False)
        return self.done(Event("stack", index, start, self.now, onto=onto))

    def switch(self, part: str) -> bool:
        """Open or close the "drawer" or the "lid", turn the "lamp" on or off."""
        start, track = self.now, getattr(self.timeline, part)
        other = {"on": "off", "off": "on", "open": "closed", "closed": "open"}
        after = other[getattr(self.state, part)]
        if part != "lamp":
            self.now += float(self.rng.uniform(0.8, 1.3))
        track.move(start, self.now, [float(after in ("on", "open"))])
        self._set_part(part, after)
        word = "close" if after == "closed" else after
        return self.done(Event(f"{part}_{word}", None, start, self.now))

    def approach(self, index: int) -> bool:
        """The arm comes to stand over an object."""
        start = self.now
        self.now += float(self.rng.uniform(0.9, 1.2))
        over = self.grip_point(index)
        over[2] = self.top(index) + 0.05
        self.timeline.arm.move(start, self.now, [*over, self.opening(index)])
        return self.reached(index, start)

    def push(self, index: int) -> bool:
        """The arm comes to stand beside an object, then pushes it to the left or the right."""
        pose, thing = self.poses[index], self.layout.things[index]
        for sign in self.signs():
            end = self.slide_end(index, sign)
            if end is None or not placing.reachable(self.layout, end, margin=0.12):
                continue
            along = np.array([*self.layout.room.camera.table_right(), 0.0]) * sign
            lag = (thing.half_width * 0.97 + PUSHER) * along
            beside = pose.spot - lag - 0.03 * along
            beside[2] = min(0.05, thing.height * 0.5)
            if not placing.reachable(self.layout, beside):
                continue
            start, arm = self.now, self.timeline.arm
            above = raised(beside, thing.height + 0.08)
            arm.move(start, start + 0.8, [*above, 0.0])
            self.now += 1.15
            arm.move(start + 0.8, self.now, [*beside, 0.0])
            self.reached(index, start)
            self.pause(0.4, 1.2)
            contact = pose.spot - lag
            contact[2] = beside[2]
            arm.move(self.now, self.now + 0.15, [*contact, 0.0])
            self.now += 0.15
            start = self.now
            self.slide(index, end, self.rng.uniform(1.0, 1.5))
            arm.move(start, self.now, [*(contact + end - pose.spot), 0.0])
            return self.done(Event("push", index, start, self.now, self.side(sign)))
        return False

    def grasp(self, index: int) -> bool:
        """The fingers go down and close on the object that the arm is over."""
        start, arm = self.now, self.timeline.arm
        point = self.grip_point(index)
        arm.move(start, start + 0.35, [*point, self.opening(index)])
        self.now += 0.6
        arm.move(start + 0.35, self.now, [*point, self.layout.things[index].grip])
        self.state = replace(self.state, arm="holding")
        return self.done(Event("grasp", index, start, self.now))

    def lift(self, index: int) -> bool:
        """The arm raises the object that it holds."""
        start = self.now
        self.now += 0.8
        pose = self.poses[index]
        high = Pose(raised(pose.spot, LIFT), pose.yaw)
        self.go(index, [(start, self.now, high.spot)], with_arm=True)
        self.stand(index, high, None)
        return self.done(Event("lift", index, start, self.now))

    def place(self, index: int) -> bool:
        """The arm puts down what it holds, where it was or somewhere else."""
        pose, start = self.poses[index], self.now
        spot = pose.spot * [1, 1, 0]
        if self.rng.random() < 0.6 or not placing.stands_well(
            self.layout, index, spot, self.others(index)
        ):
            for _ in range(4):
                free = placing.free_spot(self.layout, index, self.others(index), self.rng)
                if free is not None and placing.reachable(self.layout, free):
                    spot = free
                    break
        self.carry(index, spot, None, with_arm=True)
        return self.done(Event("place", index, start, self.now))

    def put_onto(self, index: int, onto: int) -> bool:
        """The arm puts what it holds onto another object."""
        start = self.now
        self.carry(index, self.on_top(onto), onto, with_arm=True)
        return self.done(Event("stack", index, start, self.now, onto=onto))

    def retract(self) -> None:
        """The arm lets go and returns to its rest; a change of state without an event."""
        arm, index = self.timeline.arm, self.state.target
        tip = arm.last.copy()
        if index is not None and self.state.arm == "holding":
            tip[3] = min(tip[3] + FINGER_ROOM, OPEN_MAX)
            arm.move(self.now, self.now + 0.25, tip)
            self.now += 0.25
        up = tip.copy()
        up[2] += 0.12
        arm.move(self.now, self.now + 0.35, up)
        arm.move(self.now + 0.35, self.now + 1.1, self.layout.arm_home)
        self.now += 1.1
        self.state = replace(self.state, arm="away", target=None)
        self.states.append((self.now, self.state))
