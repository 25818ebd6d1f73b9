"""The paper's example: "the lamp is off" and "the room will go dark" mean the same (section 1)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
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
NAMED = tuple(dict.fromkeys((*PARAPHRASE, *CHANGE)))


def lamp_map(embed: Embed) -> dict[str, Any]:
    """How far apart the texts are, and where they lie on the plane through NAMED.

    So the distances among these three are true, sqrt(2 (1 - cosine)), and the map cannot show
    one nearer that is not. It is classical scaling of the three; the others are projected.

    Returns:
        points: (K, 2) of TEXTS; "the lamp is on" is straight above "the lamp is off".
        distances: (K, K), 1 - cosine.
        nearest: texts whose nearest other one is of the same meaning.
    """
    embedded = embed(TEXTS).astype(np.float64)
    named = [TEXTS.index(text) for text in NAMED]
    points = PCA(2, svd_solver="full").fit(embedded[named]).transform(embedded)
    distances = 1 - embedded @ embedded.T
    others = distances + 9 * np.eye(len(TEXTS))
    return {
        "points": _turned(points).tolist(),
        "distances": distances.tolist(),
        "nearest": sum(
            (number < len(OFF)) == (nearest < len(OFF))
            for number, nearest in enumerate(others.argmin(1).tolist())
        ),
    }


def distance(lamp: dict[str, Any], pair: tuple[str, str]) -> float:
    """1 - cosine of two of TEXTS in what `lamp_map` returns."""
    one, two = map(TEXTS.index, pair)
    return float(lamp["distances"][one][two])


def _turned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Off at the origin, on straight above it, and the other wording to the right."""
    off, on, other = (points[TEXTS.index(text)] for text in (*CHANGE, PARAPHRASE[1]))
    up = (on - off) / np.linalg.norm(on - off)
    right = np.array([up[1], -up[0]])
    if (other - off) @ right < 0:
        right = -right
    return (points - off) @ np.stack([right, up], axis=1)
