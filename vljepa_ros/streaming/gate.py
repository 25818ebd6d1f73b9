"""When does the meaning of a stream change: a causal detector over its embeddings."""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vljepa_ros.errors import InputError
from vljepa_ros.streaming.segment import Recent, Segment, Vector, distance
from vljepa_ros.streaming.stamps import SECOND

# A change that never settles (a camera that keeps turning) is decided after this many times
# `settle`, so that the delay of a shift has a bound.
_PATIENCE = 4


class Trigger(IntEnum):
    """Why a segment was sent; the values are those of SemanticShift.msg."""

    FIRST = 0
    SHIFT = 1
    MAX_SILENCE = 2
    REQUEST = 3


@dataclass(frozen=True)
class GateConfig:
    """Settings of a ChangeGate.

    Times are measured between stamps, so that the rate of the stream does not matter. At four
    embeddings a second the defaults average two of them and have a change hold for four. They
    lie half a period from where that number would change, so that jitter does not.

    Raises:
        InputError: for a value outside its range; the message names it.
    """

    threshold: float = 0.15  # distance (1 - cosine) at which a change begins, in (0, 2]
    hysteresis: float = 0.6  # a change is over below this share of the threshold, in [0, 1]
    smoothing: float = 0.375  # s, age up to which embeddings are averaged, 0 = the newest alone
    settle: float = 0.625  # s for which a change must hold, 0 = told at once
    min_interval: float = 0.5  # s between shifts
    max_silence: float = 30.0  # s after which the running segment is sent again, 0 = never

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check("threshold", self.threshold, 0 < self.threshold <= 2, "in (0, 2]")
        _check("hysteresis", self.hysteresis, 0 <= self.hysteresis <= 1, "in [0, 1]")
        _check("smoothing", self.smoothing, self.smoothing >= 0, "0 s (the newest alone) or more")
        _check("settle", self.settle, self.settle >= 0, "0 s (told at once) or more")
        _check("min_interval", self.min_interval, self.min_interval >= 0, "0 s or more")
        _check("max_silence", self.max_silence, self.max_silence >= 0, "0 s (never) or more")


@dataclass(frozen=True)
class Shift:
    """A segment of the stream to be told about; see SemanticShift.msg."""

    segment_id: int  # counts up; a segment told again keeps its id
    segment_start: int  # stamp of its first embedding, ns
    segment_end: int  # stamp of its newest embedding, ns
    embeddings: int  # how many were averaged
    trigger: Trigger
    score: float  # distance from the previous segment (running segment, if none ended)
    threshold: float
    embedding: NDArray[np.float32]  # (D,), their average, L2-normalised


