"""Long streams of the simulated table with time-stamped annotations, and their embeddings.

Both are kept for the code that made them.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from evidence.drawing import PERIOD, drawn_by, write_stream
from evidence.kept import code, code_of, digest
from evidence.store import made_by
from vljepa_ros.runtime import Engine, EngineInfo
from vljepa_ros.runtime.engine import STREAM_QUERY
from vljepa_ros.streaming import FrameWindow
from vljepa_ros.training.language import make_sample
from vljepa_ros.training.shards import (
    decode_jpeg,
    index_shard,
    list_shards,
    read_shards,
    shard_path,
)

WORKERS = 2  # processes

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


def stored(work: Path, kind: str) -> list[Path]:
    """Shards of the streams of one kind that today's code has drawn, in order."""
    return list_shards(work, _folder(), kind)


def make_streams(
    work: Path, counts: dict[str, int], seeds: int, seconds: float, progress: Progress
) -> None:
    """Draw `counts` streams of each kind, of `seeds` seeds in turn, but not what is there."""
    jobs = [
        (_shard(work, kind, index), kind, index, index % seeds)
        for kind, count in counts.items()
        for index in range(count)
    ]
    bar = progress.add_task("streams drawn", total=len(jobs))
    jobs = [job for job in jobs if not _is_there(job[0], seconds)]
    progress.advance(bar, sum(counts.values()) - len(jobs))
    # A forked child would share the parent's graphics context.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        try:
            for job in as_completed([pool.submit(write_stream, *j, seconds) for j in jobs]):
                job.result()
                progress.advance(bar)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _folder() -> str:
    return f"streams-{drawn_by()}"


def _shard(work: Path, kind: str, index: int) -> Path:
    return shard_path(work, _folder(), kind, index)


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
        rows.append(engine.predict([tokens for _, tokens in window.sample()], [STREAM_QUERY])[0])
    return np.stack(rows)


def embedded_by(info: EngineInfo) -> str:
    """What decides the embeddings of the streams: the model, all code, and what it is asked."""
    made = code("streaming", "training/shards.py"), code_of([Path(__file__)])
    return f"{made_by(info)}-{digest(drawn_by(), made, STREAM_QUERY)}"


def load_streams(
    work: Path, kind: str, count: int, engine: Engine, progress: Progress
) -> list[Stream]:
    """The streams of one kind, embedded; embeddings are kept, see `embedded_by`."""
    bar = progress.add_task(f"{kind} streams embedded", total=count)
    kept = work / "embeddings" / embedded_by(engine.info) / kind
    kept.mkdir(parents=True, exist_ok=True)
    streams = []
    for index in range(count):
        shard = _shard(work, kind, index)
        facts = index_shard(shard)[0].facts
        facts["annotations"] = worded(facts)
        path = kept / f"{index:04d}.npy"
        if not path.exists() or path.stat().st_mtime < shard.stat().st_mtime:
            ((_, jpegs),) = read_shards([shard])
            part = path.with_suffix(".part.npy")
            np.save(part, embed(engine, jpegs))
            part.replace(path)
        streams.append(Stream(facts, np.load(path)))
        progress.advance(bar)
    return streams
