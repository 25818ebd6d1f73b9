"""Nodes in the process of the test: what is seen from outside not at all, or only by chance."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vljepa_ros.msg import SemanticEmbedding, SemanticShift
from vljepa_ros.srv import Ask

from vljepa_ros.nodes import camera, transport, vqa
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


def test_an_image_that_was_overtaken_begins_no_new_window(
    make: Callable[..., Spinner],
    model: str,
    scene: Callable[..., np.ndarray],
    image: Callable[..., Image],
    capfd: pytest.CaptureFixture[str],
) -> None:
    spinner = make(Vqa, model=model)
    images = spinner.watch(RELIABLE, RELIABLE)
    for stamp in (10.0, 10.5, 10.42, 11.0):
        images._on_image(serialize_message(image(scene(), stamp)))
    counts = spinner.node.statistics.counts()
    assert counts["bad image"] == 1 and "windows cleared" not in counts
    stamps = [stamp / 1e9 for stamp, _ in spinner.node._window.sample()]
    assert stamps == [10.0, 10.5, 11.0]
    assert "bad image on /image: an image is 0.080 s older" in capfd.readouterr().err
    images._check()
    assert "2 publishers" in spinner.node.diagnostics._warnings["/image"]
    images._check()
    assert not spinner.node.diagnostics._warnings["/image"]
    images._on_image(serialize_message(image(scene(), 4.0)))  # a bag from its beginning
    assert spinner.node.statistics.counts()["windows cleared"] == 1


def test_more_requests_than_can_wait_are_refused_at_once(
    make: Callable[..., Spinner], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vqa, "_UNFINISHED", 2)
    spinner, free = make(Vqa, model=model), Event()
    monkeypatch.setattr(spinner.node, "_ready", lambda: free.wait(LIMIT))
    client = spinner.driver.create_client(Ask, "ask")
    spinner.until(client.service_is_ready, "the service")
    asked = [client.call_async(Ask.Request(question="What?")) for _ in range(3)]

    def answered(which: slice) -> bool:
        rclpy.spin_once(spinner.driver, timeout_sec=0.01)
        return all(answer.done() for answer in asked[which])

    spinner.until(lambda: answered(slice(2, 3)), "the last to be refused")
    assert "2 requests are unfinished already" in asked[2].result().message
    assert not asked[0].done() and not asked[1].done()
    assert spinner.node.details()["requests unfinished"] == "2"
    free.set()
    spinner.until(lambda: answered(slice(0, 2)), "the others")
    assert spinner.node.details()["requests unfinished"] == "0"


def test_what_the_embedder_waits_for_is_an_output_that_it_would_fill(
    make: Callable[..., Spinner], model: str
) -> None:
    spinner = make(Embedder, model=model)
    spinner.activate()

    def told() -> str:
        return spinner.node.details().get("waits for", "")

    for name, texts, missing in (
        ("labels", ["a cat"], "a subscriber of /embedding, /labels"),
        ("queries", [""], "a subscriber of /labels"),
        ("labels", [""], "a text in queries or labels"),
        ("queries", ["What is shown?"], "a subscriber of /embedding"),
    ):
        (result,) = spinner.node.set_parameters([Parameter(name, value=texts)])
        assert result.successful
        spinner.until(lambda wanted=missing: told() == wanted, missing)
    heard: list[SemanticEmbedding] = []
    spinner.driver.create_subscription(SemanticEmbedding, "embedding", heard.append, RESULTS)
    spinner.until(lambda: not told(), "a reader")


def test_a_query_that_pauses_is_not_sent_on_request(make: Callable[..., Spinner]) -> None:
    spinner = make(Gate)
    spinner.activate()
    assert spinner.node.details() == {"waits for": "a subscriber of /shift"}
    sent: list[SemanticShift] = []
    spinner.driver.create_subscription(SemanticShift, "shift", sent.append, RESULTS)
    spinner.until(lambda: spinner.node._embeddings.hears, "the gate to listen")
    assert spinner.node.details() == {"waits for": "a message on /embedding"}

    def feed(query: str, seconds: range) -> None:
        for second in seconds:
            message = SemanticEmbedding(query=query, model_id="model@1", data=[1.0, 0.0])
            message.header.stamp.sec = second
            spinner.node._receive(message)

    def requested() -> list[str]:
        sent.clear()
        assert spinner.node._request(Trigger.Request(), Trigger.Response()).success

        def queries() -> list[str]:
            rclpy.spin_once(spinner.driver, timeout_sec=0.01)
            on_request = [s for s in sent if s.trigger == SemanticShift.REQUEST]
            return [shift.embedding.query for shift in on_request]

        spinner.until(lambda: "asked" in queries(), "the segment that goes on")
        return queries()

    feed("paused", range(10, 20))
    feed("asked", range(20, 22))
    assert requested() == ["paused", "asked"]
    feed("asked", range(22, 32))
    assert requested() == ["asked"] and "paused" in spinner.node._streams


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
