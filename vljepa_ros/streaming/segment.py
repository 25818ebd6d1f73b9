"""What neighbouring embeddings of a stream have in common."""

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]  # (D,)

_TINY = 1e-12  # a sum of unit vectors shorter than this is rounding, not a direction


class Segment:
    """Sum of neighbouring embeddings of unit length."""

    def __init__(self, vector: Vector, stamp: int) -> None:
        self.sum = vector.copy()
        self.count = 1
        self.start = stamp  # ns
        self.end = stamp  # ns
        self._newest = vector

    def add(self, vector: Vector, stamp: int) -> None:
        """Append an embedding."""
        self.sum += vector
        self.count += 1
        self.end = stamp
        self._newest = vector

    def absorb(self, later: "Segment") -> None:
        """Append the embeddings of the segment that follows this one."""
        self.sum += later.sum
        self.count += later.count
        self.end = later.end
        self._newest = later._newest

    def mean(self) -> NDArray[np.float32]:
        """Return the normalised average, (D,); the newest where opposites cancel out."""
        length = float(np.linalg.norm(self.sum))
        mean = self.sum / length if length > _TINY else self._newest
        return mean.astype(np.float32)


class Recent:
    """The newest embeddings of a stream and their sum."""

    def __init__(self, vector: Vector, stamp: int) -> None:
        self.sum = vector.copy()
        self._held = deque([(stamp, vector)])

    def push(self, vector: Vector, stamp: int) -> None:
        """Append an embedding."""
        self._held.append((stamp, vector))
        self.sum += vector

    def drop_before(self, stamp: int) -> None:
        """Forget the embeddings that are older than this stamp (ns), but never the newest."""
        while len(self._held) > 1 and self._held[0][0] < stamp:
            self.sum -= self._held.popleft()[1]

    def variance(self) -> float:
        """Return the variance of the embeddings, which for unit vectors is 1 - ||mean||^2."""
        return 1 - float(self.sum @ self.sum) / len(self._held) ** 2


def distance(one: Vector, other: Vector) -> float:
    """Return 1 - cosine, in [0, 2]; 1 when one of the two has no direction."""
    lengths = math.sqrt(float(one @ one) * float(other @ other))
    if lengths <= _TINY:
        return 1.0
    return min(max(1 - float(one @ other) / lengths, 0.0), 2.0)
