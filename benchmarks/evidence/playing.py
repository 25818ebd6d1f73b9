"""Plays recorded streams into the real nodes over DDS, as cameras would, and hears them."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rclpy.qos import QoSProfile, ReliabilityPolicy
from robot import Robot
from sensor_msgs.msg import Image
from vljepa_ros.msg import Description, SemanticEmbedding, SemanticShift

from evidence.told import Told
from vljepa_ros.nodes.conversions import to_nanoseconds, to_time
from vljepa_ros.training.shards import decode_jpeg

_START = 0.5  # s from the first to be ready until the first frame
_END = 3.0  # s after the last frame, for the last sentence
_PER_CAMERA = ("gate", "decoder", "vqa")
_SECOND = 1_000_000_000  # ns


@dataclass
class Heard:
    """What the nodes told of a stream.

    Attributes:
        frames: number of embeddings.
        told: the descriptions, and the changes among the shifts.
        shift_ages, text_ages: s from the stamp of the newest frame until a shift or a
            description was heard.
    """

    frames: int = 0
    told: Told = field(default_factory=Told)
    shift_ages: list[float] = field(default_factory=list)
    text_ages: list[float] = field(default_factory=list)


def play(
    streams: Sequence[tuple[int, Sequence[bytes]]], tell: Callable[[int], None]
) -> list[Heard]:
    """Play streams at once and in real time, each as a camera of one pipeline.

    Args:
        streams: period of the frames in ns, and the frames as JPEG.
        tell: called with the number of frames sent so far.

    Raises:
        RuntimeError: the nodes do not start or say nothing; with the end of their log.
    """
    with Robot(f"/evidence_{os.getpid()}") as robot:
        names = [f"stream{number}" for number in range(len(streams))]
        publishers = [
            robot.node.create_publisher(Image, f"{name}/image", QoSProfile(depth=2))
            for name in names
        ]
        topics = ",".join(f"'{name}:={name}/image'" for name in names)
        # As in the offline run, a sentence is told however unsure it is.
        robot.start("pipeline", cameras=f"[{topics}]", min_confidence=0.0)
        robot.wait_active("embedder", *(f"{name}/{n}" for name in names for n in _PER_CAMERA))
        ears = [_Ear(robot, name) for name in names]
        robot.until(lambda: all(ear.ready() for ear in ears), "the nodes to hear one another")
        origin = robot.node.get_clock().now().nanoseconds + round(_START * _SECOND)
        for ear in ears:
            ear.origin = origin
        due = sorted(
            (number * period, stream, number)
            for stream, (period, frames) in enumerate(streams)
            for number in range(len(frames))
        )
        for sent, (at, stream, number) in enumerate(due):
            message = _image(streams[stream][1][number], origin + at)
            robot.wait((origin + at) / _SECOND - time.time())
            publishers[stream].publish(message)
            tell(sent + 1)
        robot.wait(_END)
        robot.until(lambda: all(ear.heard.frames for ear in ears), "embeddings of all streams")
        return [ear.heard for ear in ears]


def _image(jpeg: bytes, stamp: int) -> Image:
    rgb = decode_jpeg(jpeg)
    message = Image(height=rgb.shape[0], width=rgb.shape[1], step=3 * rgb.shape[1])
    message.encoding = "rgb8"
    message.header.stamp = to_time(stamp)
    message.data = array("B", rgb.tobytes())
    return message


class _Ear:
    """Hears what the nodes tell of one camera."""

    def __init__(self, robot: Robot, name: str) -> None:
        self._node, self._name = robot.node, name
        self.origin = 0
        self.heard = Heard()
        robot.hear(SemanticEmbedding, f"{name}/embedding", self._on_embedding)
        robot.hear(SemanticShift, f"{name}/shift", self._on_shift)
        robot.hear(Description, f"{name}/description", self._on_description)

    def ready(self) -> bool:
        """Whether all nodes would miss nothing from now on."""
        image = f"{self._name}/image"
        embedder_and_vqa = self._node.get_subscriptions_info_by_topic(
            self._node.resolve_topic_name(image)
        )
        reliable = ReliabilityPolicy.RELIABLE
        return (
            len(embedder_and_vqa) == 2
            and all(s.qos_profile.reliability == reliable for s in embedder_and_vqa)
            and self._node.count_subscribers(f"{self._name}/embedding") == 2  # gate and this
            and self._node.count_subscribers(f"{self._name}/shift") == 2  # decoder and this
        )

    def _on_embedding(self, message: SemanticEmbedding) -> None:
        self.heard.frames += 1

    def _on_shift(self, message: SemanticShift) -> None:
        if message.trigger == SemanticShift.SHIFT:
            self.heard.told.changes.append(self._stamp(message) - self.origin)
        self.heard.shift_ages.append(self._age(message))

    def _on_description(self, message: Description) -> None:
        self.heard.told.stamps.append(self._stamp(message) - self.origin)
        self.heard.told.texts.append(message.text)
        self.heard.text_ages.append(self._age(message))

    def _stamp(self, message: Any) -> int:
        return to_nanoseconds(message.header.stamp)

    def _age(self, message: Any) -> float:
        return time.time() - self._stamp(message) / _SECOND