class ChangeGate:
    """Cuts a stream of embeddings into segments of one meaning each, as it comes.

    The paper cuts a finished video (arXiv 2512.10942, section 4.6): neighbouring segments A and
    B are merged while that adds little variance within the segments, the Ward cost

        |A| |B| / (|A| + |B|) * ||mean_A - mean_B||^2

    and section 2 sketches the live form: average-pool the recent embeddings, decode when their
    variance exceeds a threshold. Here B is the recent window, the embeddings of the last
    `smoothing` seconds, and A the running segment. For a long A the first factor tends to |B|,
    a constant, and between normalised means the second is twice the cosine distance. So the
    live form is

        score = 1 - cos(mean of the last `smoothing` seconds, mean of the running segment)

    A change begins when the score exceeds `threshold`. It becomes a SHIFT when it has held for
    `settle` seconds, the score still exceeds the threshold, and the recent window has settled:
    its variance is at most hysteresis * threshold. It is dropped, and its embeddings returned
    to the segment, when the score sinks below hysteresis * threshold. If the new meaning gives
    way to yet another before it has settled, the new segment begins anew, and the embeddings of
    what did not last belong to none. Whatever happens, a change is decided within 4 * settle
    seconds, except that `min_interval` can hold the shift back; it is then sent as soon as the
    time has come.

    Times are those of the stamps, so that a stream gives the same shifts at any rate, each
    within about one period. A stream slower than `smoothing` has windows of one embedding. Of a
    longer silence only max(smoothing, settle) counts as watched: it neither ages a change that
    nobody saw, nor lets the window or FIRST mix what was before with what came after.

    The segment's mean weighs all its embeddings alike, which is deliberate: it is the paper's
    average pooling, and of the frames of one camera none counts more. A mean that forgets
    would follow a slow drift for ever, always a little behind. This one falls back to half of
    the way: a drift of any speed is noticed, at the latest when it has gone twice the angle
    that a sudden change needs.

    An update costs O(D) time and memory traffic, whatever the rate and the age of the segment;
    only the recent window is held. Sums are kept in float64: a billion updates leave an error
    of about 1e-11.

    Args:
        config: settings.
        segment_id: id of the first segment.

    Attributes:
        config: settings; they may be replaced at any time and hold from the next update.
    """

    def __init__(self, config: GateConfig, segment_id: int = 0) -> None:
        self.config = config
        self._segment_id = segment_id
        self._sent = False  # was anything of the running segment, which so has taken the id?
        self.reset()

    def reset(self) -> None:
        """Forget the stream. Segment ids go on, so that no two segments share one."""
        self._end_segment()
        self._announced = False  # was the stream's FIRST sent?
        self._recent: Recent | None = None
        self._segment: Segment | None = None
        self._change: Segment | None = None
        self._waited = 0  # ns watched since the change (or the stream) began, across restarts
        self._last_stamp = 0
        self._last_shift = 0
        self._last_sent = 0
        self._score = 0.0

    @property
    def score(self) -> float:
        """Latest distance of the recent window from the running segment, in [0, 2]."""
        return self._score

    @property
    def segment_id(self) -> int:
        """Id of the running segment; after reset(), of the next one."""
        return self._segment_id

    def update(self, stamp: int, embedding: ArrayLike) -> Shift | None:
        """Take the next embedding of the stream.

        Args:
            stamp: its time in nanoseconds. A stamp earlier than the last one starts a new
                stream, as after reset().
            embedding: (D,) finite numbers, of any length but 0; only the direction counts.

        Returns:
            A segment to tell about, mostly None.

        Raises:
            InputError: when the embedding cannot be used; the state is as before.
        """
        vector = self._checked(embedding)
        if self._segment is not None and stamp < self._last_stamp:
            self.reset()
        passed, self._last_stamp = stamp - self._last_stamp, stamp
        if self._segment is None or self._recent is None:
            self._recent = Recent(vector, stamp)
            self._segment = Segment(vector, stamp)
            self._last_shift = self._last_sent = stamp
            return self._first_if_due(stamp)
        longest = max(self._smoothing, self._settle)
        self._waited += min(passed, longest)
        self._recent.push(vector, stamp)
        self._recent.drop_before(stamp - self._smoothing)
        self._score = distance(self._recent.sum, self._segment.sum)
        if not self._announced:
            if passed > longest:
                self._end_segment()
                self._segment = Segment(vector, stamp)
            else:
                self._segment.add(vector, stamp)
            return self._first_if_due(stamp)
        self._follow_change(vector, stamp)
        if self._change is not None:
            return self._shift_if_due(stamp)
        self._segment.add(vector, stamp)
        silence = self.config.max_silence * SECOND
        if 0 < silence <= stamp - self._last_sent:
            return self._send(Trigger.MAX_SILENCE)
        return None

    def request(self) -> Shift | None:
        """Return the running segment at once; None before the first embedding."""
        return None if self._segment is None else self._send(Trigger.REQUEST)

    def _checked(self, embedding: ArrayLike) -> Vector:
        """Return the embedding normalised, or say what is wrong with it."""
        vector = np.array(embedding, dtype=np.float64)
        if vector.ndim != 1 or vector.size == 0:
            raise InputError(f"an embedding is a vector, got an array of shape {vector.shape}")
        if self._segment is not None and vector.shape != self._segment.sum.shape:
            raise InputError(
                f"the stream's embeddings have {self._segment.sum.size} values, "
                f"got {vector.size}: reset the gate after a change of model"
            )
        largest = np.abs(vector).max()
        if not np.isfinite(largest):
            raise InputError("the embedding contains NaN or infinity")
        if largest == 0:
            raise InputError("the embedding is zero, it has no direction")
        vector /= largest  # so that no square overflows or vanishes
        vector /= np.linalg.norm(vector)
        return vector

    @property
    def _smoothing(self) -> int:
        return round(self.config.smoothing * SECOND)  # ns

    @property
    def _settle(self) -> int:
        return round(self.config.settle * SECOND)  # ns

    def _first_if_due(self, stamp: int) -> Shift | None:
        assert self._segment is not None
        if self._waited < self._settle:
            return None
        self._score = 0.0  # there is nothing yet to be distant from
        self._announced = True
        self._last_shift = stamp
        return self._send(Trigger.FIRST)

    def _follow_change(self, vector: Vector, stamp: int) -> None:
        """Begin, extend, restart or drop the change, by the score of this embedding."""
        assert self._segment is not None and self._recent is not None
        threshold = self.config.threshold
        if self._change is None:
            if self._score > threshold:
                self._change = Segment(vector, stamp)
                self._waited = 0
            return
        # At the end of its patience the gate wants a clear yes: between the two limits is no.
        undecided = self._waited >= _PATIENCE * self._settle and self._score <= threshold
        if self._score < self.config.hysteresis * threshold or undecided:
            self._segment.absorb(self._change)
            self._change = None
            return
        # Only when the recent window lies within the change can it tell another meaning.
        within = stamp - self._change.start > self._smoothing
        if within and distance(self._recent.sum, self._change.sum) > threshold:
            self._change = Segment(vector, stamp)
        else:
            self._change.add(vector, stamp)

    def _shift_if_due(self, stamp: int) -> Shift | None:
        assert self._change is not None and self._recent is not None
        config = self.config
        settled = (
            stamp - self._change.start >= self._settle
            and self._recent.variance() <= config.hysteresis * config.threshold
        )
        due = settled or self._waited >= _PATIENCE * self._settle
        blocked = stamp - self._last_shift < config.min_interval * SECOND
        if blocked or not due or self._score <= config.threshold:
            return None
        self._segment, self._change = self._change, None
        # What the window still holds of the old meaning would soon look like another change.
        self._recent.drop_before(self._segment.start)
        self._end_segment()
        self._last_shift = stamp
        return self._send(Trigger.SHIFT)

    def _end_segment(self) -> None:
        if self._sent:
            self._segment_id += 1
        self._sent = False

    def _send(self, trigger: Trigger) -> Shift:
        assert self._segment is not None
        self._sent = True
        self._last_sent = self._last_stamp
        return Shift(
            segment_id=self._segment_id,
            segment_start=self._segment.start,
            segment_end=self._segment.end,
            embeddings=self._segment.count,
            trigger=trigger,
            score=self._score,
            threshold=self.config.threshold,
            embedding=self._segment.mean(),
        )


def _check(name: str, value: float, good: bool, allowed: str) -> None:
    if not (good and math.isfinite(value)):
        raise InputError(f"{name} must be {allowed}, got {value}")
