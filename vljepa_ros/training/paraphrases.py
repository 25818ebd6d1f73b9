"""Measures the shared space by texts alone: paraphrases nearer than changes of one attribute.

As SugarCrepe++ does (arXiv 2406.11171): of two paraphrases and a text that differs from them in
one attribute, the paraphrases must be nearer to each other than either is to the third.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.training.dataset import Sampler
from vljepa_ros.training.metrics import Metric

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
Triplet = tuple[str, str, str]
Cosines = NDArray[np.float64]

CHANCE = 1 / 3  # of three pairs the right one is the nearest


def triplet_metric(name: str, embed: Embed, triplets: Sequence[Triplet]) -> Metric:
    """Share of (text, paraphrase, other) in which the paraphrases are nearest to each other."""
    # One by one: in int8 texts that are embedded together share scales.
    right = [bool(hits(cosines(embed, [triplet]))[0]) for triplet in triplets]
    return Metric(name, sum(right) / len(right), CHANCE, len(right))


def cosines(embed: Embed, triplets: Sequence[Triplet]) -> Cosines:
    """(K, 3): between text and paraphrase, and of each with the other."""
    texts = [text for triplet in triplets for text in triplet]
    rows = embed(texts).astype(np.float64).reshape(len(triplets), 3, -1)
    one, two, other = np.moveaxis(rows, 1, 0)
    pairs = ((one, two), (one, other), (two, other))
    return np.stack([(a * b).sum(1) for a, b in pairs], axis=1)


def hits(similar: Cosines) -> NDArray[np.bool_]:
    """(K,) of `cosines`: are the paraphrases nearest to each other?"""
    nearest: NDArray[np.bool_] = similar[:, 0] > similar[:, 1:].max(1)
    return nearest


def written_triplets() -> list[Triplet]:
    """By hand, for the most part in other words than those of training."""
    text = Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
    return [(one, two, other) for one, two, other in json.loads(text)]


def caption_triplets(sampler: Sampler, count: int) -> list[Triplet]:
    """Two wordings of an answer, and what it would be if one fact were another.

    Args:
        sampler: of captions and events.
        count: answers drawn; those whose two wordings are the same are left out.
    """
    batch = sampler.batch(0, count)
    return [
        (text, other, wrong[0])
        for text, other, wrong in zip(batch.texts, batch.others, batch.negatives, strict=True)
        if wrong and text != other
    ]
