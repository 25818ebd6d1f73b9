"""Whether the embedder's memory stays where it is: after 1,000 frames and after many more.

    . tools/env.sh && python benchmarks/memory.py --frames 50000

The pictures are small, for the camera and the resizing not to take the time; the model is whole.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from results import report, row
from robot import Robot, memory
from vljepa_ros.msg import SemanticEmbedding

FIRST = 1000  # frames
SIZE, RATE = (64, 48), 200.0  # Hz: more than it embeds


def main() -> None:
    """Let it run, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    heard = 0

    def hear(_: Any) -> None:
        nonlocal heard
        heard += 1

    with Robot(f"/memory_{os.getpid()}") as robot:
        pid = robot.start("embedder", max_rate_hz=0.0)
        robot.wait_active("embedder")
        robot.hear(SemanticEmbedding, "embedding", hear)
        robot.camera("image", *SIZE, RATE)
        early = late = 0.0
        while heard < options.frames:
            aim = FIRST if not early else min(heard + FIRST, options.frames)
            robot.until(lambda aim=aim: heard >= aim, f"{aim} embeddings")
            late = memory(pid)
            early = early or late
    rows = [
        row(
            f"memory after {options.frames:,} frames",
            f"after {FIRST:,}",
            late / early,
            "within 2%",
            {"late_mb": late, "early_mb": early},
        )
    ]
    report("memory", rows, options.json)


if __name__ == "__main__":
    main()
