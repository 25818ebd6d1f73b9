"""Intervals, and triplets of paraphrases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from vljepa_ros.training import phrases
from vljepa_ros.training.metrics import Metric
from vljepa_ros.training.paraphrases import cosines, hits, triplet_metric, written_triplets


@pytest.mark.parametrize(
    ("share", "trials", "low", "high"),
    # As scipy.stats.binomtest(k, n).proportion_ci(method="wilson") gives them.
    [(0.5, 10, 0.2366, 0.7634), (1.0, 10, 0.7225, 1.0), (0.0, 400, 0.0, 0.0095)],
)
def test_intervals_are_those_of_wilson(share: float, trials: int, low: float, high: float) -> None:
    interval = Metric("", share, 0.0, trials).interval
    assert interval == pytest.approx((low, high), abs=1e-4)


def test_the_wordings_of_a_triplet_by_hand_are_not_both_of_training() -> None:
    states = [phrases.LAMP_STATES, *phrases.FURNITURE_STATES.values(), phrases.EVENTS]
    known = [set(wordings) for kinds in states for wordings in kinds.values()]
    known += [set(phrases.NO_EVENT), *map(set, phrases.EMPTY.values())]
    for one, other, _ in written_triplets():
        assert not any({one, other} <= wordings for wordings in known)


def test_a_triplet_counts_only_if_the_paraphrases_are_nearest_to_each_other() -> None:
    angles = {"a": 0.0, "b": 1.0, "c": 1.9, "d": 3.0}

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        turned = [angles[text] for text in texts]
        return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)

    triplets = [("a", "b", "d"), ("a", "b", "c"), ("c", "d", "a"), ("a", "d", "b")]
    metric = triplet_metric("", embed, triplets)
    assert metric.trials == 4
    assert metric.value == 0.5  # in the second c is nearer to b, in the last b is to a
    similar = cosines(embed, triplets)
    wanted = np.cos([[1.0, 3.0, 2.0], [1.0, 1.9, 0.9], [1.1, 1.9, 3.0], [3.0, 1.0, 2.0]])
    assert similar == pytest.approx(wanted, abs=1e-6)
    assert hits(similar).tolist() == [True, False, True, False]


def test_a_tie_is_no_hit() -> None:
    assert not hits(np.array([[0.5, 0.5, 0.1]]))[0]


def test_the_written_triplets_are_whole_and_differ() -> None:
    triplets = written_triplets()
    assert len(triplets) >= 40
    assert all(len({*triplet}) == 3 for triplet in triplets)
    assert len({triplet for triplet in triplets}) == len(triplets)
