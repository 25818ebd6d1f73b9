"""What a node says of a camera that publishes elsewhere than where it listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.nodes.camera import ImageSubscription, declare_camera
from vljepa_ros.nodes.lifecycle import ManagedNode
from vljepa_ros.nodes.transport import remedy

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
    told: list[str] = []
    settings = ["-p", f"image_transport:={transport}", "-p", "silence_timeout:=0.5"]
    with _watching(topic, settings, lambda _: None) as (node, _, spin):
        node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda m: told.append(m.status[0].message), 10
        )
        spin(lambda: any(advice in message for message in told))


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_a_camera_that_stops_is_told_from_one_that_never_sent(
    driver: Node, transport: str
) -> None:
    kind = CompressedImage if transport == "compressed" else Image
    suffix = "/compressed" if transport == "compressed" else ""
    publisher = driver.create_publisher(kind, f"cam{suffix}", 1)
    told: list[str] = []
    received: list[object] = []
    settings = ["-p", f"image_transport:={transport}", "-p", "silence_timeout:=0.5"]
    with _watching("cam", settings, received.append) as (node, _, spin):
        node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda m: told.append(m.status[0].message), 10
        )
        never = remedy(compressed=transport == "compressed")
        spin(lambda: any(never in message for message in told))
        spin(lambda: publisher.publish(kind()) or bool(received))
        told.clear()
        spin(lambda: any("no image has come for" in message for message in told))
        assert any("images came before and have stopped" in message for message in told)
        assert not any(never in message for message in told[1:])  # the first may be of before
        driver.destroy_publisher(publisher)
        spin(lambda: any("no publisher on" in message for message in told))
        driver.create_publisher(kind, f"cam{suffix}", 1)
        spin(lambda: never in told[-1])


@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_a_topic_is_remapped_once(driver: Node, transport: str) -> None:
    """As that of any other node: two cameras may be exchanged."""
    kind = CompressedImage if transport == "compressed" else Image
    suffix = "/compressed" if transport == "compressed" else ""
    publisher = driver.create_publisher(kind, f"/left{suffix}", 1)
    received: list[object] = []
    rules = ["-r", "/front:=/left", "-r", "/left:=/front"]
    settings = ["-p", f"image_transport:={transport}", *rules]
    with _watching("/front", settings, received.append) as (_, camera, spin):
        assert camera.topic == f"/left{suffix}"
        spin(lambda: publisher.publish(kind()) or bool(received))


@contextmanager
def _watching(
    topic: str, settings: list[str], receive: Callable[[object], None]
) -> Iterator[tuple[ManagedNode, ImageSubscription, Callable[[Callable[[], bool]], None]]]:
    """A node, its subscription, and what spins it until something is true."""
    rclpy.init(args=["--ros-args", *settings])
    node = ManagedNode("watcher")
    executor = SingleThreadedExecutor()

    def spin(until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT
        while not until():
            assert time.monotonic() < deadline
            executor.spin_once(timeout_sec=0.1)

    try:
        declare_camera(node)
        camera = ImageSubscription(node, receive, topic)
        executor.add_node(node)
        camera.open()
        yield node, camera, spin
    finally:
        camera.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()
