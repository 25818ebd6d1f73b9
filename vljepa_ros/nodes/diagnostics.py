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
BAD, ERRORS, FRAMES = "bad ", "errors with ", "frames "  # how the names of counters begin
_HISTORY, _RECENT = 200, 60.0  # timings that make up the percentiles: how many, and s


class Statistics:
    """Counters and timings that any thread may add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._timings: dict[str, deque[tuple[float, float]]] = {}  # when, and how long, s

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += amount

    def time(self, name: str, seconds: float) -> None:
        """Add a duration; the last 200 of the last minute give the percentiles."""
        with self._lock:
            timings = self._timings.setdefault(name, deque(maxlen=_HISTORY))
            timings.append((time.monotonic(), seconds))

    def counts(self) -> dict[str, int]:
        """All counters."""
        with self._lock:
            return dict(self._counts)

    def values(self) -> dict[str, str]:
        """Counters, and median and 95th percentile of each recent timing in ms, as texts."""
        with self._lock:
            shown = {name: str(value) for name, value in sorted(self._counts.items())}
            # Old ones would tell of a node that has stopped what it told when it worked.
            begin = time.monotonic() - _RECENT
            for name, timings in sorted(self._timings.items()):
                if recent := [seconds for when, seconds in timings if when >= begin]:
                    middle, high = np.percentile(np.array(recent) * 1e3, (50, 95))
                    shown[f"{name} p50 (ms)"] = f"{middle:.1f}"
                    shown[f"{name} p95 (ms)"] = f"{high:.1f}"
        return shown


class Diagnostics:
    """Publishes a node's statistics, and what is wrong at the moment, if anything is.

    Bad inputs of the last second are a warning; errors that are not the input's, an error.

    Args:
        node: for the topic /diagnostics, which REP-107 fixes.
        statistics: what is published; of counters of frames, the rate as well. Counters that
            begin with BAD or ERRORS are what the level and the message hang on.
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
        new, seconds = self._since_last()
        errors = sum(n for name, n in new.items() if name.startswith(ERRORS))
        bad = sum(n for name, n in new.items() if name.startswith(BAD))
        healthy = "OK" if self.state == "active" else f"OK, {self.state}"
        level, message = DiagnosticStatus.OK, healthy
        if self._failure or errors:
            level = DiagnosticStatus.ERROR
            message = self._failure or f"{errors} errors in the last second; the log tells them"
        elif any(self._warnings.values()) or bad:
            level = DiagnosticStatus.WARN
            warnings = "; ".join(filter(None, self._warnings.values()))
            message = warnings or f"{bad} bad inputs in the last second"
        values = {"state": self.state, **self._details(), **self._statistics.values()}
        rates = {name: n / seconds for name, n in new.items() if name.startswith(FRAMES)}
        values |= {f"{name} (Hz)": f"{rate:.1f}" for name, rate in rates.items()}
        status = DiagnosticStatus(
            level=level,
            name=self._node.get_fully_qualified_name().lstrip("/"),
            message=message,
            hardware_id="",
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _since_last(self) -> tuple[dict[str, int], float]:
        """How much was counted since the last time, and how many seconds ago that was."""
        now, counts = time.monotonic(), self._statistics.counts()
        seconds, before = now - self._counted_at, self._counts
        self._counted_at, self._counts = now, counts
        return {name: n - before.get(name, 0) for name, n in counts.items()}, seconds
