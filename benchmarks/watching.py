"""What it costs to watch: sentences at shifts of meaning, against one for every processed frame.

    python benchmarks/watching.py

The clip of the demo is played over and over, four frames a second as the embedder takes by
default, through the engine, the gate and the describer, without ROS. Each pass of the clip has a
describer that knows nothing: it would recall all of the passes before. Where `make evidence` has
trained its token-space VLM, that one captions every frame too, both with torch.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from results import report, row

from vljepa_ros import demo
from vljepa_ros.errors import InputError
from vljepa_ros.runtime import FASTEST, Engine, EngineConfig
from vljepa_ros.runtime.describer import Describer
from vljepa_ros.runtime.engine import MAX_RATE, STREAM_QUERY
from vljepa_ros.streaming import ChangeGate, FrameWindow, GateConfig

CLIP = Path(demo.__file__).parent / "tabletop.mp4"
TRAINED = Path("runs/evidence/full/prediction")  # of `make evidence`


def frames(minutes: float) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Passes of the clip, stamps in ns and RGB pictures."""
    clip = cv2.VideoCapture(str(CLIP))
    step = round(clip.get(cv2.CAP_PROP_FPS) / MAX_RATE)
    number = passes = 0
    while number < minutes * 60 * MAX_RATE:
        if not clip.grab():
            clip.set(cv2.CAP_PROP_POS_FRAMES, 0)
            passes += 1
            continue
        if int(clip.get(cv2.CAP_PROP_POS_FRAMES)) % step == 0:
            bgr = clip.retrieve()[1]
            yield passes, round(number * 1e9 / MAX_RATE), np.ascontiguousarray(bgr[..., ::-1])
            number += 1


def windows(engine: Engine, minutes: float, spent: Counter[str]) -> Iterator[tuple[int, int, Any]]:
    """As `frames`, with each window's frame tokens; adds what encoding takes, in s of CPU."""
    window: FrameWindow[Any] = FrameWindow(engine.info.window_frames, engine.info.window_period)
    for number, stamp, rgb in frames(minutes):
        begun = time.process_time()
        window.add(stamp, engine.encode_frames([rgb])[0])
        spent["encoding"] += time.process_time() - begun
        spent["frames"] += 1
        yield number, stamp, [tokens for _, tokens in window.sample()]


def watch(minutes: float, config: EngineConfig) -> Counter[str]:
    """CPU in s of each part: prediction and gate, decoding at shifts, decoding every frame."""
    engine = Engine.load(config=config)
    gate = ChangeGate(GateConfig())
    describer, passed = Describer(engine), 0
    spent: Counter[str] = Counter()
    for number, stamp, tokens in windows(engine, minutes, spent):
        if number != passed:
            describer, passed = Describer(engine), number
        begun = time.process_time()
        (embedding,) = engine.predict(tokens, [STREAM_QUERY])
        shift = gate.update(stamp, embedding)
        watched = time.process_time()
        if shift is not None:
            spent["shifts"] += 1
            spent["decodes"] += describer.describe(shift.embedding)[1]
        told = time.process_time()
        engine.decode(embedding[None])
        spent["every frame"] += time.process_time() - told
        spent["watching"] += watched - begun
        spent["at shifts"] += told - watched
    return spent


def trained() -> Path:
    """Folder of the token-space VLM.

    Raises:
        InputError: `make evidence` has not trained one.
    """
    # Imported here: the rest needs no torch.
    from evidence.arms import find_token_model

    return find_token_model(TRAINED)


def caption(minutes: float, folder: Path) -> Counter[str]:
    """CPU in s of the token-space VLM of a folder, which captions every frame."""
    from evidence.arms import load_token_model

    model = load_token_model(folder)
    engine = Engine.load(config=EngineConfig())
    spent: Counter[str] = Counter()
    for _, _, tokens in windows(engine, minutes, spent):
        filled = np.stack([tokens[0]] * (engine.info.window_frames - len(tokens)) + tokens)
        begun = time.process_time()
        model.caption(filled, STREAM_QUERY)
        spent["captioning"] += time.process_time() - begun
    return spent


def compared(minutes: float) -> list[dict[str, Any]]:
    """The rows."""
    ours, what = watch(minutes, FASTEST), f"CPU of {minutes:g} minutes"
    shared = ours["encoding"] + ours["watching"]
    ratio = (shared + ours["every frame"]) / (shared + ours["at shifts"])
    selective = "gate, and decoding what was not described before"
    every = "decoding every processed frame"
    rows = [row(f"{what}, {selective}", every, ratio, "at least 3x", dict(ours))]
    try:
        folder = trained()
    except InputError as error:
        print(f"left out: {error}", file=sys.stderr)
        return rows
    theirs = caption(minutes, folder)
    ours = watch(minutes, EngineConfig())
    selected = ours["encoding"] + ours["watching"] + ours["at shifts"]
    ratio = (theirs["encoding"] + theirs["captioning"]) / selected
    details = {"vl-jepa": dict(ours), "vlm": dict(theirs), "trained": str(folder)}
    captioning = "token-space VLM captioning every processed frame"
    return [*rows, row(f"{what}, {selective}, torch", captioning, ratio, "at least 5x", details)]


def main() -> None:
    """Watch, and add up all ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the stream")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    report("watching", compared(options.minutes), options.json)


if __name__ == "__main__":
    main()
