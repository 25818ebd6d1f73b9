"""Nodes in the process of the test: what is seen from outside not at all, or only by chance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vljepa_ros.msg import SemanticEmbedding

from vljepa_ros.nodes import camera, transport
from vljepa_ros.nodes.embedder import Embedder
from vljepa_ros.nodes.gate import Gate
from vljepa_ros.nodes.lifecycle import ManagedNode
from vljepa_ros.nodes.qos import RESULTS
from vljepa_ros.nodes.vqa import Vqa
from vljepa_ros.runtime import parity

LIMIT = 30.0  # s
SUCCESS = TransitionCallbackReturn.SUCCESS
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


class Spinner:
    """A node under test, spun by the thread of the test."""

    def __init__(self, kind: type[ManagedNode], **parameters: Any) -> None:
        settings = [part for key, v in parameters.items() for part in ("-p", f"{key}:={v}")]
        rclpy.init(args=["--ros-args", *settings])
        self.node: Any = kind()
        self.driver = rclpy.create_node("driver")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def activate(self) -> None:
        assert self.node.trigger_configure() == SUCCESS
        assert self.node.trigger_activate() == SUCCESS

    def watch(self, *cameras: ReliabilityPolicy) -> Any:
        """Activate it beside silent cameras of the topic image; its subscription to them."""
        for reliability in cameras:
            self.driver.create_publisher(
                Image, "image", QoSProfile(depth=1, reliability=reliability)
            )
        self.activate()
        self.until(lambda: self.node.count_publishers("image") == len(cameras), "the cameras")
        return self.node._camera

    def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self._executor.spin_once(timeout_sec=0.05)
            self.node.destroy_disposed()

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self.driver.destroy_node()
        rclpy.shutdown()


@pytest.fixture
def make() -> Iterator[Callable[..., Spinner]]:
    made: list[Spinner] = []

    def make(kind: type[ManagedNode], **parameters: Any) -> Spinner:
        made.append(Spinner(kind, **parameters))
        return made[-1]

    yield make
    for spinner in made:
        spinner.close()


def test_a_bad_image_leaves_those_that_are_encoded_with_it(
    make: Callable[..., Spinner],
    model: str,
    scene: Callable[..., np.ndarray],
    image: Callable[..., Image],
) -> None:
    spinner = make(Embedder, model=model, cameras="['front:=front','left:=left']")
    spinner.activate()
    heard: dict[str, list[SemanticEmbedding]] = {"front": [], "left": []}
    for name, got in heard.items():
        spinner.driver.create_subscription(
            SemanticEmbedding, f"{name}/embedding", got.append, RESULTS
        )
    streams = spinner.node._streams
    spinner.until(
        lambda: all(s.embeddings.get_subscription_count() for s in streams.values()), "readers"
    )
    broken = image(scene(), 1.0)
    broken.data = broken.data[:100]
    spinner.node._process([(streams["front"], broken), (streams["left"], image(scene(), 2.0))])
    counts = spinner.node.statistics.counts()
    assert (counts["bad image"], counts["frames processed"]) == (1, 1)
    deadline = time.monotonic() + LIMIT
    while not heard["left"]:
        assert time.monotonic() < deadline
        rclpy.spin_once(spinner.driver, timeout_sec=0.1)
    assert heard["left"][0].header.stamp.sec == 2 and not heard["front"]


@pytest.mark.parametrize(
    ("setting", "offered", "heard"),
    [
        ("auto", (RELIABLE,), RELIABLE),
        ("auto", (RELIABLE, BEST_EFFORT), BEST_EFFORT),
        ("best_effort", (RELIABLE,), BEST_EFFORT),
        ("reliable", (RELIABLE, BEST_EFFORT), RELIABLE),
    ],
)
def test_every_publisher_is_heard_unless_a_parameter_says_otherwise(
    make: Callable[..., Spinner],
    model: str,
    setting: str,
    offered: tuple[ReliabilityPolicy, ...],
    heard: ReliabilityPolicy,
) -> None:
    spinner = make(Vqa, model=model, image_reliability=setting)
    spinner.watch(*offered)._check()
    spinner.node.destroy_disposed()
    told = partial(spinner.driver.get_subscriptions_info_by_topic, "/image")
    spinner.until(lambda: len(told()) == 1, "one of both")
    assert told()[0].qos_profile.reliability == heard


def test_what_a_kernel_loses_is_said_once(
    make: Callable[..., Spinner],
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if not transport.get_rmw_implementation_identifier().startswith("rmw_fastrtps"):
        pytest.skip("of Fast DDS alone")
    limit = tmp_path / "rmem_max"
    limit.write_text("212992\n")
    monkeypatch.setattr(transport, "_LIMIT", limit)
    images = make(Vqa, model=model).watch(BEST_EFFORT)
    for _ in range(2):
        images._check()
    assert capfd.readouterr().err.count("is received best-effort, and the kernel's limit") == 1


def test_a_camera_that_stays_silent_is_reported_again(
    make: Callable[..., Spinner],
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(camera, "_REPORT_PERIOD", 3 * camera._CHECK_PERIOD)
    images = make(Vqa, model=model, silence_timeout=camera._CHECK_PERIOD).watch(RELIABLE)
    for _ in range(8):
        images._check()
    assert capfd.readouterr().err.count("has a publisher, but no image has come") == 3


def test_what_drifts_runs_where_that_is_allowed(
    make: Callable[..., Spinner], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(parity._LEAST, "int8", 1.1)
    wanted = {"runtime.precision": "int8", "runtime.backend": "onnx", "runtime.allow_drift": True}
    info = make(Vqa, model=model, **wanted).node._load().info
    assert info.precision == "int8" and "drifts from torch" in info.fallback


def test_parameters_change_where_rclpy_tells_of_no_change_that_was_made(
    make: Callable[..., Spinner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Humble."""
    monkeypatch.delattr(Node, "add_post_set_parameters_callback", raising=False)
    spinner = make(Gate)
    spinner.activate()
    (result,) = spinner.node.set_parameters([Parameter("threshold", value=0.3)])
    assert result.successful and spinner.node._config.threshold == 0.3
    (result,) = spinner.node.set_parameters([Parameter("threshold", value=5.0)])
    assert not result.successful and spinner.node._config.threshold == 0.3
