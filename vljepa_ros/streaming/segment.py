"""What neighbouring embeddings of a stream have in common."""

import math

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


def distance(one: Vector, other: Vector) -> float:
    """Return 1 - cosine, in [0, 2]; 1 when one of the two has no direction."""
    lengths = math.sqrt(float(one @ one) * float(other @ other))
    if lengths <= _TINY:
        return 1.0
    return min(max(1 - float(one @ other) / lengths, 0.0), 2.0)
