"""What the demo saw and heard, in the order of the stream: its display and picture tell it."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.streaming.stamps import SECOND

_RATE_WINDOW = 3.0  # s of arrivals over which the live rate is taken


@dataclass(frozen=True)
class Sentence:
    """A description. Times are seconds of the stream."""

    start: float  # where its segment begins
    spoken: float  # stamp of the newest image when the segment was sent
    text: str
    confidence: float  # in [0, 1]


@dataclass(frozen=True)
class Answer:
    """A question and what came back."""

    at: float  # s of the stream, newest image used
    question: str
    text: str  # the answer, or why there is none
    confidence: float | None  # in [0, 1]; None when there is no answer


@dataclass
class Story:
    """Everything the display and the timeline show.

    The player's thread writes the first group, the ROS callbacks the second; each field has
    one writer, and appending to a list is atomic.
    """

    name: str
    duration: float | None  # s of the video, None for a camera
    origin: int | None = None  # stamp of the first image, ns
    frames_sent: int = 0
    elapsed: float = 0.0  # s of the stream played so far
    thumbnails: list[tuple[float, NDArray[np.uint8]]] = field(default_factory=list)  # RGB

    threshold: float = 0.0
    scores: list[tuple[float, float]] = field(default_factory=list)  # (s, distance)
    shifts: list[float] = field(default_factory=list)  # s, start of each new segment
    sentences: list[Sentence] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    model: str = ""
    over: bool = False  # all images were sent, and what they led to was heard
    _arrivals: deque[float] = field(default_factory=deque)  # s, monotonic clock

    @property
    def embeddings(self) -> int:
        """Return how many embeddings have arrived."""
        return len(self.scores)

    @property
    def saving(self) -> float | None:
        """Return decodes of every-frame decoding for each sentence told; None before the first."""
        return self.embeddings / len(self.sentences) if self.sentences else None

    def seconds(self, stamp: int) -> float:
        """Turn a stamp (ns) into seconds of the stream; 0 before the first image."""
        return 0.0 if self.origin is None else (stamp - self.origin) / SECOND

    def add_score(self, at: float, score: float, arrived: float) -> None:
        """Note an embedding: its time in the stream, the gate's score, the clock's time."""
        self.scores.append((at, score))
        self._arrivals.append(arrived)

    def rate(self, now: float) -> float:
        """Return the embeddings per second of the last seconds; when it is over, of it all.

        Args:
            now: monotonic clock, as in add_score.
        """
        if self.over:
            return self.embeddings / max(self.elapsed, 0.1)
        while self._arrivals and self._arrivals[0] < now - _RATE_WINDOW:
            self._arrivals.popleft()
        return len(self._arrivals) / _RATE_WINDOW


def clock(seconds: float) -> str:
    """Write a time of the stream as 1:05.2."""
    tenths = round(max(seconds, 0.0) * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"
