"""What rclpy's executors cost the pipeline, and how long its services take beside the frames.

    . tools/env.sh && python benchmarks/executors.py

The pipeline runs under each executor in turn: idle; with a camera of 1280x720 rgb8 at 30 Hz that
nobody asks about; and embedding all frames that it can, while services are called at random
moments, each in its turn.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy import executors
from results import report
from robot import Robot, cpu
from vljepa_ros.msg import SemanticEmbedding
from vljepa_ros.srv import EmbedText

from vljepa_ros.nodes import pipeline, process

KINDS = ("SingleThreadedExecutor", "MultiThreadedExecutor", "EventsExecutor")
STRETCH = 20.0  # s over which the calls are spread
# The fields of the request with a number; a text is new each time, as known ones are not embedded.
SERVICES: dict[str, tuple[Any, Callable[[int], dict[str, Any]]]] = {
    "embedder/get_parameters": (GetParameters, lambda _: {"names": ["max_rate_hz"]}),
    "embedder/get_state": (GetState, lambda _: {}),
    "embed_text": (EmbedText, lambda number: {"text": f"a red ball and {number} mugs"}),
}


def executor(kind: str) -> Any:
    """An executor by the name of its class."""
    if kind == "MultiThreadedExecutor":
        return executors.MultiThreadedExecutor(num_threads=4)
    if kind == "SingleThreadedExecutor":
        return executors.SingleThreadedExecutor()
    from rclpy.experimental import EventsExecutor

    return EventsExecutor()


def times_of_services(robot: Robot, calls: int) -> dict[str, float]:
    """Percentiles of each service's times, in ms."""
    names = list(SERVICES)

    def ask(number: int) -> float:
        service = names[number % len(names)]
        request, fields = SERVICES[service]
        return robot.call(service, request, **fields(number))[1] * 1e3

    times = robot.spread(calls * len(names), STRETCH, ask)
    found: dict[str, float] = {}
    for place, service in enumerate(names):
        of_service = times[place :: len(names)]
        found[f"{service} p50"], found[f"{service} p95"] = np.percentile(of_service, (50, 95))
    return found


def measure(kind: str, seconds: float, calls: int) -> dict[str, Any]:
    """One executor; CPU in % of a core, times in ms."""
    row: dict[str, Any] = {"executor": kind}
    with Robot(f"/executors_{os.getpid()}") as robot:
        pid = robot.start([sys.executable, __file__, "--run", kind], max_rate_hz=0.0)
        robot.wait_active("embedder", "gate", "decoder", "vqa")

        def spend() -> float:
            before = cpu(pid)
            robot.wait(seconds)
            return (cpu(pid) - before) / seconds * 100

        row["idle_cpu"] = spend()
        robot.camera()
        robot.wait(2)
        row["receiving_cpu"] = spend()
        heard: list[Any] = []
        robot.hear(SemanticEmbedding, "embedding", heard.append)
        robot.until(lambda: len(heard) > 5, "embeddings")
        row |= times_of_services(robot, calls)
    return row


def main() -> None:
    """Measure the executors under which the pipeline works."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement of CPU")
    parser.add_argument("--calls", type=int, default=100, help="of each service")
    parser.add_argument("--only", choices=KINDS, help="EventsExecutor: since Kilted")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--run", choices=KINDS, help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.run:
        process.SingleThreadedExecutor = lambda: executor(options.run)
        pipeline.main([sys.argv[0], *rest])
    kinds = [options.only] if options.only else KINDS[:2]
    rows = [measure(kind, options.seconds, options.calls) for kind in kinds]
    report("executors", rows, options.json)


if __name__ == "__main__":
    main()
