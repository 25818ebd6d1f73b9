"""What ROS costs around the engine: the embedder against a naive node.

    . tools/env.sh && python benchmarks/ros_overhead.py

Both receive the same camera, make the model's input of each image, and publish an embedding; the
model is left out of both. The naive node does as most do: a Python message, cv_bridge (where it
imports, otherwise rosbags-image), PIL, the preprocessing of torchvision, `.tolist()`. A third node
takes the bytes of each image, does nothing with them, and publishes: what receiving itself costs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from results import report, row
from robot import Robot, cpu, spin
from sensor_msgs.msg import Image
from vljepa_ros.msg import SemanticEmbedding

from vljepa_ros.nodes.conversions import to_floats
from vljepa_ros.nodes.transport import receive_large_images
from vljepa_ros.runtime import EngineInfo

SIZES = ((1280, 720), (1920, 1080))
SIDE, DIM = 224, 384
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)


class NoModel:
    """Stands for the engine: normalises its input, and embeds it into the same vector always."""

    info = EngineInfo(
        model_id="none@0",
        name="none",
        weights_sha256="0",
        embedding_dim=DIM,
        normalized=True,
        conditioned=True,
        decodes=False,
        input_width=SIDE,
        input_height=SIDE,
        window_frames=4,
        window_period=0.5,
        frame_tokens=None,
        backend="none",
        device="cpu",
        precision="fp32",
    )

    def encode_frames(self, frames: list[Any]) -> Any:
        """(F, S, S, 3) float32."""
        return (np.stack(frames).astype(np.float32) / 255 - MEAN) / STD

    def predict(self, tokens: Any, queries: Any) -> Any:
        """(Q, D) float32."""
        return np.full((len(queries), DIM), DIM**-0.5, np.float32)


def run_embedder(arguments: list[str]) -> None:
    """The embedder without its model."""
    from vljepa_ros.nodes import embedder, model_node

    model_node.shared_engine = lambda *_, **__: NoModel()
    embedder.main(arguments)


def run_receiver(arguments: list[str]) -> None:
    """A node that looks at nothing."""
    embedding = SemanticEmbedding(data=to_floats(np.full(DIM, DIM**-0.5)))
    run_node("receiver", arguments, lambda _, publish: publish(embedding), raw=True)


def run_naive(arguments: list[str]) -> None:
    """A node as most are written."""
    from PIL import Image as Picture

    try:
        from cv_bridge import CvBridge

        convert = CvBridge().imgmsg_to_cv2
    except Exception:
        # It is missing, or was built for another NumPy.
        from rosbags.image import image_to_cvimage as convert

    def receive(message: Any, publish: Callable[[Any], None]) -> None:
        picture = Picture.fromarray(convert(message, "rgb8")).resize((SIDE, SIDE))
        pixels = np.asarray(picture).transpose(2, 0, 1).astype(np.float32) / 255
        _ = (pixels - MEAN[:, None, None]) / STD[:, None, None]  # (3, S, S)
        embedding = np.full(DIM, DIM**-0.5, np.float32)
        publish(SemanticEmbedding(header=message.header, data=embedding.tolist()))

    run_node("naive", arguments, receive)


def run_node(
    name: str,
    arguments: list[str],
    receive: Callable[[Any, Callable[[Any], None]], None],
    raw: bool = False,
) -> None:
    """A node that hands its images, with the way to publish, to a function."""
    receive_large_images()
    rclpy.init(args=arguments)
    node = rclpy.create_node(name)
    publisher = node.create_publisher(SemanticEmbedding, "embedding", 10)
    node.create_subscription(
        Image, "image", lambda image: receive(image, publisher.publish), 1, raw=raw
    )
    spin(node)


RUN = {"receiver": run_receiver, "embedder": run_embedder, "naive": run_naive}


def measure(kind: str, size: tuple[int, int], seconds: float) -> float:
    """CPU of a node for each embedding, in s."""
    heard: list[Any] = []
    with Robot(f"/ros_overhead_{os.getpid()}") as robot:
        limit = {"max_rate_hz": 0.0} if kind == "embedder" else {}
        pid = robot.start([sys.executable, __file__, "--run", kind], **limit)
        robot.hear(SemanticEmbedding, "embedding", heard.append)
        robot.camera("image", *size)
        robot.until(lambda: len(heard) > 30, "embeddings")
        heard.clear()
        before = cpu(pid)
        robot.wait(seconds)
        return (cpu(pid) - before) / len(heard)


def main() -> None:
    """Measure the nodes with both sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each stream")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--run", choices=RUN, help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.run:
        RUN[options.run]([sys.argv[0], *rest])
        return
    rows = []
    for width, height in SIZES:
        floor, ours, naive = (measure(kind, (width, height), options.seconds) for kind in RUN)
        costs = {"embedder_ms": ours * 1e3, "naive_ms": naive * 1e3, "receiver_ms": floor * 1e3}
        what = f"CPU of the naive node around the engine, {width}x{height}"
        above = (naive - floor) / (ours - floor) if ours > floor else None
        rows += [
            row(what, "the embedder's", naive / ours, "at least 5x", costs),
            row(f"{what}, above receiving", "the embedder's", above, "at least 5x", costs),
        ]
    report("ros_overhead", rows, options.json)


if __name__ == "__main__":
    main()
