"""The paper's example: "the lamp is off" and "the room is dark" mean the same (section 1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from vljepa_ros.training.paraphrases import Embed

OFF = (
    "the lamp is off",
    "the room is dark",
    "the lamp is switched off",
    "it is dark in here",
    "no light is on",
)
ON = (
    "the lamp is on",
    "the room is bright",
    "the lamp is switched on",
    "it is bright in here",
    "a light is on",
)
TEXTS = (*OFF, *ON)
# Two wordings, and two texts that differ in one word.
PARAPHRASE = ("the lamp is off", "the room is dark")
CHANGE = ("the lamp is off", "the lamp is on")


def lamp_map(embed: Embed) -> dict[str, Any]:
    """Where the texts lie on their two principal axes, and how far apart they are.

    For vectors of length 1 this is classical scaling of the distances sqrt(2 (1 - cosine)).

    Returns:
        points: (K, 2) of TEXTS; those of ON are to the right.
        shown: share of the variance that the two axes hold.
        distances: (K, K), 1 - cosine.
    """
    embedded = embed(TEXTS).astype(np.float64)
    pca = PCA(2, svd_solver="full")
    points = pca.fit_transform(embedded)
    if points[len(OFF) :, 0].mean() < points[: len(OFF), 0].mean():
        points[:, 0] *= -1
    return {
        "points": points.tolist(),
        "shown": float(pca.explained_variance_ratio_.sum()),
        "distances": (1 - embedded @ embedded.T).tolist(),
    }
