"""What an evaluation reports."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

_NORMAL = NormalDist().inv_cdf(0.975)  # for intervals of 95%


@dataclass(frozen=True)
class Metric:
    """A share of hits in [0, 1], what guessing gives, and the number of trials."""

    name: str
    value: float
    chance: float
    trials: int

    @property
    def interval(self) -> tuple[float, float]:
        """Where the share lies with 95% confidence (Wilson, JASA 22, 1927), trials independent."""
        n, share = self.trials, self.value
        spread = _NORMAL**2 / n
        middle = share + spread / 2
        half = _NORMAL * sqrt(share * (1 - share) / n + spread / (4 * n))
        return (middle - half) / (1 + spread), (middle + half) / (1 + spread)
