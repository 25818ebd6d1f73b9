"""What it costs to watch: sentences at shifts of meaning, against one for every processed frame.

    python benchmarks/watching.py

The clip of the demo is played over and over, four frames a second as the embedder takes by
default, through the engine and the gate, without ROS. Both ways share encoding and prediction.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from results import report, row

from vljepa_ros import demo
from vljepa_ros.runtime import Engine, EngineConfig
from vljepa_ros.streaming import ChangeGate, FrameWindow, GateConfig

RATE = 4  # frames a second
QUERY = "What is happening?"
CLIP = Path(demo.__file__).parent / "tabletop.mp4"


def frames(minutes: float) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Stamps in ns and RGB pictures."""
    clip = cv2.VideoCapture(str(CLIP))
    step = round(clip.get(cv2.CAP_PROP_FPS) / RATE)
    number = 0
    while number < minutes * 60 * RATE:
        if not clip.grab():
            clip.set(cv2.CAP_PROP_POS_FRAMES, 0)
            continue
        if int(clip.get(cv2.CAP_PROP_POS_FRAMES)) % step == 0:
            bgr = clip.retrieve()[1]
            yield number * 10**9 // RATE, np.ascontiguousarray(bgr[..., ::-1])
            number += 1


def watch(minutes: float) -> dict[str, float]:
    """CPU in s of each part, and the shifts."""
    engine = Engine.load(config=EngineConfig(backend="auto"))
    gate = ChangeGate(GateConfig())
    window: FrameWindow[object] = FrameWindow(engine.info.window_frames, engine.info.window_period)
    spent = {"embedding": 0.0, "gate": 0.0, "decoding": 0.0, "shifts": 0.0, "frames": 0.0}
    for stamp, rgb in frames(minutes):
        begun = time.process_time()
        window.add(stamp, engine.encode_frames([rgb])[0])
        (embedding,) = engine.predict([tokens for _, tokens in window.sample()], [QUERY])
        embedded = time.process_time()
        shift = gate.update(stamp, embedding)
        gated = time.process_time()
        engine.decode(embedding[None])
        spent["decoding"] += time.process_time() - gated
        spent["embedding"] += embedded - begun
        spent["gate"] += gated - embedded
        spent["shifts"] += shift is not None
        spent["frames"] += 1
    return spent


def main() -> None:
    """Watch, and add up both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the stream")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    spent = watch(options.minutes)
    always = spent["embedding"] + spent["decoding"]
    at_shifts = spent["decoding"] * spent["shifts"] / spent["frames"]
    selective = spent["embedding"] + spent["gate"] + at_shifts
    what = f"CPU of {options.minutes:g} minutes, decoding every processed frame"
    rows = [row(what, "gate, and decoding at shifts", always / selective, "at least 3x", spent)]
    report("watching", rows, options.json)


if __name__ == "__main__":
    main()
