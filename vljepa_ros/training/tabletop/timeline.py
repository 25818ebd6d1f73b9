"""Values that move over time, and the whole scene at one moment."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Track:
    """A vector that rests, and moves smoothly from one value to the next."""

    def __init__(self, value: Array | list[float]) -> None:
        self._times = [0.0]
        self._values = [np.asarray(value, np.float64)]

    @property
    def last(self) -> Array:
        """The value after everything that is planned so far."""
        return self._values[-1]

    def move(self, start: float, end: float, value: Array | list[float]) -> None:
        """Rest until `start` (s), then reach `value` at `end`; equal times make a step."""
        self._times += [start, end]
        self._values += [self.last, np.asarray(value, np.float64)]

    def at(self, time: float) -> Array:
        """The value at `time` (s); at a step, the value after it."""
        index = int(np.searchsorted(self._times, time, side="right")) - 1
        if index + 1 >= len(self._times):
            return self.last
        start, end = self._times[index], self._times[index + 1]
        part = (time - start) / (end - start)
        part = part * part * (3 - 2 * part)
        return self._values[index] * (1 - part) + self._values[index + 1] * part


@dataclass
class Timeline:
    """Everything that moves in an episode."""

    objects: list[Track]  # each x, y, z (m), yaw (rad), 1 seen or 0 not there
    arm: Track  # x, y, z of the fingertips (m), half opening (m)
    drawer: Track = field(default_factory=lambda: Track([0.0]))  # 0 closed .. 1 open
    lid: Track = field(default_factory=lambda: Track([0.0]))  # 0 closed .. 1 open
    lamp: Track = field(default_factory=lambda: Track([0.0]))  # 0 off, 1 on

    def at(self, time: float) -> Array:
        """All values at `time` (s): five per object, four of the arm, drawer, lid, lamp."""
        tracks = [*self.objects, self.arm, self.drawer, self.lid, self.lamp]
        return np.concatenate([track.at(time) for track in tracks])
