"""A camera in a process of its own, with Fast DDS as it comes: 1280x720 rgb8 at 30 Hz.

Arguments: namespace, reliable or best_effort, images to send (0 for a camera that is silent).
"""

from __future__ import annotations

import sys
from itertools import count

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image


def main() -> None:
    namespace, reliability, images = sys.argv[1], sys.argv[2].upper(), int(sys.argv[3])
    rclpy.init()
    node = rclpy.create_node("camera", namespace=namespace)
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[reliability])
    publisher = node.create_publisher(Image, "image", qos)
    message = Image(width=1280, height=720, step=3 * 1280, encoding="rgb8")
    message.data.frombytes(np.full((720, 1280, 3), 128, np.uint8).tobytes())
    sent = count()

    def send() -> None:
        if publisher.get_subscription_count() and next(sent) < images:
            message.header.stamp = node.get_clock().now().to_msg()
            publisher.publish(message)

    node.create_timer(1 / 30, send)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
