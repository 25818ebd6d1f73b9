"""How many large images reach a node, with Fast DDS as it comes and with config/fastdds.xml.

    . tools/env.sh && python benchmarks/large_images.py

A camera in a process of its own, with Fast DDS as it comes, sends 1280x720 rgb8 at 30 Hz to a
node that does nothing with it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from results import report
from robot import FOLDER
from sensor_msgs.msg import Image

from vljepa_ros.nodes.qos import newest_only
from vljepa_ros.nodes.transport import receive_large_images

NAMESPACE = "/large_images"
SETTINGS = ("as it comes", "config/fastdds.xml")
RELIABILITIES = ("reliable", "best_effort")
SILENCE = 3.0  # s without an image: the camera has sent all
STARTUP = 20.0  # s until the first one


def receive(reliability: str, profile: bool) -> dict[str, Any]:
    """Hear one camera to its end, in this process; images and their median age in ms."""
    if profile:
        receive_large_images()
    rclpy.init()
    node = rclpy.create_node("receiver", namespace=NAMESPACE)
    ages: list[float] = []
    last = time.monotonic() + STARTUP - SILENCE

    def hear(message: Image) -> None:
        nonlocal last
        last = time.monotonic()
        sent = rclpy.time.Time.from_msg(message.header.stamp)
        ages.append((node.get_clock().now() - sent).nanoseconds / 1e6)

    qos: QoSProfile = newest_only(ReliabilityPolicy[reliability.upper()])
    node.create_subscription(Image, "image", hear, qos)
    while time.monotonic() - last < SILENCE:
        rclpy.spin_once(node, timeout_sec=0.1)
    rclpy.shutdown()
    return {"received": len(ages), "median_age_ms": float(np.median(ages)) if ages else None}


def measure(reliability: str, settings: str, images: int) -> dict[str, Any]:
    """One camera and one receiver, each in a process of its own."""
    own = ("FASTDDS_", "FASTRTPS_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    arguments = (f"{NAMESPACE}/image", 1280, 720, 30, reliability, images)
    camera = subprocess.Popen(
        [sys.executable, str(FOLDER / "camera.py"), *map(str, arguments)], env=environment
    )
    try:
        command = [sys.executable, __file__, "--receive", reliability]
        command += ["--profile"] if settings != SETTINGS[0] else []
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    finally:
        camera.terminate()
        camera.wait(30)
    heard = json.loads(done.stdout.splitlines()[-1])
    return {"camera": reliability, "settings": settings, "sent": images, **heard}


def main() -> None:
    """Measure all pairs of a camera and settings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300, help="sent by each camera")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--receive", choices=RELIABILITIES, help=argparse.SUPPRESS)
    parser.add_argument("--profile", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive:
        print(json.dumps(receive(options.receive, options.profile)))
        return
    limit = int(Path("/proc/sys/net/core/rmem_max").read_text())
    rows = [
        measure(reliability, settings, options.images) | {"rmem_max": limit}
        for reliability in RELIABILITIES
        for settings in SETTINGS
    ]
    report("large_images", rows, options.json)


if __name__ == "__main__":
    main()
