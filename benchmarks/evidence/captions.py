"""CIDEr of told texts against the wordings of what they were to tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.cider.cider_scorer import CiderScorer

_WORD = re.compile(r"\w+(?:'\w+)*")


def cider(told: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """CIDEr-D of each text against the wordings of its annotation (Vedantam et al. 2015).

    How much an n-gram weighs follows from how many of the annotations have it, so that values
    can be compared only among texts for the same annotations.

    Args:
        told: K texts.
        references: the wordings of each of the K annotations, at least one.

    Returns:
        (K,), times 100 as papers print it: 0 to 1000, the mean of which is the corpus' CIDEr.
    """
    if not told:
        return np.zeros(0)
    scorer = CiderScorer()
    for text, wordings in zip(told, references, strict=True):
        scorer += (_plain(text), [_plain(wording) for wording in wordings])
    return np.asarray(100 * scorer.compute_score()[1], np.float64)


def _plain(text: str) -> str:
    """Lower-cased words without punctuation, as the scorer expects."""
    return " ".join(_WORD.findall(text.lower()))
