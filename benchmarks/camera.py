"""A camera as a process of its own, which costs little beside what hears it.

Arguments: topic, width, height, Hz, reliable or best_effort, images to send (inf: until it is
ended). The pictures are noise, rgb8; it sends only while somebody hears it.
"""

from __future__ import annotations

import struct
import sys
from array import array
from itertools import count

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from robot import spin
from sensor_msgs.msg import Image

_STAMP = 4  # bytes before the stamp in CDR


def main() -> None:
    """Send until all is sent, or until a signal."""
    topic, (width, height) = sys.argv[1], map(int, sys.argv[2:4])
    rate, reliability, images = float(sys.argv[4]), sys.argv[5].upper(), float(sys.argv[6])
    rclpy.init()
    node = rclpy.create_node(f"camera_{topic.strip('/').replace('/', '_')}")
    # As many as rclpy's profile of sensor data keeps.
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[reliability])
    publisher = node.create_publisher(Image, topic, qos)
    message = Image(width=width, height=height, step=3 * width, encoding="rgb8")
    pixels = np.random.default_rng(0).integers(0, 256, 3 * width * height, np.uint8)
    message.data = array("B", pixels.tobytes())
    # Serialized once: making a message of each image would cost more than receiving it.
    data = bytearray(serialize_message(message))
    sent = count()

    def send() -> None:
        if publisher.get_subscription_count() and next(sent) < images:
            struct.pack_into("<iI", data, _STAMP, *node.get_clock().now().seconds_nanoseconds())
            publisher.publish(bytes(data))

    node.create_timer(1 / rate, send)
    spin(node)


if __name__ == "__main__":
    main()
