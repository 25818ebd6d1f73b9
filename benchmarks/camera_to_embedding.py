"""What the nodes add to the engine: from a camera of 1280x720 rgb8 at 30 Hz to its embeddings.

. tools/env.sh && python benchmarks/camera_to_embedding.py
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from bare_engine import in_a_process
from results import report, row
from robot import Robot, cpu
from vljepa_ros.msg import SemanticEmbedding

SIZE = (1280, 720)


def through_the_nodes(seconds: float) -> dict[str, float]:
    """CPU of the embedder for each frame that it processes, and the ages of these, in s."""
    ages: list[float] = []

    def hear(message: Any) -> None:
        stamp = message.header.stamp
        ages.append(time.time() - stamp.sec - stamp.nanosec / 1e9)

    with Robot(f"/camera_to_embedding_{os.getpid()}") as robot:
        pid = robot.start("embedder", max_rate_hz=0.0)
        robot.wait_active("embedder")
        robot.hear(SemanticEmbedding, "embedding", hear)
        robot.camera("image", *SIZE)
        robot.until(lambda: len(ages) > 10, "embeddings")
        ages.clear()
        before = cpu(pid)
        robot.wait(seconds)
        spent = cpu(pid) - before
    return {"cpu": spent / len(ages), "age": float(np.percentile(ages, 95)), "frames": len(ages)}


def main() -> None:
    """Measure the engine alone, then the nodes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the stream")
    parser.add_argument("--frames", type=int, default=200, help="for the engine alone")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    bare = in_a_process(SIZE, options.frames)
    nodes = through_the_nodes(options.seconds)
    rows = [
        row(
            "CPU per processed frame, 1280x720 at 30 Hz through the nodes",
            "the bare engine in a loop",
            nodes["cpu"] / bare["frame_cpu"],
            "under 1.15x",
            {"nodes_ms": nodes["cpu"] * 1e3, "engine_ms": bare["frame_cpu"] * 1e3},
        ),
        row(
            "p95 age of the processed frame",
            "time of one frame in the engine",
            nodes["age"] / bare["frame_time"],
            "under 2x",
            {"age_ms": nodes["age"] * 1e3, "engine_ms": bare["frame_time"] * 1e3},
        ),
    ]
    report("camera_to_embedding", rows, options.json)


if __name__ == "__main__":
    main()
