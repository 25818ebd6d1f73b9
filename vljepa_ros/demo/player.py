"""Plays a video into a topic, as a camera would."""

import math
import threading
from array import array

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from vljepa_ros.demo.story import Story
from vljepa_ros.demo.video import Picture, Video

FRAME_ID = "demo_camera_optical_frame"
_THUMBNAIL_PERIOD = 0.5  # s
_THUMBNAIL_WIDTH = 240  # pixels


class ImagePlayer(threading.Thread):
    """Publishes a video as a camera would, and notes in the story what it sent.

    Publishes:
        image (sensor_msgs/Image, reliable, depth 2): bgr8, in the frame
            demo_camera_optical_frame, stamped with the node's clock at publication.

    Args:
        node: publishes the images.
        video: is closed by stop().
        story: gets the times and small pictures.
        seconds: stop after this time of the stream; None plays the whole video.
    """

    def __init__(self, node: Node, video: Video, story: Story, seconds: float | None) -> None:
        super().__init__(name="player", daemon=True)
        self._node = node
        self._video = video
        self._story = story
        self._seconds = math.inf if seconds is None else seconds
        self._publisher = node.create_publisher(Image, "image", QoSProfile(depth=2))
        self._stop_wanted = threading.Event()

    def run(self) -> None:
        """Play until the end, the time limit, or stop()."""
        for picture in self._video.frames():
            if self._stop_wanted.is_set() or self._story.elapsed >= self._seconds:
                break
            message = to_message(picture)
            now = self._node.get_clock().now()
            message.header.stamp = now.to_msg()
            message.header.frame_id = FRAME_ID
            self._note(picture, now.nanoseconds)
            self._publisher.publish(message)

    def stop(self) -> None:
        """End, early if need be; harmless before the start. Closes the video."""
        self._stop_wanted.set()
        if self.is_alive():
            self.join()
        self._video.close()

    def _note(self, picture: Picture, stamp: int) -> None:
        story = self._story
        if story.origin is None:
            story.origin = stamp
        story.frames_sent += 1
        story.elapsed = story.seconds(stamp)
        last = story.thumbnails[-1][0] if story.thumbnails else -math.inf
        if story.elapsed - last >= _THUMBNAIL_PERIOD:
            height = max(1, round(picture.shape[0] * _THUMBNAIL_WIDTH / picture.shape[1]))
            small = cv2.resize(picture, (_THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)
            rgb = np.ascontiguousarray(small[:, :, ::-1], np.uint8)
            story.thumbnails.append((story.elapsed, rgb))


def to_message(picture: Picture) -> Image:
    """Wrap a (H, W, 3) BGR image as bgr8; the header is left to the caller."""
    message = Image(height=picture.shape[0], width=picture.shape[1], encoding="bgr8")
    message.step = 3 * picture.shape[1]
    # An array.array is taken as it is; anything else would be checked byte by byte.
    message.data = array("B", picture.tobytes())
    return message
