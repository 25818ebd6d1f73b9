"""How true the sentences are about scenes like the demo's: on new seeds, by two cameras.

    . tools/env.sh && PYTHONPATH="$PWD/benchmarks:$PYTHONPATH" python benchmarks/clips.py

Each clip is 43 s of a robot's work (`training/tabletop/clip.py`), told by the gate and
the decoder as the nodes run them, without ROS. The clean camera has neither noise nor JPEG, much
as the demo's video; the other is about what all training episodes were taken with. Seed 1
is the demo's own. `evidence/sentences.py` says when a sentence is true.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from evidence import detectors
from evidence.drawing import PERIOD
from evidence.sentences import count_sentences
from evidence.streams import Stream, embed
from results import report

from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.streaming import GateConfig
from vljepa_ros.training.shards import JPEG_QUALITY
from vljepa_ros.training.tabletop.clip import SIZE, plan_clip
from vljepa_ros.training.tabletop.generation import DRAWN_SIZE, draw_frames


@dataclass(frozen=True)
class Camera:
    """How pictures are taken: pixels, grey levels of noise (its deviation), JPEG's quality."""

    size: tuple[int, int]
    noise: float
    quality: int


CAMERAS = {
    "clean": Camera(SIZE, 0.0, 100),
    "as in training": Camera(DRAWN_SIZE, 2.0, JPEG_QUALITY),
}


def watch(engine: Engine, seed: int, camera: Camera) -> Stream:
    """A clip, as the embedder node sees it."""
    episode = plan_clip(seed)
    episode.layout.room = replace(episode.layout.room, noise=camera.noise)
    facts = episode.facts(PERIOD)
    jpegs = draw_frames(episode, range(facts["frames"]), camera.size, camera.quality)
    return Stream(facts, embed(engine, jpegs))


def main() -> None:
    """Tell all clips by both cameras and print what is true of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="vljepa-tiny", help="shipped name or folder")
    parser.add_argument("--first", type=int, default=1, help="seed of the first clip")
    parser.add_argument("--seeds", type=int, default=8, help="how many clips, of seeds in a row")
    parser.add_argument(
        "--settle",
        type=float,
        nargs="+",
        default=[GateConfig().settle],
        help="s for which a change must hold, one or several (default: the gate's, %(default)s)",
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    engine = Engine.load(options.model, FASTEST)
    span = (engine.info.window_frames - 1) * engine.info.window_period
    seeds = range(options.first, options.first + options.seeds)
    rows = []
    for name, camera in CAMERAS.items():
        facts = {"camera": name, "model": engine.info.model_id, "seeds": f"{seeds[0]}-{seeds[-1]}"}
        streams = [watch(engine, seed, camera) for seed in seeds]
        for settle in options.settle:
            gate = GateConfig(settle=settle)
            decodes = [detectors.gate(stream.embeddings, PERIOD, gate) for stream in streams]
            found = count_sentences(engine, streams, decodes, span)
            rows.append({**facts, "settle": settle, **found})
    report("clips", rows, options.json)


if __name__ == "__main__":
    main()
