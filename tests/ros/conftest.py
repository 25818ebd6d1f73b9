"""Starts the installed executables as they run on a robot, and talks to them over DDS.

Every wait has a limit and ends as soon as its condition holds.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
from ament_index_python.packages import get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from vljepa_ros.nodes.conversions import to_time
from vljepa_ros.runtime.engine import WEIGHTS_FOLDER
from vljepa_ros.runtime.testing import random_checkpoint

# A domain of its own, by process id: nodes that run elsewhere must not be heard.
# Above 100 its ports may be taken by any socket of the machine.
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))

PATIENCE = 5.0  # s until a service is asked again
LIMIT = 60.0  # s for anything that a node does, loading its weights on a slow machine included
# States that lifecycle transitions lead to.
_AFTER = {
    "configure": "inactive",
    "activate": "active",
    "deactivate": "inactive",
    "cleanup": "unconfigured",
    "shutdown": "finalized",
}


class Process:
    """An installed executable in a ROS namespace, with its output in a file."""

    def __init__(
        self, name: str, namespace: str, folder: Path, remap: Mapping[str, str], **parameters: Any
    ) -> None:
        executable = Path(get_package_prefix("vljepa_ros")) / "lib" / "vljepa_ros" / name
        arguments = [part for key, v in parameters.items() for part in ("-p", f"{key}:={v}")]
        arguments += [part for old, new in remap.items() for part in ("-r", f"{old}:={new}")]
        self.name = name
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(executable), "--ros-args", "-r", f"__ns:={namespace}", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "2"},
            )
        self.pid = self._process.pid

    def log(self) -> str:
        """All that it has printed so far."""
        return self._log.read_text(errors="replace")

    def code(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Exit code, once it has ended by itself."""
        return self._process.wait(LIMIT)

    def stop(self, sent: signal.Signals = signal.SIGINT) -> int:
        """End it by a signal and return its exit code."""
        if self.code() is None:
            self._process.send_signal(sent)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


