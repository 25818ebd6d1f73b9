"""What all nodes share: lifecycle with autostart, diagnostics, errors, and a clean end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

import rclpy
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vljepa_ros.errors import VljepaError
from vljepa_ros.nodes.diagnostics import Diagnostics, Statistics
from vljepa_ros.nodes.parameters import declare

# Fast DDS as it comes loses images of 720p: its socket buffers hold less than one of them.
_TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
_LARGE_BUFFERS = "DEFAULT?max_msg_size=65000B&sockets_size=4MB"
_PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", _TRANSPORTS)
_LOG_PERIOD = 5.0  # s between two logs of the same kind of bad input


class ManagedNode(LifecycleNode):
    """A lifecycle node that starts by itself and survives bad input.

    Parameters:
        autostart (bool, true): configure and activate at start.

    A subclass says what to do in `configure`, `activate`, `deactivate` and `cleanup`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        declare(self, "autostart", True, "configure and activate at start", read_only=True)
        self.statistics = Statistics()
        self.diagnostics = Diagnostics(self, self.statistics, self.details)
        self.active = False
        self._warned_at: dict[str, int] = {}

    def configure(self) -> None:
        """Load and create what is needed; a VljepaError leaves the node unconfigured."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working; must be harmless when not working."""

    def cleanup(self) -> None:
        """Give back what `configure` took."""

    def details(self) -> Mapping[str, str]:
        """Values for diagnostics beside the statistics."""
        return {}

    def start(self) -> None:
        """Configure and activate if `autostart` says so; a failure is logged, not fatal."""
        if not self.get_parameter("autostart").value:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def bad_input(self, kind: str, error: Exception | str) -> None:
        """Count a bad input and log it, at most every few seconds for each kind."""
        self.statistics.count(f"bad {kind}")
        now = self._steady_ns()
        if now - self._warned_at.get(kind, -(10**18)) > _LOG_PERIOD * 1e9:
            self._warned_at[kind] = now
            self.get_logger().warning(f"bad {kind}: {error}")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle transition."""
        try:
            self.configure()
        except VljepaError as error:
            self.cleanup()
            self.get_logger().error(f"cannot be configured: {error}")
            self.diagnostics.warn(f"cannot be configured: {error}")
            return TransitionCallbackReturn.FAILURE
        self.diagnostics.warn("")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle transition."""
        done = super().on_activate(state)
        self.active = True
        self.activate()
        return done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle transition."""
        self.active = False
        self.deactivate()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle transition."""
        self.cleanup()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle transition."""
        self.active = False
        self.deactivate()
        self.cleanup()
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        """End the work before the node's handles go."""
        self.active = False
        self.deactivate()
        super().destroy_node()

    def _steady_ns(self) -> int:
        return rclpy.clock.Clock(clock_type=rclpy.clock.ClockType.STEADY_TIME).now().nanoseconds


def run(
    makers: Sequence[Callable[[], ManagedNode]], args: list[str] | None, threads: int = 4
) -> None:
    """Run nodes in this process until SIGINT or SIGTERM, then exit with code 0."""
    if not any(name in os.environ for name in _PROFILES):
        os.environ[_TRANSPORTS] = _LARGE_BUFFERS
    rclpy.init(args=args)
    nodes: list[ManagedNode] = []
    executor = MultiThreadedExecutor(num_threads=threads)
    try:
        for make in makers:
            nodes.append(make())
            executor.add_node(nodes[-1])
        for node in nodes:
            node.start()
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        executor.shutdown(timeout_sec=2.0)
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    sys.exit(0)
