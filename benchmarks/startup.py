"""How long it takes from the start of the embedder to its first embedding, and what it imports.

    . tools/env.sh && python benchmarks/startup.py

The camera runs already, and the files are in the cache of the system.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from results import report, row
from robot import Robot
from vljepa_ros.msg import SemanticEmbedding

GOAL = 3.0  # s
SHOWN = 12  # imports
ALL = """
import vljepa_ros.nodes.embedder
from vljepa_ros.runtime import FASTEST, Engine
Engine.load(config=FASTEST)
"""


def start(number: int) -> float:
    """Time to the first embedding, in s."""
    heard: list[Any] = []
    with Robot(f"/startup_{os.getpid()}_{number}") as robot:
        robot.hear(SemanticEmbedding, "embedding", heard.append)
        robot.camera("image", 640, 480)
        robot.wait(2.0)
        started = time.monotonic()
        robot.start("embedder")
        robot.until(lambda: heard, "an embedding")
        return time.monotonic() - started


def imports() -> dict[str, float]:
    """The slowest imports, with all that they import, in s."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", ALL], capture_output=True, text=True, check=True
    )
    times: dict[str, float] = {}
    for line in done.stderr.splitlines():
        columns = line.removeprefix("import time:").split("|")
        if len(columns) == 3 and columns[1].strip().isdigit():
            times[columns[2].strip()] = int(columns[1]) / 1e6
    slowest = sorted(times, key=lambda name: times[name], reverse=True)[:SHOWN]
    return {name: times[name] for name in slowest}


def main() -> None:
    """Start it some times, the first time only to fill the cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    times = [start(number) for number in range(options.starts + 1)][1:]
    middle = float(np.median(times))
    details = {"seconds": middle, "imports": imports()}
    goal = f"under {GOAL:.0f} s"
    rows = [row("start to first embedding (s)", goal, middle / GOAL, "under 1x", details)]
    report("startup", rows, options.json)


if __name__ == "__main__":
    main()