class Bench:
    """A namespace with processes under test, and a node that talks to them."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace = namespace
        self.folder = folder
        self.processes: list[Process] = []
        self._context = Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node("probe", namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self._statuses: dict[str, DiagnosticStatus] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._keep_status, 100)

    def start(
        self, name: str, remap: Mapping[str, str] | None = None, **parameters: Any
    ) -> Process:
        """Start an executable; parameters in YAML syntax."""
        self.processes.append(
            Process(name, self.namespace, self.folder, remap or {}, **parameters)
        )
        return self.processes[-1]

    def until(self, condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
        """Let messages come until the condition is true, and return its value."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if value := condition():
                return value
            if any(process.code() for process in self.processes):
                break
            self._executor.spin_once(timeout_sec=0.05)
        logs = "\n".join(f"--- {p.name} ({p.code()}):\n{p.log()}" for p in self.processes)
        pytest.fail(f"waited {limit:.0f} s in vain for {what}\n{logs}")

    def collect(self, kind: Any, topic: str, qos: QoSProfile | int = 100) -> list[Any]:
        """A list that grows with each message of a topic."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def open_camera(self, topic: str, kind: Any, readers: int = 1) -> None:
        """Offer images, and wait until nodes have matched the reliability of the topic.

        An image may be lost while a subscription changes over.
        """
        self._publishers[topic] = self.node.create_publisher(kind, topic, 10)
        line = f"{self.namespace}/{topic} is received reliable"
        self.until(
            lambda: sum(process.log().count(line) for process in self.processes) == readers,
            f"{readers} subscriptions to {topic}",
        )

    def publish(self, topic: str, message: Any) -> None:
        """Publish a message, at the first time as soon as somebody hears it."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(type(message), topic, 10)
        publisher = self._publishers[topic]
        self.until(publisher.get_subscription_count, f"a subscription to {topic}")
        publisher.publish(message)

    def _client(self, service: str, kind: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        return self._clients[service]

    def call(self, service: str, kind: Any, patience: float = PATIENCE, **fields: Any) -> Any:
        """Call a service and return its response.

        It is asked again after each `patience` (s): an answer is lost while a server has not found
        the client yet, and a question while a server that has ended is not forgotten yet.
        """
        client, calls = self._client(service, kind), []

        def answer() -> Any:
            due = not calls or time.monotonic() > calls[-1][0] + patience
            if due and client.service_is_ready():
                calls.append((time.monotonic(), client.call_async(kind.Request(**fields))))
            return next((future.result() for _, future in calls if future.done()), None)

        return self.until(answer, f"an answer of {service}")

    def state(self, name: str) -> str:
        """Lifecycle state of a node."""
        return str(self.call(f"{name}/get_state", GetState, 2.0).current_state.label)

    def change(self, name: str, transition: str) -> bool:
        """Ask for a lifecycle transition, which may last; False when it failed."""
        wanted, before = Transition(label=transition), self.state(name)
        client = self._client(f"{name}/change_state", ChangeState)
        self.until(client.service_is_ready, f"{name} to be there")
        calls: list[tuple[float, Any]] = []

        def outcome() -> str:
            if not calls:
                request = ChangeState.Request(transition=wanted)
                calls.append((time.monotonic(), client.call_async(request)))
            called, future = calls[-1]
            if future.done():
                return "done" if future.result().success else "failed"
            # Questions and answers may be lost; see `call`. One that answers is in no transition.
            if time.monotonic() > called + PATIENCE:
                now = self.state(name)
                if now == _AFTER[transition]:
                    return "done"
                if now == before:
                    calls.clear()
            return ""

        return bool(self.until(outcome, f"{name} to {transition}") == "done")

    def wait_active(self, name: str) -> None:
        """Wait until a node is active."""
        self.until(lambda: self.state(name) == "active", f"{name} to be active")

    def set(self, name: str, **parameters: Any) -> Any:
        """Set parameters together; returns rcl_interfaces/SetParametersResult."""
        messages = [Parameter(key, value=v).to_parameter_msg() for key, v in parameters.items()]
        service = f"{name}/set_parameters_atomically"
        return self.call(service, SetParametersAtomically, parameters=messages).result

    def diagnostics(self, name: str) -> dict[str, str]:
        """Newest values of a node's diagnostics, with level and message."""
        status = self._statuses.get(f"{self.namespace[1:]}/{name}")
        if status is None:
            return {}
        values = {item.key: item.value for item in status.values}
        return {**values, "level": str(status.level[0]), "message": status.message}

    def counted(self, name: str, key: str) -> int:
        """A counter of a node's diagnostics."""
        return int(self.diagnostics(name).get(key, 0))

    def close(self) -> list[int]:
        """End everything; returns the exit codes."""
        codes = [process.stop() for process in self.processes]
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)
        return codes

    def _keep_status(self, message: DiagnosticArray) -> None:
        self._statuses.update({status.name: status for status in message.status})


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, request: Any) -> Iterator[Bench]:
    """A bench for a file; at its end every process must exit with 0 on SIGINT."""
    name = request.module.__name__.rpartition(".")[2]
    bench = Bench(f"/{name}_{os.getpid()}", tmp_path_factory.mktemp(name))
    yield bench
    codes = bench.close()
    assert not any(codes), [(process.name, process.log()) for process in bench.processes]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The shipped model; one with random weights where a checkout has none."""
    if (WEIGHTS_FOLDER / "vljepa-tiny").is_dir():
        return "vljepa-tiny"
    return str(random_checkpoint(tmp_path_factory.mktemp("model") / "random"))


@pytest.fixture
def copy_model(model: str) -> Callable[[Path], None]:
    """Copies the model's files into a folder."""
    source = WEIGHTS_FOLDER / model if (WEIGHTS_FOLDER / model).is_dir() else Path(model)
    return lambda target: shutil.copytree(source, target) and None


def picture(width: int = 320, height: int = 240, shift: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a red ball, `shift` pixels to the right, and a blue box on a table."""
    rgb = np.full((height, width, 3), (180, 170, 150), np.uint8)
    rgb[height // 2 :] = (120, 80, 50)
    centre = (width // 3 + shift, height // 2)
    cv2.circle(rgb, centre, height // 6, (200, 30, 30), -1, cv2.LINE_AA)
    corners = (width * 3 // 5, height // 3), (width * 4 // 5, height * 2 // 3)
    cv2.rectangle(rgb, *corners, (40, 60, 190), -1)
    grain = np.random.default_rng(0).integers(-12, 13, (height // 4, width // 4))
    grain = cv2.resize(grain.astype(np.float32), (width, height))[..., None]
    return np.clip(rgb + grain, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def scene() -> Callable[..., np.ndarray]:
    """Makes test pictures, see `picture`."""
    return picture


@pytest.fixture(scope="session")
def image() -> Callable[..., Image]:
    """Makes an Image message of a picture: stamp in s, encoding rgb8 or bgr8."""

    def make(rgb: np.ndarray, stamp: float = 0.0, encoding: str = "rgb8") -> Image:
        message = Image(height=rgb.shape[0], width=rgb.shape[1], step=3 * rgb.shape[1])
        message.encoding = encoding
        message.header.frame_id = "camera_optical"
        message.header.stamp = to_time(round(stamp * 1e9))
        pixels = rgb if encoding == "rgb8" else rgb[..., ::-1]
        message.data.frombytes(np.ascontiguousarray(pixels).tobytes())
        return message

    return make
