"""Several cameras in one process, against a process for each.

. tools/env.sh && python benchmarks/cameras.py
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from results import report, row
from robot import Robot, cpu, memory
from vljepa_ros.msg import SemanticEmbedding

CAMERAS = 4
SIZE, RATE = (640, 480), 10.0  # Hz


def measure(together: bool, seconds: float) -> dict[str, float]:
    """Memory (MB) and CPU for each embedding (s) of the embedders."""
    names = [f"camera{number}" for number in range(CAMERAS)]
    heard: dict[str, list[Any]] = {name: [] for name in names}
    with Robot(f"/cameras_{os.getpid()}") as robot:
        if together:
            topics = ",".join(f"'{name}:={name}/image'" for name in names)
            processes = [robot.start("embedder", cameras=f"[{topics}]")]
            robot.wait_active("embedder")
        else:
            processes = [robot.start("embedder", namespace=name) for name in names]
            robot.wait_active(*(f"{name}/embedder" for name in names))
        for name in names:
            robot.hear(SemanticEmbedding, f"{name}/embedding", heard[name].append)
            robot.camera(f"{name}/image", *SIZE, RATE)
        robot.until(lambda: all(len(got) > 8 for got in heard.values()), "embeddings")
        counted = sum(map(len, heard.values()))
        before = sum(map(cpu, processes))
        robot.wait(seconds)
        spent = sum(map(cpu, processes)) - before
        counted = sum(map(len, heard.values())) - counted
        return {"memory": sum(map(memory, processes)), "cpu": spent / counted}


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    one, many = measure(True, options.seconds), measure(False, options.seconds)
    what = f"{CAMERAS} cameras in one process, "
    against = f"{CAMERAS} processes"
    rows = [
        row(
            f"{what}memory",
            against,
            one["memory"] / many["memory"],
            "at most 0.4x",
            {"one_mb": one["memory"], "many_mb": many["memory"]},
        ),
        row(
            f"{what}CPU per embedding",
            against,
            one["cpu"] / many["cpu"],
            "at most 0.8x",
            {"one_ms": one["cpu"] * 1e3, "many_ms": many["cpu"] * 1e3},
        ),
    ]
    report("cameras", rows, options.json)


if __name__ == "__main__":
    main()
