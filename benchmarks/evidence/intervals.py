"""Where a mean lies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

_RESAMPLES = 2000
_BATCH = 200  # resamples at once, for the memory


def mean_interval(values: NDArray[np.float64]) -> list[float]:
    """Mean of at least two values (K,) and its 95% interval, by the percentile bootstrap.

    The same values always give the same interval.
    """
    found = bootstrap(
        (values,), np.mean, n_resamples=_RESAMPLES, batch=_BATCH, method="percentile", rng=0
    )
    return [float(values.mean()), *map(float, found.confidence_interval)]
