"""What a transition leaves behind whose work fails; rclpy would drop the error."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from std_msgs.msg import Empty

from vljepa_ros.errors import InputError
from vljepa_ros.nodes.diagnostics import Statistics
from vljepa_ros.nodes.lifecycle import ManagedNode

LIMIT = 30.0  # s
FAILURE, SUCCESS = TransitionCallbackReturn.FAILURE, TransitionCallbackReturn.SUCCESS


class Fragile(ManagedNode):
    """Fails at what it is told to, and notes what it is asked."""

    def __init__(self) -> None:
        super().__init__("fragile")
        self.failing: set[str] = set()
        self.asked: list[str] = []
        self.output = self.create_lifecycle_publisher(Empty, "output", 1)

    def configure(self) -> None:
        self._do("configure")

    def activate(self) -> None:
        self._do("activate")

    def deactivate(self) -> None:
        self._do("deactivate")

    def cleanup(self) -> None:
        self._do("cleanup")

    def _do(self, what: str) -> None:
        self.asked.append(what)
        if what in self.failing:
            raise RuntimeError(f"no {what} today")


@pytest.fixture
def fragile() -> Iterator[Fragile]:
    rclpy.init()
    node = Fragile()
    yield node
    node.failing = set()
    node.destroy_node()
    rclpy.shutdown()


def state(node: Fragile) -> str:
    return str(node._state_machine.current_state[1])


def wait_for_diagnostics(node: Fragile, message: str, lifecycle_state: str) -> bytes:
    """Spin the node until its diagnostics say this; their level."""
    told: dict[tuple[str, str], bytes] = {}

    def hear(array: DiagnosticArray) -> None:
        (status,) = array.status
        state = {item.key: item.value for item in status.values}["state"]
        told[status.message, state] = status.level

    node.create_subscription(DiagnosticArray, "/diagnostics", hear, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    deadline = time.monotonic() + LIMIT
    while (message, lifecycle_state) not in told:
        assert time.monotonic() < deadline, told
        executor.spin_once(timeout_sec=0.1)
    executor.remove_node(node)
    executor.shutdown()
    return told[message, lifecycle_state]


def test_a_failed_activation_leaves_it_inactive_and_is_told(fragile: Fragile) -> None:
    assert fragile.trigger_configure() == SUCCESS
    fragile.failing = {"activate"}
    assert fragile.trigger_activate() == FAILURE
    assert state(fragile) == "inactive" and not fragile.active
    assert not fragile.output.is_activated
    assert fragile.asked == ["configure", "activate", "deactivate"], "what began is ended"
    wait_for_diagnostics(fragile, "cannot be activated: no activate today", "inactive")
    fragile.failing = set()
    assert fragile.trigger_activate() == SUCCESS
    assert state(fragile) == "active" and fragile.active and fragile.output.is_activated
    wait_for_diagnostics(fragile, "OK", "active")


def test_a_failed_deactivation_leaves_it_active(fragile: Fragile) -> None:
    fragile.trigger_configure()
    fragile.trigger_activate()
    fragile.failing = {"deactivate"}
    assert fragile.trigger_deactivate() == FAILURE
    assert state(fragile) == "active" and fragile.active and fragile.output.is_activated
    wait_for_diagnostics(fragile, "cannot be deactivated: no deactivate today", "active")
    fragile.failing = set()
    assert fragile.trigger_deactivate() == SUCCESS
    assert state(fragile) == "inactive" and not fragile.active


def test_a_failed_cleanup_leaves_it_inactive(fragile: Fragile) -> None:
    fragile.trigger_configure()
    fragile.failing = {"cleanup"}
    assert fragile.trigger_cleanup() == FAILURE
    assert state(fragile) == "inactive"
    wait_for_diagnostics(fragile, "cannot be cleaned up: no cleanup today", "inactive")
    fragile.failing = set()
    assert fragile.trigger_cleanup() == SUCCESS
    assert state(fragile) == "unconfigured"


def test_a_failed_configuration_is_cleaned_up_even_if_that_fails_too(fragile: Fragile) -> None:
    fragile.failing = {"configure", "cleanup"}
    assert fragile.trigger_configure() == FAILURE
    assert state(fragile) == "unconfigured" and fragile.asked == ["configure", "cleanup"]
    fragile.failing = set()
    assert fragile.trigger_configure() == SUCCESS


def test_a_failed_shutdown_still_cleans_up_and_finalizes(fragile: Fragile) -> None:
    fragile.trigger_configure()
    fragile.trigger_activate()
    fragile.failing = {"deactivate"}
    assert fragile.trigger_shutdown() == FAILURE
    assert state(fragile) == "finalized" and not fragile.active
    assert fragile.asked[-2:] == ["deactivate", "cleanup"]


@pytest.mark.parametrize(
    ("error", "counted", "message", "level"),
    [
        (
            *(RuntimeError("of a library"), "errors with image"),
            *("1 errors in the last second; the log tells them", DiagnosticStatus.ERROR),
        ),
        (
            *(InputError("too dark"), "bad image"),
            *("1 bad inputs in the last second", DiagnosticStatus.WARN),
        ),
    ],
)
def test_an_error_ends_nothing_and_is_told(
    fragile: Fragile, error: Exception, counted: str, message: str, level: bytes
) -> None:
    with fragile.surviving("image"):
        raise error
    assert fragile.statistics.counts() == {counted: 1}
    assert wait_for_diagnostics(fragile, message, "unconfigured") == level


def test_timings_of_long_ago_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = Statistics()
    statistics.time("age", 0.25)
    assert statistics.values() == {"age p50 (ms)": "250.0", "age p95 (ms)": "250.0"}
    later = time.monotonic() + 61
    monkeypatch.setattr("vljepa_ros.nodes.diagnostics.time.monotonic", lambda: later)
    assert statistics.values() == {}
    statistics.time("age", 0.5)
    assert statistics.values()["age p50 (ms)"] == "500.0"


def test_what_failed_before_is_forgotten_in_the_end(fragile: Fragile) -> None:
    fragile.failing = {"configure"}
    assert fragile.trigger_configure() == FAILURE
    assert fragile.trigger_shutdown() == SUCCESS
    wait_for_diagnostics(fragile, "OK, finalized", "finalized")


def test_at_the_end_a_node_cleans_up_whatever_fails(fragile: Fragile) -> None:
    fragile.trigger_configure()
    fragile.failing = {"deactivate", "cleanup"}
    fragile.destroy_node()
    assert fragile.asked == ["configure", "deactivate", "cleanup"]


def test_errors_of_more_than_a_second_ago_are_not_told(fragile: Fragile) -> None:
    with fragile.surviving("image"):
        raise RuntimeError("of a library")
    message = "1 errors in the last second; the log tells them"
    wait_for_diagnostics(fragile, message, "unconfigured")
    level = wait_for_diagnostics(fragile, "OK, unconfigured", "unconfigured")
    assert level == DiagnosticStatus.OK


def test_a_warning_is_told_until_it_is_taken_back(fragile: Fragile) -> None:
    fragile.diagnostics.warn("nothing comes", "image")
    level = wait_for_diagnostics(fragile, "nothing comes", "unconfigured")
    assert level == DiagnosticStatus.WARN
    fragile.diagnostics.warn("", "image")
    wait_for_diagnostics(fragile, "OK, unconfigured", "unconfigured")


def test_of_many_timings_the_middle_and_a_high_one_are_told() -> None:
    statistics = Statistics()
    for number in range(101):
        statistics.time("age", number / 1000)
    assert statistics.values() == {"age p50 (ms)": "50.0", "age p95 (ms)": "95.0"}
