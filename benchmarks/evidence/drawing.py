"""Draws long streams of the simulated table with the times of their events.

Events come at irregular times with long rests between them. Meanwhile the camera sways and turns
in some stretches, the exposure drifts and the sensor is noisy: none of it means anything.

Streams are kept for the statements of this file, see `drawn_by`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evidence.kept import code, code_of, digest
from vljepa_ros.runtime.engine import MAX_RATE
from vljepa_ros.runtime.images import to_input_size
from vljepa_ros.training.shards import FRAME_SIZE, SPLITS, ShardWriter, encode_jpeg
from vljepa_ros.training.tabletop.camera import Camera
from vljepa_ros.training.tabletop.episode import AMID, Episode, set_up, steps, take_step
from vljepa_ros.training.tabletop.generation import DRAWN_SIZE
from vljepa_ros.training.tabletop.layout import draw_layout
from vljepa_ros.training.tabletop.script import Script
from vljepa_ros.training.tabletop.timeline import Track

PERIOD = 1 / MAX_RATE  # s between frames
KINDS = ("validation", "test", "test-still")

_DRAWN = ("training/tabletop", "training/phrases.py", "training/shards.py", "runtime/images.py")
_MEAN_GAPS = (2.0, 8.0)  # s, mean rest between events of one stream beyond the least
_LEAST_GAP = 1.0  # s
_AMID_GAP = (0.5, 1.0)  # s, least and mean beyond it, while the arm is at something
_LONG = 0.1  # share of the rests that are long
_LONG_REST = (20.0, 40.0)  # s
_MOVING = 0.6  # share of the streams whose camera moves
_TURN = (0.03, 0.02)  # rad, farthest to the side and up
_SWAY = ((0.004, 0.003, 0.1), (0.015, 0.01, 0.25))  # rad, rad, Hz: as in the training data
_GAIN = 0.15  # the exposure's farthest from 1
_TINT = 0.04  # each channel's farthest from that
_APART = 10**6  # so that the disturbance is drawn apart from the events

Array = NDArray[np.float64]


@cache
def drawn_by() -> str:
    """A digest of the code that plans and draws streams: what other code drew is not the same."""
    return f"{code_of([Path(__file__)])}-{digest(PERIOD, code(*_DRAWN))}"


@dataclass(frozen=True)
class Disturbance:
    """What changes in the picture without meaning anything."""

    turn: Track  # rad: to the side, up, and the share of the sway
    sway: Array  # (3,) rad, rad, Hz
    light: Track  # (3,) gain of red, green and blue

    def camera(self, camera: Camera, time: float) -> Camera:
        """The camera at `time` (s)."""
        side, up, share = self.turn.at(time)
        phase = 2 * np.pi * self.sway[2] * time
        return replace(
            camera,
            azimuth=camera.azimuth + side + share * self.sway[0] * float(np.sin(phase)),
            elevation=camera.elevation
            + up
            + share * self.sway[1] * float(np.sin(1.7 * phase + 1)),
        )


def stream_seed(seed: int, kind: str, index: int) -> int:
    """The seed of one stream; the episodes of `vljepa data` never have the same."""
    entropy = [seed, len(SPLITS) + KINDS.index(kind), index]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def plan_stream(seed: int, seconds: float, still: bool) -> Episode:
    """The stream of `seed`, always the same, in a held-out room; `still`: nothing happens."""
    for attempt in itertools.count():
        rng = np.random.default_rng([seed, attempt])
        count = int(rng.integers(3, 6))
        layout = draw_layout(rng, count)
        script = Script(layout, rng)
        set_up(script, int(rng.integers(1, count)))
        if still or _act(script, seconds):
            break
    return Episode(seed, layout, script.timeline, script, seconds)


def _act(script: Script, seconds: float) -> bool:
    """Let things happen until the stream ends; whether anything did."""
    rng = script.rng
    mean = rng.uniform(*_MEAN_GAPS)
    script.pause(2.0, 6.0)
    while found := steps(script, within=seconds - 2.0 - script.now):
        if take_step(script, found) in AMID:
            script.now += _AMID_GAP[0] + rng.exponential(_AMID_GAP[1])
        elif rng.random() < _LONG:
            script.pause(*_LONG_REST)
        else:
            script.now += _LEAST_GAP + rng.exponential(mean)
    return bool(script.events)


def plan_disturbance(seed: int, seconds: float) -> Disturbance:
    """What disturbs the stream of `seed`: drawn apart from its events."""
    rng = np.random.default_rng([seed, _APART])
    turn, light = Track([0.0, 0.0, 0.0]), Track([1.0, 1.0, 1.0])
    if rng.random() < _MOVING:
        now = rng.uniform(5, 30)
        while now < seconds:
            moving = rng.uniform(1.5, 6.0)
            to = [*(rng.uniform(-1, 1, 2) * _TURN), float(rng.random() < 0.4)]
            turn.move(now, now + moving, to)
            now += moving + rng.uniform(5, 40)
    now = rng.uniform(0, 10)
    while now < seconds:
        drifting = rng.uniform(3, 20)
        gain = rng.uniform(1 - _GAIN, 1 + _GAIN) * rng.uniform(1 - _TINT, 1 + _TINT, 3)
        light.move(now, now + drifting, gain)
        now += drifting + rng.uniform(0, 15)
    return Disturbance(turn, rng.uniform(*_SWAY), light)


def facts_of(episode: Episode, seed: int) -> dict[str, Any]:
    """What is kept with the pictures of a stream that is drawn with `seed`."""
    times = [{"start": event.start, "end": event.end} for event in episode.script.events]
    return episode.facts(PERIOD) | {"seed_group": seed, "annotations": times}


def draw_stream(episode: Episode, disturbance: Disturbance) -> Iterator[NDArray[np.uint8]]:
    """Yield (240, 320, 3) uint8 RGB each PERIOD."""
    # Imported here: planning, and the tests of it, need no graphics.
    from vljepa_ros.training.tabletop.render import Stage, noisy

    room = episode.layout.room
    rng = np.random.default_rng(room.seed + 1)
    stage = Stage(episode.layout, *DRAWN_SIZE)
    try:
        for frame in range(episode.frames(PERIOD)):
            time = frame * PERIOD
            camera = disturbance.camera(room.camera, time)
            image = stage.draw(episode.timeline.at(time), camera)
            yield noisy(image * disturbance.light.at(time), room.noise, rng)
    finally:
        stage.close()


def write_stream(path: Path, kind: str, index: int, seed: int, seconds: float) -> None:
    """Draw one stream into a shard of its own."""
    cv2.setNumThreads(1)
    number = stream_seed(seed, kind, index)
    episode = plan_stream(number, seconds, still=kind.endswith("still"))
    facts = facts_of(episode, seed)
    with ShardWriter(path) as writer:
        images = draw_stream(episode, plan_disturbance(number, seconds))
        jpegs = [encode_jpeg(to_input_size(image, FRAME_SIZE)) for image in images]
        writer.add(f"{kind}-{index:04d}", facts, jpegs)
