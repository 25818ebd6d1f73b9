"""Whether the changes that a causal detector tells are events, and how late it tells them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evidence.detectors import Decode
from evidence.streams import Stream

# s after an event has left the window in which a detector may tell the rest: the longest wait that
# one may have, and half a second more.
_RETURN = 2.5


@dataclass(frozen=True)
class Detection:
    """Attributes below; times in s.

    Attributes:
        delays: of the events that were detected, from their start.
        events: how many there were.
        false_alarms: changes told where no event was near.
        quiet: how long no event was near.
    """

    delays: list[float]
    events: int
    false_alarms: int
    quiet: float

    @property
    def missed(self) -> float:
        """Share of the events."""
        return 1 - len(self.delays) / self.events if self.events else 0.0

    @property
    def false_alarms_per_hour(self) -> float:
        """Of the time when no event was near."""
        return 3600 * self.false_alarms / self.quiet if self.quiet else 0.0


def detect(
    streams: Sequence[Stream], decodes: Sequence[Sequence[Decode]], span: float
) -> Detection:
    """Hold the changes of each stream against its events.

    An event counts as detected by the first change that falls between its start and the last
    window that shows it, and has detected no earlier event. Near an event is also the time in
    which a detector may tell that all is quiet again.

    Args:
        streams: S streams.
        decodes: of each of them.
        span: s from a window's first to its last frame.
    """
    delays: list[float] = []
    events = false_alarms = 0
    quiet = 0.0
    for stream, told in zip(streams, decodes, strict=True):
        shown = [(a["start"], a["end"] + span) for a in stream.facts["annotations"]]
        changes = [decode.time for decode in told if decode.change]
        free = list(changes)
        for start, end in shown:
            hit = next((time for time in free if start <= time <= end), None)
            if hit is not None:
                delays.append(hit - start)
                free.remove(hit)
        events += len(shown)
        near = np.zeros(len(stream.times), bool)
        for start, end in shown:
            near |= (stream.times >= start) & (stream.times <= end + _RETURN)
        quiet += stream.duration * float(np.mean(~near))
        false_alarms += sum(
            not any(start <= time <= end + _RETURN for start, end in shown) for time in changes
        )
    return Detection(delays, events, false_alarms, quiet)
