"""Which frames to process, where not all are wanted."""

from vljepa_ros.streaming.stamps import SECOND


class RateLimit:
    """Lets through at most so many stamps a second, as evenly as they come.

    The next one is due a period after the last was due, not after it came: a camera whose rate is
    no multiple of the limit would otherwise be held to one of its divisors.

    Args:
        rate: Hz; 0 for no limit.
    """

    def __init__(self, rate: float) -> None:
        self._period = round(SECOND / rate) if rate else 0  # ns
        self._due = self._last = 0  # ns

    def accept(self, stamp: int) -> bool:
        """Whether the frame of this stamp (ns) is to be processed.

        One that is older than the one before begins another stream, and is accepted.
        """
        if stamp < self._last:
            self._due = stamp
        self._last = stamp
        late = stamp - self._due
        if late < 0:
            return False
        on_time = 0 <= late < self._period
        self._due = (self._due if on_time else stamp) + self._period
        return True
