"""Long streams of the simulated table with time-stamped annotations, and their embeddings.

Events come at irregular times with long rests between them. Meanwhile the camera sways and turns
in some stretches, the exposure drifts and the sensor is noisy: none of it means anything.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from evidence.kept import code
from evidence.store import made_by
from vljepa_ros.runtime import Engine
from vljepa_ros.runtime.images import to_input_size
from vljepa_ros.streaming import FrameWindow
from vljepa_ros.training.language import make_sample
from vljepa_ros.training.shards import (
    FRAME_SIZE,
    SPLITS,
    ShardWriter,
    decode_jpeg,
    encode_jpeg,
    index_shard,
    read_shards,
    shard_path,
)
from vljepa_ros.training.tabletop.camera import Camera
from vljepa_ros.training.tabletop.episode import AMID, Episode, set_up, steps, take_step
from vljepa_ros.training.tabletop.generation import DRAWN_SIZE
from vljepa_ros.training.tabletop.layout import draw_layout
from vljepa_ros.training.tabletop.script import Script
from vljepa_ros.training.tabletop.timeline import Track

PERIOD = 0.25  # s between frames, the embedder's default
QUERY = "What is happening?"  # the embedder's default
KINDS = ("validation", "test", "test-still")
WORKERS = 2  # processes

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


@dataclass(frozen=True, eq=False)
class Stream:
    """A stream as the detectors get it.

    Attributes:
        facts: of the shard; `annotations` are those of the events, times in s.
        embeddings: (T, D) float32 of unit length, one each PERIOD.
    """

    facts: dict[str, Any]
    embeddings: NDArray[np.float32]

    @property
    def times(self) -> Array:
        """(T,) s, when each embedding's newest frame was taken."""
        return np.arange(len(self.embeddings)) * PERIOD

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.embeddings) * PERIOD


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


def worded(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Each event's start and end in s, and its wordings in training.

    They are made from the facts, and not kept with the pictures, since training's may change.
    """
    found = []
    for time, event in zip(facts["annotations"], facts["events"], strict=True):
        sample = make_sample(facts, event["start"] - 1, event["start"], "event", Random(0))
        assert sample is not None
        found.append({**time, "wordings": list(sample.answers)})
    return found


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


def write_stream(work: Path, kind: str, index: int, seed: int, seconds: float) -> None:
    """Draw one stream into a shard of its own."""
    cv2.setNumThreads(1)
    number = stream_seed(seed, kind, index)
    episode = plan_stream(number, seconds, still=kind.endswith("still"))
    facts = facts_of(episode, seed)
    with ShardWriter(shard_path(work, "streams", kind, index)) as writer:
        images = draw_stream(episode, plan_disturbance(number, seconds))
        jpegs = [encode_jpeg(to_input_size(image, FRAME_SIZE)) for image in images]
        writer.add(f"{kind}-{index:04d}", facts, jpegs)


def make_streams(
    work: Path, counts: dict[str, int], seeds: int, seconds: float, progress: Progress
) -> None:
    """Draw `counts` streams of each kind, of `seeds` seeds in turn, but not what is there."""
    jobs = [(kind, i, i % seeds) for kind, count in counts.items() for i in range(count)]
    bar = progress.add_task("streams drawn", total=len(jobs))
    jobs = [job for job in jobs if not _is_there(shard_path(work, "streams", *job[:2]), seconds)]
    progress.advance(bar, sum(counts.values()) - len(jobs))
    # A forked child would share the parent's graphics context.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        try:
            for job in as_completed([pool.submit(write_stream, work, *j, seconds) for j in jobs]):
                job.result()
                progress.advance(bar)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _is_there(shard: Path, seconds: float) -> bool:
    """Whether a shard holds a stream of this length."""
    return shard.exists() and index_shard(shard)[0].facts["frames"] == round(seconds / PERIOD)


def embed(engine: Engine, jpegs: list[bytes]) -> NDArray[np.float32]:
    """(T, D) float32: the stream's embeddings as the embedder node makes them."""
    info = engine.info
    window: FrameWindow[Any] = FrameWindow(info.window_frames, info.window_period)
    rows = []
    for number, jpeg in enumerate(jpegs):
        window.add(round(number * PERIOD * 1e9), engine.encode_frames([decode_jpeg(jpeg)])[0])
        rows.append(engine.predict([tokens for _, tokens in window.sample()], [QUERY])[0])
    return np.stack(rows)


def load_streams(
    work: Path, kind: str, count: int, engine: Engine, progress: Progress
) -> list[Stream]:
    """The streams of one kind, embedded; embeddings are kept for each model apart."""
    bar = progress.add_task(f"{kind} streams embedded", total=count)
    streams = []
    for index in range(count):
        shard = shard_path(work, "streams", kind, index)
        facts = index_shard(shard)[0].facts
        facts["annotations"] = worded(facts)
        made = f"{made_by(engine.info)}-{code('streaming')}"
        path = work / "embeddings" / made / kind / f"{index:04d}.npy"
        if not path.exists() or path.stat().st_mtime < shard.stat().st_mtime:
            ((_, jpegs),) = read_shards([shard])
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part.npy")
            np.save(part, embed(engine, jpegs))
            part.replace(path)
        streams.append(Stream(facts, np.load(path)))
        progress.advance(bar)
    return streams
