"""What ROS costs around the engine: the embedder against a naive node.

    . tools/env.sh && python benchmarks/ros_overhead.py

Both receive the same camera, make the model's input of each image, and publish an embedding; the
model is left out of both. The naive node does as most do: a Python message, cv_bridge (where it
imports, otherwise rosbags-image), PIL, NumPy to normalise, `.tolist()`. A third node takes the
bytes of each image, does nothing with them, and publishes: what receiving itself costs. They take
turns with the camera, and the others wait.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Mapping
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
# Of every process: glibc's heap keeps what it has. Otherwise it is chance whether a node gives the
# memory of each image back and has it zeroed again for the next, which costs more than the rest.
HEAP = {"MALLOC_TRIM_THRESHOLD_": str(1 << 28), "MALLOC_MMAP_THRESHOLD_": str(1 << 28)}
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


def measure(size: tuple[int, int], rounds: int, seconds: float) -> dict[str, float]:
    """CPU of each node for each embedding, in ms: the median of the rounds."""
    heard: dict[str, list[Any]] = {kind: [] for kind in RUN}
    spent: dict[str, list[float]] = {kind: [] for kind in RUN}
    with Robot(f"/ros_overhead_{os.getpid()}") as robot:
        processes = {}
        for kind in RUN:
            limit = {"max_rate_hz": 0.0} if kind == "embedder" else {}
            command = [sys.executable, __file__, "--run", kind]
            processes[kind] = robot.start(command, namespace=kind, **limit)
            robot.hear(SemanticEmbedding, f"{kind}/embedding", heard[kind].append)
        robot.wait_active("embedder/embedder")
        for _ in range(rounds):
            for kind, pid in processes.items():
                heard[kind].clear()
                camera = robot.camera(f"{kind}/image", *size)
                robot.until(lambda kind=kind: len(heard[kind]) > 15, f"embeddings of {kind}")
                heard[kind].clear()
                before = cpu(pid)
                robot.wait(seconds)
                spent[kind].append((cpu(pid) - before) / len(heard[kind]) * 1e3)
                robot.stop(camera)
    return {kind: statistics.median(values) for kind, values in spent.items()}


def compared(size: tuple[int, int], ms: Mapping[str, float]) -> list[dict[str, Any]]:
    """The rows of one size."""
    what = "CPU of the embedder around the engine, {}x{}".format(*size)
    naive = "the naive node's"
    ours, theirs = (ms[kind] - ms["receiver"] for kind in ("embedder", "naive"))
    above = {"embedder_above_ms": ours, "naive_above_ms": theirs}
    ratio = theirs / ours if ours > 0 else None
    costs = {f"{kind}_ms": value for kind, value in ms.items()}
    return [
        row(what, naive, ms["naive"] / ms["embedder"], "at least 5x", costs),
        row(f"{what}, above receiving", naive, ratio, "at least 5x", above),
    ]


def main() -> None:
    """Measure the nodes with both sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of all nodes")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each node in a round")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--run", choices=RUN, help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.run:
        RUN[options.run]([sys.argv[0], *rest])
        return
    os.environ.update(HEAP)
    rows = []
    for size in SIZES:
        rows += compared(size, measure(size, options.rounds, options.seconds))
    report("ros_overhead", rows, options.json)


if __name__ == "__main__":
    main()
