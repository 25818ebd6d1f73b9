"""A subscription to images that hears any camera."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidTopicNameException
from rclpy.qos import ReliabilityPolicy
from rclpy.validate_topic_name import validate_topic_name
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.errors import InputError
from vljepa_ros.nodes.conversions import to_nanoseconds
from vljepa_ros.nodes.lifecycle import ManagedNode
from vljepa_ros.nodes.parameters import choice, declare, declare_texts, texts
from vljepa_ros.nodes.qos import newest_only
from vljepa_ros.nodes.serialized import prepare, read_image
from vljepa_ros.nodes.transport import loss, remedy
from vljepa_ros.streaming.stamps import SECOND

_CHECK_PERIOD = 0.5  # s
_REPORT_PERIOD = 10.0  # s between two logs of the same silence
# An image this much older than the one before has been overtaken; what is older yet begins anew.
_OVERTAKEN = SECOND
_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")  # a part of a topic's name
_TRANSPORTS = ("raw", "compressed")
_COMPRESSED = "/compressed"  # what image_transport appends to a topic's name
_RELIABILITY = {
    "auto": None,
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}


def declare_camera(node: ManagedNode) -> None:
    """Declare the parameters of the image subscription."""
    transport = "raw for sensor_msgs/Image; compressed for CompressedImage on <image>/compressed"
    declare(node, "image_transport", "raw", transport, read_only=True)
    reliability = "auto to match the publisher; reliable or best_effort to force it"
    declare(node, "image_reliability", "auto", reliability, read_only=True)
    timeout = "s without an image before a warning"
    declare(node, "silence_timeout", 5.0, timeout, span=(0.1, 3600.0), read_only=True)


def declare_cameras(node: ManagedNode) -> None:
    """Declare the parameter that names several cameras."""
    description = "name:=topic of each camera; none: the one of the topic image"
    declare_texts(node, "cameras", [], description, read_only=True)


def camera_topics(node: ManagedNode) -> dict[str, str]:
    """Topic of each camera by name; "image" by the name "" where the parameter names none.

    Raises:
        InputError: the parameter is no list of name:=topic, or two cameras have one name or topic.
    """
    topics: dict[str, str] = {}
    resolved: set[str] = set()
    for text in texts(node.get_parameter("cameras")):
        name, _, topic = (part.strip() for part in text.partition(":="))
        if not _NAME.fullmatch(name) or not topic:
            raise InputError(
                f"cameras must be a list of name:=topic, for example "
                f"['front:=/front/image_raw'], not {text!r}"
            )
        try:
            validate_topic_name(topic)
        except InvalidTopicNameException as error:
            raise InputError(f"cameras has no topic's name in {text!r}: {error}") from error
        full = node.resolve_topic_name(topic)
        if "__" in name + full:  # which remapping rules cannot express
            raise InputError(f"{text!r} in cameras must not have two underscores in a row")
        if name in topics or full in resolved:
            raise InputError(f"two cameras have the name or the topic of {text!r}; change one")
        topics[name] = topic
        resolved.add(full)
    return topics or {"": "image"}


class ImageSubscription:
    """Subscribes to images with the publisher's reliability; the newest image wins.

    Args:
        node: with the parameters of `declare_camera`.
        receive: is called with each message, as `read_image` gives it; must return at once.
        topic: of the raw images; compressed ones come on <topic>/compressed.

    Raises:
        InputError: a parameter has a value that is not among those allowed.
        ImportError: what reads images is not installed.
    """

    def __init__(
        self, node: ManagedNode, receive: Callable[[Any], None], topic: str = "image"
    ) -> None:
        prepare()
        compressed = choice(node, "image_transport", _TRANSPORTS) == "compressed"
        self._forced = _RELIABILITY[choice(node, "image_reliability", tuple(_RELIABILITY))]
        self._timeout = node.get_parameter("silence_timeout").value
        # Resolved first, so that remapping `image` moves the compressed topic as well.
        self._raw_topic = node.resolve_topic_name(topic)
        # As rclpy is told it, which resolves it itself: what was resolved could be remapped again.
        self._name = self._raw_topic + _COMPRESSED if compressed else topic
        self.topic = node.resolve_topic_name(self._name)
        self._type = CompressedImage if compressed else Image
        self._type_name = f"sensor_msgs/msg/{self._type.__name__}"
        self._node = node
        self._receive = receive
        self._group = MutuallyExclusiveCallbackGroup()
        self._is_open = False

    def open(self) -> None:
        """Begin to receive."""
        self._received = self._has_publisher = False
        self._came = False  # an image, from the publishers that there are
        self._received_at = time.monotonic()
        self._stamp: int | None = None  # of the newest image, ns
        self._ran_back = False  # stamps, since the last check
        # s without an image since there has been a publisher or none, and when it was last told
        self._silent = self._reported = 0.0
        self._told = ""  # the cause
        self._warned = False  # of images that the kernel loses
        self._reliability = self._best_reliability()
        self._subscription = self._subscribe()
        # Steady: a camera may fall silent while simulated time stands still.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(_CHECK_PERIOD, self._check, clock=clock)
        self._is_open = True

    @property
    def silence(self) -> float:
        """For how long no image has come that is used, in s; 0 below silence_timeout."""
        silence = time.monotonic() - self._received_at
        return silence if silence >= self._timeout else 0.0

    def close(self) -> None:
        """End it; harmless when it is not open."""
        if self._is_open:
            self._node.dispose(self._node.destroy_timer, self._timer)
            self._node.dispose(self._node.destroy_subscription, self._subscription)
        self._is_open = False
        self._node.diagnostics.warn("", self.topic)

    def _subscribe(self) -> Any:
        how = self._reliability.name.lower()
        self._node.get_logger().info(f"{self.topic} is received {how}")
        return self._node.create_subscription(
            self._type,
            self._name,
            self._on_image,
            newest_only(self._reliability),
            callback_group=self._group,
            raw=True,
        )

    def _on_image(self, data: bytes) -> None:
        if self._is_open:
            self._received = True
            with self._node.surviving("image", self.topic):
                message = read_image(data, self._type_name)
                self._check_stamp(to_nanoseconds(message.header.stamp))
                self._received_at = time.monotonic()  # of one that is used
                self._receive(message)

    def _check_stamp(self, stamp: int) -> None:
        behind = 0 if self._stamp is None else self._stamp - stamp
        self._ran_back |= behind > 0
        if stamp == self._stamp:
            raise InputError(
                f"two images have the same stamp, {stamp} ns; windows are sampled by stamp, so "
                "have the camera's driver set header.stamp to the time of each image"
            )
        if 0 < behind < _OVERTAKEN:
            raise InputError(
                f"an image is {behind / SECOND:.3f} s older than the one before; images must come "
                "in the order of their stamps, and those of two cameras on topics of their own"
            )
        self._stamp = stamp

    def _best_reliability(self) -> ReliabilityPolicy:
        """Have what is lost sent again where all publishers can; hear best-effort ones too."""
        if self._forced is not None:
            return self._forced
        publishers = self._node.get_publishers_info_by_topic(self._name)
        reliable = ReliabilityPolicy.RELIABLE
        if publishers and all(p.qos_profile.reliability == reliable for p in publishers):
            return reliable
        return ReliabilityPolicy.BEST_EFFORT

    def _check(self) -> None:
        if not self._is_open:
            return
        publishers = self._node.get_publishers_info_by_topic(self._name)
        if publishers:
            self._follow()
            self._warn_of_loss()
        self._silent += _CHECK_PERIOD
        if self._received or bool(publishers) != self._has_publisher:
            self._came = self._received
            self._received, self._silent, self._told = False, 0.0, ""
            self._has_publisher = bool(publishers)
        message = "" if publishers else f"no publisher on {self.topic}"
        if self._silent >= self._timeout:
            message = self._report(publishers)
        elif self._ran_back and len(publishers) > 1:
            message = (
                f"{self.topic} has {len(publishers)} publishers whose stamps run back and forth, "
                "so images are refused or the window begins anew; give each a topic of its own"
            )
        self._ran_back = False
        self._node.diagnostics.warn(message, self.topic)

    def _follow(self) -> None:
        """Subscribe again when the reliability that is best has changed."""
        wanted = self._best_reliability()
        if wanted == self._reliability:
            return
        self._reliability = wanted
        self._node.dispose(self._node.destroy_subscription, self._subscription)
        self._subscription = self._subscribe()

    def _warn_of_loss(self) -> None:
        """Say once that images will be lost, which is no silence."""
        best_effort = self._reliability == ReliabilityPolicy.BEST_EFFORT
        if best_effort and self._type is Image and not self._warned and (why := loss()):
            self._warned = True
            self._node.get_logger().warning(f"{self.topic} is received best-effort, and {why}")

    def _report(self, publishers: list[Any]) -> str:
        """What is told of the silence; into the log again and again while there is a publisher."""
        begin = f"no publisher on {self.topic}"
        if publishers:
            begin = f"{self.topic} has a publisher, but no image has come"
        cause = self._cause(publishers)
        message = f"{begin} for {self._silent:.0f} s: {cause}"
        again = bool(publishers) and self._silent - self._reported >= _REPORT_PERIOD
        if again or cause != self._told:
            self._told, self._reported = cause, self._silent
            self._node.get_logger().warning(message)
        return message

    def _cause(self, publishers: list[Any]) -> str:
        if not publishers:
            return self._found_elsewhere() or (
                "start the camera, or remap image to its topic (image_topic of the launch file)"
            )
        types = sorted({p.topic_type for p in publishers})
        if self._type_name not in types:
            advice = "set image_transport or remap image to the right topic"
            if self._type is Image and self.topic.endswith(_COMPRESSED):
                advice = f"set image_transport to compressed and {self._without_suffix()}"
            return f"it carries {types} and not {self._type_name}; {advice}"
        offered = {p.qos_profile.reliability for p in publishers}
        reliable = ReliabilityPolicy.RELIABLE
        if self._forced == reliable and reliable not in offered:
            return "it is best-effort and image_reliability forces reliable; set that to auto"
        if self._came:
            return "images came before and have stopped; check that the camera still runs"
        return remedy(self._type is CompressedImage)

    def _found_elsewhere(self) -> str:
        """What to set where the topic of the other transport has a publisher, else ""."""
        is_raw = self._type is Image
        other = self.topic + _COMPRESSED if is_raw else self._raw_topic
        if not self._node.get_publishers_info_by_topic(other):
            return ""
        advice = f"set image_transport to {'compressed' if is_raw else 'raw'}"
        if not is_raw and other.endswith(_COMPRESSED):
            advice = self._without_suffix()
        return f"{other} has one; {advice}"

    def _without_suffix(self) -> str:
        name = self._raw_topic.removesuffix(_COMPRESSED)
        return f"remap image to {name}, to which {_COMPRESSED} is appended"
