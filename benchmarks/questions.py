"""What a question costs when the frames that it is about are encoded already.

    . tools/env.sh && python benchmarks/questions.py

`ask` with candidates over ROS, of a camera that has stopped, so that all frames are encoded;
against the engine that encodes a window, predicts and ranks. Then the same while the camera runs.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from bare_engine import CANDIDATES, QUERY, in_a_process
from results import report, row
from robot import Robot
from vljepa_ros.msg import SemanticEmbedding
from vljepa_ros.srv import Ask

SIZE = (1280, 720)
STRETCH = 20.0  # s over which the questions of a kind are spread


def ask(robot: Robot, times: int) -> list[float]:
    """Times of some questions at random moments, in s."""
    fields: dict[str, Any] = {"question": QUERY, "candidates": list(CANDIDATES)}
    robot.until(lambda: robot.call("ask", Ask, **fields)[0].success, "an answer")
    return robot.spread(times, STRETCH, lambda _: robot.call("ask", Ask, **fields)[1])


def through_the_nodes(times: int) -> tuple[list[float], list[float]]:
    """Times of questions while a camera runs, and after it has stopped, in s."""
    heard: list[Any] = []
    with Robot(f"/questions_{os.getpid()}") as robot:
        robot.start("pipeline")
        robot.wait_active("embedder", "vqa")
        robot.hear(SemanticEmbedding, "embedding", heard.append)
        camera = robot.camera("image", *SIZE)
        robot.until(lambda: len(heard) > 8, "embeddings")
        running = ask(robot, times)
        robot.stop(camera)
        robot.wait(1.0)
        return running, ask(robot, times)


def main() -> None:
    """Measure the engine alone, then the pipeline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=100, help="of each kind")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    full = in_a_process(SIZE, options.questions)["question_time"]
    running, idle = through_the_nodes(options.questions)
    middle, high, while_running = (
        float(np.percentile(times, share))
        for times, share in ((idle, 50), (idle, 95), (running, 95))
    )
    rows = [
        row(
            "ask with candidates, frames cached (median)",
            "a full encode and predict in the engine",
            middle / full,
            "under 0.35x",
            {"ask_ms": middle * 1e3, "full_ms": full * 1e3},
        ),
        row(
            "p95 of ask while the stream runs",
            "p95 when it has stopped",
            while_running / high,
            "under 3x",
            {"running_ms": while_running * 1e3, "idle_ms": high * 1e3},
        ),
    ]
    report("questions", rows, options.json)


if __name__ == "__main__":
    main()
