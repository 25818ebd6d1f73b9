"""A subscription to images that hears any camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.nodes.lifecycle import ManagedNode
from vljepa_ros.nodes.parameters import declare
from vljepa_ros.nodes.qos import newest_only

_CHECK_PERIOD = 0.5  # s
_RELIABILITY = {
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}


def declare_camera(node: ManagedNode) -> None:
    """Declare the parameters of the image subscription."""
    declare(
        node,
        "image_transport",
        "raw",
        "raw for sensor_msgs/Image, compressed for CompressedImage on <image>/compressed",
        read_only=True,
    )
    declare(
        node,
        "image_reliability",
        "auto",
        "auto to match the publisher, or reliable, or best_effort",
        read_only=True,
    )
    declare(
        node,
        "silence_timeout",
        5.0,
        "seconds without an image, while there is a publisher, until it is reported",
        span=(0.1, 3600.0),
        read_only=True,
    )


class Camera:
    """Subscribes to `image` with the publisher's reliability; the newest image wins.

    Args:
        node: with the parameters of `declare_camera`.
        receive: is called with each message; must return at once.

    Raises:
        InputError: never; wrong parameter values fall back with an error in the log.
    """

    def __init__(self, node: ManagedNode, receive: Callable[[Any], None]) -> None:
        self._node = node
        self._receive = receive
        compressed = node.get_parameter("image_transport").value == "compressed"
        self._type = CompressedImage if compressed else Image
        # Resolved first, so that remapping `image` moves the compressed topic as well.
        self.topic = node.resolve_topic_name("image") + ("/compressed" if compressed else "")
        self._forced = _RELIABILITY.get(node.get_parameter("image_reliability").value)
        self._timeout = node.get_parameter("silence_timeout").value
        self._group = MutuallyExclusiveCallbackGroup()
        self._received = False
        self._silent = 0.0  # s
        self._reliability = self._forced or ReliabilityPolicy.BEST_EFFORT
        self._subscription = self._subscribe()
        self._timer = node.create_timer(
            _CHECK_PERIOD, self._check, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def close(self) -> None:
        """End the subscription."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self) -> Any:
        return self._node.create_subscription(
            self._type,
            self.topic,
            self._on_image,
            newest_only(self._reliability),
            callback_group=self._group,
        )

    def _on_image(self, message: Any) -> None:
        self._received = True
        self._receive(message)

    def _check(self) -> None:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if publishers and self._forced is None:
            self._match([p.qos_profile.reliability for p in publishers])
        if self._received or not publishers:
            self._received, self._silent = False, 0.0
            self._node.diagnostics.warn("" if publishers else f"no publisher on {self.topic}")
            return
        self._silent += _CHECK_PERIOD
        if self._silent >= self._timeout:
            self._report(publishers)

    def _match(self, offered: list[ReliabilityPolicy]) -> None:
        """Reliable images are never lost to full buffers; a best-effort camera needs its own."""
        reliable = all(policy == ReliabilityPolicy.RELIABLE for policy in offered)
        wanted = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        if wanted == self._reliability:
            return
        self._reliability = wanted
        old, self._subscription = self._subscription, self._subscribe()
        self._node.destroy_subscription(old)

    def _report(self, publishers: list[Any]) -> None:
        types = {p.topic_type for p in publishers}
        expected = f"sensor_msgs/msg/{self._type.__name__}"
        if expected not in types:
            cause = f"it carries {sorted(types)}, not {expected}: set image_transport"
        elif self._forced == ReliabilityPolicy.RELIABLE and any(
            p.qos_profile.reliability != ReliabilityPolicy.RELIABLE for p in publishers
        ):
            cause = "the camera is best-effort: set image_reliability to auto"
        else:
            cause = (
                "the camera stands still, or the middleware loses large images: start both "
                "sides with FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA, or with "
                "FASTDDS_DEFAULT_PROFILES_FILE set to this package's config/fastdds.xml"
            )
        message = f"{self.topic} has a publisher but no image for {self._silent:.0f} s; {cause}"
        self._node.diagnostics.warn(message)
        if self._silent % 10 < _CHECK_PERIOD or self._silent < self._timeout + _CHECK_PERIOD:
            self._node.get_logger().warning(message)
