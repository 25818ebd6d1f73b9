"""Where a mean lies, and other statistics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

_RESAMPLES = 2000
_STATISTIC_RESAMPLES = 1000  # each of which may take long
_BATCH = 200  # resamples at once, for the memory


def mean_interval(values: NDArray[np.float64]) -> list[float]:
    """Mean of at least two values (K,) and its 95% interval, by the percentile bootstrap.

    The same values always give the same interval.
    """
    found = bootstrap(
        (values,), np.mean, n_resamples=_RESAMPLES, batch=_BATCH, method="percentile", rng=0
    )
    return [float(values.mean()), *map(float, found.confidence_interval)]


def statistic_interval(
    statistic: Callable[[NDArray[np.int64]], float], count: int
) -> tuple[float, float]:
    """95% interval of a statistic, by the percentile bootstrap.

    Args:
        statistic: of the numbers of the rows that were drawn.
        count: of rows.
    """
    found = bootstrap(
        (np.arange(count),),
        statistic,
        n_resamples=_STATISTIC_RESAMPLES,
        vectorized=False,
        method="percentile",
        rng=0,
    ).confidence_interval
    return float(found.low), float(found.high)
