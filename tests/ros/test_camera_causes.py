"""What a node says of a camera that publishes elsewhere than where it listens."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.nodes.camera import ImageSubscription, declare_camera
from vljepa_ros.nodes.lifecycle import ManagedNode

LIMIT = 30.0  # s


@pytest.fixture
def driver() -> Iterator[Node]:
    """A camera's, apart from the node that hears it: a participant has one type for a topic."""
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node("driver", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize(
    ("transport", "topic", "published", "kind", "advice"),
    [
        (
            *("raw", "cam", "cam/compressed", CompressedImage),
            "/cam/compressed has one; set image_transport to compressed",
        ),
        ("compressed", "cam", "cam", Image, "/cam has one; set image_transport to raw"),
        (
            *("compressed", "cam/compressed", "cam/compressed", CompressedImage),
            "/cam/compressed has one; remap image to /cam, to which /compressed is appended",
        ),
        (
            *("raw", "cam/compressed", "cam/compressed", CompressedImage),
            "set image_transport to compressed and remap image to /cam, to which",
        ),
        ("compressed", "cam", "other", Image, "start the camera, or remap image to its topic"),
    ],
)
def test_the_parameter_to_set_is_named(
    driver: Node, transport: str, topic: str, published: str, kind: type, advice: str
) -> None:
    driver.create_publisher(kind, published, 1)
    set_ = [f"image_transport:={transport}", "silence_timeout:=0.5"]
    rclpy.init(args=["--ros-args", *(part for value in set_ for part in ("-p", value))])
    try:
        _watch(topic, advice)
    finally:
        rclpy.shutdown()


def _watch(topic: str, advice: str) -> None:
    node = ManagedNode("watcher")
    told: list[str] = []
    node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: told.append(m.status[0].message), 10
    )
    declare_camera(node)
    camera = ImageSubscription(node, lambda _: None, topic)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        camera.open()
        deadline = time.monotonic() + LIMIT
        while not any(advice in message for message in told):
            assert time.monotonic() < deadline, told
            executor.spin_once(timeout_sec=0.1)
    finally:
        camera.close()
        executor.shutdown()
        node.destroy_node()
