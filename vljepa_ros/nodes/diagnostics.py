"""Counts and timings of a node, sent as diagnostic_msgs once a second."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

PERIOD = 1.0  # s
_HISTORY = 200  # timings kept for the percentiles


class Statistics:
    """Counters and timings that any thread may add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._timings: dict[str, deque[float]] = {}

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += amount

    def time(self, name: str, seconds: float) -> None:
        """Add a duration; the last 200 give the percentiles."""
        with self._lock:
            self._timings.setdefault(name, deque(maxlen=_HISTORY)).append(seconds)

    def counts(self) -> dict[str, int]:
        """All counters."""
        with self._lock:
            return dict(self._counts)

    def values(self) -> dict[str, str]:
        """Counters, and median and 95th percentile of each timing in ms, as texts."""
        with self._lock:
            shown = {name: str(value) for name, value in sorted(self._counts.items())}
            for name, seconds in sorted(self._timings.items()):
                middle, high = np.percentile(np.array(seconds) * 1e3, (50, 95))
                shown[f"{name} p50 (ms)"] = f"{middle:.1f}"
                shown[f"{name} p95 (ms)"] = f"{high:.1f}"
        return shown


class Diagnostics:
    """Publishes a node's statistics, and the warnings that hold at the moment, if any.

    Args:
        node: for the topic /diagnostics, which REP-107 fixes.
        statistics: what is published; of counters of frames, the rate as well.
        details: more values, asked for each time.
    """

    state = "unconfigured"  # of the node's lifecycle

    def __init__(
        self, node: Node, statistics: Statistics, details: Callable[[], Mapping[str, str]]
    ) -> None:
        self._node = node
        self._statistics = statistics
        self._details = details
        self._counts: dict[str, int] = {}
        self._counted_at = time.monotonic()
        self._warnings: dict[str, str] = {}
        self._failure = ""
        self._bad_inputs = 0
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady: a paused simulation must not hide that a node is ill.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(PERIOD, self._publish, clock=clock)

    def warn(self, message: str, about: str) -> None:
        """Set the warning about something that the status carries until replaced; "" for none."""
        self._warnings = {**self._warnings, about: message}

    def fail(self, message: str) -> None:
        """Set the error that the status carries until it is replaced; "" for none."""
        self._failure = message

    def _publish(self) -> None:
        bad = sum(n for name, n in self._statistics.counts().items() if name.startswith("bad "))
        new, self._bad_inputs = bad - self._bad_inputs, bad
        warnings = "; ".join(filter(None, self._warnings.values()))
        message = warnings or (f"{new} bad inputs in the last second" if new else "")
        level = DiagnosticStatus.WARN if message else DiagnosticStatus.OK
        healthy = "OK" if self.state == "active" else f"OK, {self.state}"
        status = DiagnosticStatus(
            level=DiagnosticStatus.ERROR if self._failure else level,
            name=self._node.get_fully_qualified_name().lstrip("/"),
            message=self._failure or message or healthy,
            hardware_id="",
        )
        values = {"state": self.state, **self._details()}
        values |= {**self._statistics.values(), **self._rates()}
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _rates(self) -> dict[str, str]:
        """How many frames were counted each second since the last time."""
        now, counts = time.monotonic(), self._statistics.counts()
        seconds, before = now - self._counted_at, self._counts
        self._counted_at, self._counts = now, counts
        return {
            f"{name} (Hz)": f"{(count - before.get(name, 0)) / seconds:.1f}"
            for name, count in counts.items()
            if name.startswith("frames ") and seconds > 0
        }
