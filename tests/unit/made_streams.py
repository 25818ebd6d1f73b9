"""Made-up streams of embeddings, whose meaning changes where it is known."""

import numpy as np
from evidence.drawing import PERIOD
from evidence.streams import Stream

CHANGES = (40, 44, 90, 130)  # frames at which the meaning of `embeddings()` changes
CHANGES_APART = (40, 90, 130)
SPAN = 1.5


def meanings(count):
    return np.eye(16)[:count]


def embeddings(changes=CHANGES, total=180, noise=0.02, back=()):
    """(T, 16) unit vectors, another meaning from each of `changes`; `back` repeats the first."""
    rng = np.random.default_rng(0)
    labels = np.searchsorted(changes, np.arange(total), side="right")
    labels = np.where(np.isin(labels, back), 0, labels)
    rows = meanings(16)[labels] + rng.normal(0, noise, (total, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def stream(rows, *events):
    entries = [{"start": s, "end": e, "wordings": list(w)} for s, e, w in events]
    return Stream({"annotations": entries, "frames": len(rows)}, rows)


def starts(decodes):
    return [round(decode.start / PERIOD) for decode in decodes]
