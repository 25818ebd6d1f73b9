"""The engine alone, on frames that are there already: what the nodes are compared with.

Run as a script it prints, as JSON, CPU (s) and median time (s) of a frame that is encoded and
predicted, and of a window that is encoded as a whole, predicted, and ranked against candidates.
Arguments: width, height, frames to time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import deque
from typing import Any

import numpy as np

from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.runtime.engine import STREAM_QUERY

CANDIDATES = ("yes", "no", "a red ball", "an empty table")


def time_frames(width: int, height: int, frames: int) -> dict[str, Any]:
    """Costs of the shipped model on noise, run as the nodes run it."""
    engine = Engine.load(config=FASTEST)
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    length = engine.info.window_frames
    window: deque[Any] = deque(maxlen=length)

    def frame() -> None:
        window.append(engine.encode_frames([noise])[0])
        engine.predict(list(window), [STREAM_QUERY])

    def question() -> None:
        tokens = engine.encode_frames([noise] * length)
        engine.rank(engine.predict(list(tokens), [STREAM_QUERY])[0], CANDIDATES)

    for _ in range(length):  # until the window is full and all is warm
        frame()
    question()
    cpu, seconds = measure(frame, frames)
    _, full = measure(question, max(frames // 4, 5))
    return {"frame_cpu": cpu, "frame_time": seconds, "question_time": full}


def in_a_process(size: tuple[int, int], frames: int) -> dict[str, Any]:
    """The same in a process of its own, as the nodes have theirs."""
    command = [sys.executable, __file__, *map(str, (*size, frames))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    costs: dict[str, Any] = json.loads(done.stdout)
    return costs


def measure(work: Any, times: int) -> tuple[float, float]:
    """CPU of a call (mean) and its time (median), in s."""
    durations, before = [], time.process_time()
    for _ in range(times):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return (time.process_time() - before) / times, float(np.median(durations))


if __name__ == "__main__":
    print(json.dumps(time_frames(*map(int, sys.argv[1:4]))))
