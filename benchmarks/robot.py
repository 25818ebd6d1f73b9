"""What the benchmarks of the nodes share: processes, their costs, and a node to talk to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from ament_index_python.packages import get_package_prefix
from lifecycle_msgs.srv import GetState
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

FOLDER = Path(__file__).parent
_LIMIT = 120.0  # s for anything that a node does
_END = 10.0  # s until a process that was asked to end is ended


def cpu(pid: int) -> float:
    """CPU time that a process has used so far, in s."""
    # The process's own clock, by the number that clock_getcpuclockid(3) gives. /proc counts ticks
    # of the kernel, which may fall on the same work of every frame, or always miss it.
    return time.clock_gettime(~pid << 3 | 2)


def memory(pid: int) -> float:
    """Memory of a process in MB, of what it shares with others its part (PSS)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (line,) = (line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def spin(node: Any) -> None:
    """Spin a node alone, until a signal ends it."""
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


class Robot:
    """Nodes and cameras as processes in a namespace, and a node that talks to them.

    Use it as a context manager: its end ends all processes.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._log = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as this
        self._processes: list[subprocess.Popen[bytes]] = []
        self._context = Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node("robot", namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> Robot:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            self.stop(process.pid)
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def start(
        self, executable: str | Sequence[str], namespace: str = "", **parameters: Any
    ) -> int:
        """Start an executable of the package, or a command; returns its process id.

        Args:
            executable: name or command.
            namespace: of its nodes, in that of the robot.
            parameters: in YAML syntax.
        """
        if isinstance(executable, str):
            folder = Path(get_package_prefix("vljepa_ros")) / "lib" / "vljepa_ros"
            executable = [sys.executable, str(folder / executable)]
        pairs = [part for name, v in parameters.items() for part in ("-p", f"{name}:={v}")]
        where = f"{self.namespace}/{namespace}".rstrip("/")
        command = [*executable, "--ros-args", "-r", f"__ns:={where}", *pairs]
        return self._run(command)

    def camera(
        self, topic: str = "image", width: int = 1280, height: int = 720, rate: float = 30.0
    ) -> int:
        """Start a camera; returns its process id."""
        topic = f"{self.namespace}/{topic}"
        values = (topic, width, height, rate, "reliable", "inf")
        return self._run([sys.executable, str(FOLDER / "camera.py"), *map(str, values)])

    def stop(self, pid: int) -> None:
        """End a process."""
        (process,) = (p for p in self._processes if p.pid == pid)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_END)
            except subprocess.TimeoutExpired:  # seen with EventsExecutor
                process.kill()
                process.wait()

    def hear(self, kind: Any, topic: str, callback: Callable[[Any], None]) -> Any:
        """Subscribe to a topic."""
        return self.node.create_subscription(kind, topic, callback, 100)

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Let messages come until the condition is true, and return its value."""
        deadline = time.monotonic() + _LIMIT
        while time.monotonic() < deadline:
            if value := condition():
                return value
            if any(process.poll() for process in self._processes):
                break
            self._executor.spin_once(timeout_sec=0.1)
        self._log.seek(0)
        log = self._log.read().decode(errors="replace")[-3000:]
        raise RuntimeError(f"waited in vain for {what}; the end of the log:\n{log}")

    def wait(self, seconds: float) -> None:
        """Let messages come for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=max(0.0, end - time.monotonic()))

    def spread(self, times: int, seconds: float, call: Callable[[int], float]) -> list[float]:
        """Call at random moments of a stretch of time, which are the same in every run.

        Args:
            times: how often.
            seconds: of the stretch; a call that lasts too long delays the next.
            call: gets the number of the call.

        Returns:
            What the calls returned.
        """
        moments = np.sort(np.random.default_rng(0).uniform(0, seconds, times))
        begun, found = time.monotonic(), []
        for number, moment in enumerate(moments):
            self.wait(begun + moment - time.monotonic())
            found.append(call(number))
        return found

    def wait_active(self, *names: str) -> None:
        """Wait until nodes are active."""
        for name in names:
            self.until(lambda name=name: self._is_active(name), f"{name} to be active")

    def call(self, service: str, kind: Any, **fields: Any) -> tuple[Any, float]:
        """Call a service; its response, and the time it took in s."""
        client = self._client(service, kind)
        self.until(client.service_is_ready, f"the service {service}")
        started = time.perf_counter()
        future = client.call_async(kind.Request(**fields))
        self.until(future.done, f"an answer of {service}")
        return future.result(), time.perf_counter() - started

    def _is_active(self, name: str) -> bool:
        client = self._client(f"{name}/get_state", GetState)
        if not client.service_is_ready():
            return False
        # An answer is lost while the node has not found this one yet; `until` asks again.
        future = client.call_async(GetState.Request())
        self._executor.spin_until_future_complete(future, timeout_sec=2.0)
        return future.done() and bool(future.result().current_state.label == "active")

    def _client(self, service: str, kind: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        return self._clients[service]

    def _run(self, command: Sequence[str]) -> int:
        environment = {**os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        self._processes.append(
            subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment)
        )
        return self._processes[-1].pid
