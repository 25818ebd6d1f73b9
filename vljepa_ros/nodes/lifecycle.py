"""What all nodes share: lifecycle with autostart, diagnostics and errors."""

from __future__ import annotations

import math
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import rclpy
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vljepa_ros.errors import InputError, VljepaError
from vljepa_ros.nodes.diagnostics import BAD, ERRORS, Diagnostics, Statistics
from vljepa_ros.nodes.parameters import declare

_LOG_PERIOD = 5.0  # s between two logs of the same kind of bad input


class ManagedNode(LifecycleNode):
    """A lifecycle node that starts by itself and survives bad input.

    Publishes: `/diagnostics` (diagnostic_msgs/DiagnosticArray, once a second).
    Parameters: autostart (bool, true), configure and activate at start; build_only (bool, false),
    build exports and TensorRT engines, then exit.

    A subclass says what to do in `configure`, `activate`, `deactivate` and `cleanup`.

    Args:
        name: of the node.
        arguments: ROS arguments for this node alone, which go before those of the process.
    """

    def __init__(self, name: str, arguments: Sequence[str] = ()) -> None:
        super().__init__(name, cli_args=list(arguments) or None)
        declare(self, "autostart", True, "configure and activate at start", read_only=True)
        build_only = "build exports and TensorRT engines, then exit"
        declare(self, "build_only", False, build_only, read_only=True)
        self.statistics = Statistics()
        self.diagnostics = Diagnostics(self, self.statistics, self.details)
        self.active = False
        self._begun = False  # to be configured, so that there may be something to clean up
        self._disposals: deque[Callable[[], object]] = deque()
        self._logged_at: dict[str, float] = {}
        self._guard_transitions()

    def configure(self) -> None:
        """Load and create what is needed; an error leaves the node unconfigured."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working; must be harmless when not working."""

    def cleanup(self) -> None:
        """Give back what `configure` took, as far as it came."""

    def details(self) -> Mapping[str, str]:
        """Values for diagnostics beside the statistics."""
        return {}

    def build(self) -> None:
        """Make what later starts need.

        Raises:
            SystemExit: with code 1, it cannot be made.
        """
        self.get_logger().info("has nothing to build")

    def start(self) -> None:
        """Configure and activate if `autostart` says so; a failure is logged, not fatal.

        With `build_only`, build instead; the process then ends when all its nodes have started.

        Raises:
            SystemExit: with code 1, it cannot be built.
        """
        if self.get_parameter("build_only").value:
            self.build()
            return
        if not self.get_parameter("autostart").value:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def dispose(self, destroy: Callable[[Any], object], entity: Any) -> None:
        """Destroy a publisher, subscription, service or timer while the node spins.

        rclpy fails when an entity vanishes while another thread waits for it, so the thread that
        waits destroys it, between two waits.
        """
        self._disposals.append(partial(destroy, entity))
        if self.executor is not None:
            self.executor.wake()

    def destroy_disposed(self) -> None:
        """Destroy what was given to `dispose`; only the thread that spins may call it."""
        while self._disposals:
            self._disposals.popleft()()

    @contextmanager
    def surviving(self, kind: str, source: str = "") -> Iterator[None]:
        """Run a block whose errors are counted and logged, but end nothing else.

        Args:
            kind: of input that the block works on.
            source: the topic that it came from, where there may be several.
        """
        try:
            yield
        except InputError as error:
            self.bad_input(kind, error, source)
        except Exception as error:
            # An exception out of a callback would end the process, and the next input may be good.
            # After a signal nothing can be published any more, which is no failure.
            if rclpy.ok():
                self.failure(kind, error)

    def bad_input(self, kind: str, error: InputError, source: str = "") -> None:
        """Count a bad input and log it, at most every few seconds for each kind and source."""
        self.statistics.count(f"{BAD}{kind}")
        what = f"{kind} on {source}" if source else kind
        if self._may_log(what):
            self.get_logger().error(f"bad {what}: {error}")

    def failure(self, kind: str, error: Exception) -> None:
        """Count and log an error that is not the input's, with its traceback."""
        self.statistics.count(f"{ERRORS}{kind}")
        if self._may_log(f"{kind}, {type(error).__name__}"):
            text = "".join(traceback.format_exception(error))
            self.get_logger().error(f"unexpected error with {kind}, please report it:\n{text}")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle transition; failing, it leaves the node unconfigured and ready to retry."""
        self._begun = True
        if self._fails("configured", self.configure):
            self._fails("cleaned up", self.cleanup)
            return TransitionCallbackReturn.FAILURE
        self._reached("inactive")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle transition; failing, it leaves the node inactive."""
        done = super().on_activate(state)
        self.active = True
        if self._fails("activated", self.activate):
            self.active = False
            self._fails("deactivated", self.deactivate)
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._reached("active")
        return done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle transition; failing, it leaves the node active."""
        self.active = False
        if self._fails("deactivated", self.deactivate):
            self.active = True
            return TransitionCallbackReturn.FAILURE
        self._reached("inactive")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle transition; failing, it leaves the node inactive."""
        if self._fails("cleaned up", self.cleanup):
            return TransitionCallbackReturn.FAILURE
        self._reached("unconfigured")
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lifecycle transition; the node is finalized even if it fails."""
        self.active = False
        failed = self._fails("deactivated", self.deactivate)
        failed = self._fails("cleaned up", self.cleanup) or failed
        if failed:
            self.diagnostics.state = "finalized"
            return TransitionCallbackReturn.FAILURE
        self._reached("finalized")
        return super().on_shutdown(state)

    def _fails(self, what: str, work: Callable[[], None]) -> bool:
        """Do a transition's work; whether it raised, which log and diagnostics then tell.

        rclpy would drop the error without a word, and leave a node unconfigured that has cleaned
        up nothing. FAILURE keeps it where it was, so that the cause may be repaired.
        """
        try:
            work()
        except Exception as error:
            known = isinstance(error, VljepaError | ImportError)
            message = f"cannot be {what}: {error}"
            self.get_logger().error(message if known else f"{message}\n{traceback.format_exc()}")
            self.diagnostics.fail(message)
            return True
        return False

    def _reached(self, lifecycle_state: str) -> None:
        self.diagnostics.fail("")
        self.diagnostics.state = lifecycle_state

    def abandon(self) -> bool:
        """Begin nothing more in threads of services; whether one is at work that must be left.

        Called once or more before the node is destroyed, by the thread that spins.
        """
        return False

    def destroy_node(self) -> None:
        """End the work before the node's handles go."""
        self.active = False
        self.abandon()
        if self._begun:
            self._fails("deactivated", self.deactivate)
            self._fails("cleaned up", self.cleanup)
        super().destroy_node()

    def _guard_transitions(self) -> None:
        """Answer that a transition is not possible now, where rclpy raises (ros2/rclpy#1209).

        Out of a callback the exception would end the process; Kilted has it no more.
        """
        service = self._service_change_state
        change = service.callback

        def guarded(request: Any, response: Any) -> Any:
            try:
                return change(request, response)
            except RuntimeError as error:  # rclpy's RCLError
                if not rclpy.ok():
                    raise
                self.get_logger().error(f"no such transition now: {error}")
                response.success = False
                return response

        service.callback = guarded

    def _may_log(self, kind: str) -> bool:
        now = time.monotonic()
        if now - self._logged_at.get(kind, -math.inf) < _LOG_PERIOD:
            return False
        self._logged_at[kind] = now
        return True
