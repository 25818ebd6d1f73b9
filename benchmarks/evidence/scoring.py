"""How well and how often the decoded texts tell what the annotations say."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from evidence.captions import cider
from evidence.detectors import Decode
from evidence.intervals import statistic_interval
from evidence.streams import Stream
from vljepa_ros.runtime import Engine

Array = NDArray[np.float64]
Point = TypeVar("Point")

_PLATEAU = 0.98  # of the baselines' best CIDEr
NEARNESS = ("shown", "stamp", "segment")


@dataclass(frozen=True)
class Score:
    """One way of decoding on all streams, with one setting of its knob.

    Attributes:
        knob: the setting.
        cider: (S,) mean over each stream's annotations.
        decodes: (S,) how many; a text that is known already costs none.
        durations: (S,) s.
    """

    knob: float
    cider: Array
    decodes: Array
    durations: Array

    @property
    def interval(self) -> float:
        """Mean seconds between decodes."""
        return float(self.durations.sum() / self.decodes.sum())

    @property
    def mean(self) -> float:
        """CIDEr, mean over the streams."""
        return float(self.cider.mean())

    def of(self, streams: Sequence[int] | NDArray[np.int64]) -> Score:
        """The same on some of the streams."""
        rows = np.asarray(streams)
        return Score(self.knob, self.cider[rows], self.decodes[rows], self.durations[rows])


Curve = list[Score]


class Texts:
    """Decodes each distinct embedding once.

    Args:
        engine: which decodes, with whatever confidence.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[bytes, str] = {}

    def __call__(self, decodes: Sequence[Decode]) -> list[str]:
        """The text of each."""
        new = {d.embedding.tobytes(): d.embedding for d in decodes}
        new = {key: row for key, row in new.items() if key not in self._known}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._known.update(zip(new, pool.map(self._decode, new.values()), strict=True))
        return [self._known[d.embedding.tobytes()] for d in decodes]

    def _decode(self, embedding: NDArray[np.float32]) -> str:
        """Alone, as the decoder node does: in int8 what is decoded together shares scales."""
        (told,) = self._engine.decode(embedding[None])
        return told.text


def about(decode: Decode, span: float, nearness: str) -> float:
    """The time in s that a decode stands for when the nearest to an annotation is sought.

    Args:
        decode: the decode.
        span: s from a window's first to its last frame.
        nearness: "shown", the middle of the window that was newest when it was decoded;
            "stamp", the end of that window, which the nodes' messages carry; "segment", the
            middle of all that was averaged.
    """
    if nearness == "segment":
        return (decode.start + decode.end - span) / 2
    return decode.time - (span / 2 if nearness == "shown" else 0.0)


def nearest(times: Sequence[float], annotation: dict[str, Any]) -> int:
    """Which of the times is nearest to the middle of an annotation; the earlier of two."""
    middle = (annotation["start"] + annotation["end"]) / 2
    return int(np.abs(np.asarray(times) - middle).argmin())


def score(
    streams: Sequence[Stream],
    decodes: Sequence[Sequence[Decode]],
    texts: Texts,
    span: float,
    knob: float = 0.0,
    nearness: str = "shown",
) -> Score:
    """Compare each annotation with the decode that is nearest in time (paper, section 4.6)."""
    told: list[str] = []
    wordings: list[list[str]] = []
    for stream, of_stream in zip(streams, decodes, strict=True):
        said = texts(of_stream)
        times = [about(decode, span, nearness) for decode in of_stream]
        for annotation in stream.facts["annotations"]:
            told.append(said[nearest(times, annotation)])
            wordings.append(annotation["wordings"])
    ends = np.cumsum([len(stream.facts["annotations"]) for stream in streams])
    values = np.split(cider(told, wordings), ends[:-1])
    return Score(
        knob,
        np.array([part.mean() for part in values]),
        np.array([sum(d.decoded for d in of_stream) for of_stream in decodes], np.float64),
        np.array([stream.duration for stream in streams]),
    )


def frontier(points: Iterable[Point], at: Callable[[Point], tuple[float, float]]) -> list[Point]:
    """The points that no other beats in both interval and CIDEr, by interval.

    A threshold far too low makes a detector decode late, and its curve turn back.

    Args:
        points: in any order.
        at: a point to its interval in s and its CIDEr.
    """
    found: list[Point] = []
    for point in sorted(points, key=at, reverse=True):
        if not found or at(point)[1] > at(found[-1])[1]:
            found.append(point)
    return found[::-1]


def equal_interval(curve: Curve, value: float) -> float | None:
    """The longest interval at which a curve still reaches a CIDEr of `value`, None if nowhere.

    Between neighbouring points CIDEr is taken as linear in the logarithm of the interval.
    """
    points = sorted((score.interval, score.mean) for score in curve)
    if points[-1][1] >= value:
        return points[-1][0]
    for (near, above), (far, below) in reversed(list(pairwise(points))):
        if above >= value:
            share = (above - value) / (above - below)
            return float(near * (far / near) ** share)
    return None


def at_interval(curve: Curve, interval: float) -> float:
    """CIDEr of a curve at a mean interval, as in `equal_interval`; 0 where it does not reach."""
    points = sorted((score.interval, score.mean) for score in curve)
    intervals, values = zip(*points, strict=True)
    return float(np.interp(np.log(interval), np.log(intervals), values, right=0.0))


def best_of_all(baselines: Sequence[Curve]) -> float:
    """The CIDEr beyond which nothing counts: a little less than the baselines' best."""
    return _PLATEAU * max(score.mean for curve in baselines for score in curve)


def baseline_interval(value: float, baselines: Sequence[Curve]) -> float:
    """The longest interval at which one of the baselines reaches a CIDEr of `value`.

    All that is higher than 98 % of the baselines' best counts as that: there a baseline gains
    nothing more from decoding oftener, and the noise of its plateau must not decide.
    """
    reached = [equal_interval(curve, min(value, best_of_all(baselines))) for curve in baselines]
    return max(interval for interval in reached if interval is not None)


def saving(point: Score, baselines: Sequence[Curve]) -> float:
    """How many times the decodes of `point` the best baseline needs for the same CIDEr."""
    return point.interval / baseline_interval(point.mean, baselines)


def saving_interval(point: Score, baselines: Sequence[Curve]) -> tuple[float, float]:
    """95 % bootstrap interval over the streams of `saving`, by percentiles."""

    def of(rows: NDArray[np.int64]) -> float:
        chosen = [[score.of(rows) for score in curve] for curve in baselines]
        return saving(point.of(rows), chosen)

    return statistic_interval(of, len(point.cider))


def ratio_interval(point: Score, other: Score, baselines: Sequence[Curve]) -> tuple[float, float]:
    """95 % bootstrap interval of the ratio of two savings, on the same streams."""

    def of(rows: NDArray[np.int64]) -> float:
        chosen = [[score.of(rows) for score in curve] for curve in baselines]
        return saving(point.of(rows), chosen) / saving(other.of(rows), chosen)

    return statistic_interval(of, len(point.cider))


def to_rows(curve: Curve) -> list[dict[str, Any]]:
    """A curve as JSON has it."""
    return [
        {name: np.asarray(value).tolist() for name, value in vars(score).items()}
        for score in curve
    ]


def from_rows(rows: Sequence[Mapping[str, Any]]) -> Curve:
    """What `to_rows` gave."""
    return [
        Score(row["knob"], *(np.array(row[k], float) for k in ("cider", "decodes", "durations")))
        for row in rows
    ]
