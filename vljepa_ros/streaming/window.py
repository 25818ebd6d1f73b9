"""Which of the arrived frames make up the window of the newest one."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Generic, TypeVar

from vljepa_ros.errors import InputError
from vljepa_ros.streaming.stamps import SECOND

T = TypeVar("T")


class FrameWindow(Generic[T]):
    """The last frames of a stream, sampled by stamp and not by arrival.

    A model that was trained on frames `period` seconds apart must see them so at any camera
    rate, with dropped frames and with jitter. So the window of the newest frame, of stamp t, is
    made of the frames nearest to t, t - period, t - 2 period, ...; a frame stands for a target
    only within half a period of it. Fewer come back while the history is short, when the camera
    is slower than the period, and after a gap in the stream.

    Args:
        frames: number of frames of a full window, at least 1.
        period: seconds between neighbouring frames of the window, greater than 0.
        min_spacing: seconds between the frames kept, from 0 (keep all) to `period`. For large
            items: at 0.25 a window of 4 x 0.5 s holds 8 images and not the 53 that a 30 Hz
            camera sends in that time. The newest frame is kept in any case.

    Raises:
        InputError: for an argument outside its range.
    """

    def __init__(self, frames: int, period: float, min_spacing: float = 0.0) -> None:
        if frames < 1:
            raise InputError(f"frames must be at least 1, got {frames}")
        if not (math.isfinite(period) and period > 0):
            raise InputError(f"period must be a positive number of seconds, got {period}")
        if not 0 <= min_spacing <= period:
            raise InputError(f"min_spacing must lie in [0, {period}] (period), got {min_spacing}")
        self._frames = frames
        self._period = round(period * SECOND)
        self._min_spacing = round(min_spacing * SECOND)
        self._stored: deque[tuple[int, T]] = deque()

    def add(self, stamp: int, item: T) -> bool:
        """Store a frame; a frame with the newest stamp once more replaces the newest.

        Args:
            stamp: time at which the frame was taken, in nanoseconds.
            item: what to keep of it: an image, its tokens.

        Returns:
            True when time ran backwards (a bag that loops, a simulation restarted), in which
            case everything older was dropped first. A gap longer than the window drops it all
            too, but is no fault.
        """
        backwards = bool(self._stored) and stamp < self._stored[-1][0]
        if backwards:
            self.clear()
        if self._stored and self._newest_is_surplus(stamp):
            self._stored.pop()
        self._stored.append((stamp, item))
        horizon = stamp - (self._frames - 1) * self._period - self._period // 2
        while self._stored[0][0] < horizon:
            self._stored.popleft()
        return backwards

    def sample(self, preferred: Mapping[int, T] | None = None) -> list[tuple[int, T]]:
        """Return the window of the newest frame as (stamp, item), oldest first.

        Args:
            preferred: further frames, by stamp, that are taken where any of them stands for a
                target, even if one of the window's own is nearer to it.

        Returns:
            Up to `frames` of them, each frame once, the newest of the window's own last; empty
            before the first frame.
        """
        if not self._stored:
            return []
        newest = self._stored[-1][0]
        chosen = [self._stored[-1]]
        sources = list((preferred or {}).items()), list(self._stored)
        for target in range(1, self._frames):
            wanted = newest - target * self._period
            for candidates in sources:
                nearest = min(
                    candidates, key=lambda frame: abs(frame[0] - wanted), default=chosen[-1]
                )
                # Half a period is a tie between two targets: the frame serves one of them only.
                if abs(nearest[0] - wanted) <= self._period // 2 and nearest[0] < chosen[-1][0]:
                    chosen.append(nearest)
                    break
        return chosen[::-1]

    def clear(self) -> None:
        """Forget all frames."""
        self._stored.clear()

    def _newest_is_surplus(self, stamp: int) -> bool:
        """Say whether the newest frame must go when one of this stamp comes."""
        if stamp == self._stored[-1][0]:
            return True
        return (
            len(self._stored) > 1 and self._stored[-1][0] - self._stored[-2][0] < self._min_spacing
        )
