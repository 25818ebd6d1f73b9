"""What an answer costs, split as the paper's figure 3 splits it, and a choice among labels."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from evidence.arms import EmbeddingArm, TokenArm
from vljepa_ros.training.dataset import window_frames
from vljepa_ros.training.features import Episode
from vljepa_ros.training.phrases import CAPTION_QUERIES

_WARM = 2  # rounds that do not count


@torch.inference_mode()
def measure_costs(
    embedding: EmbeddingArm,
    token: TokenArm,
    episodes: Sequence[Episode],
    labels: Sequence[str],
    rounds: int,
) -> dict[str, Any]:
    """Milliseconds (median) of each part for one window of frames in memory, by turns.

    Args:
        embedding: VL-JEPA.
        token: the token-space VLM.
        episodes: with pictures.
        labels: among which the window's is chosen.
        rounds: of both.
    """
    window, laps = embedding.model.window, _Laps()
    known = embedding.model.encode_text(labels)

    def ours(frames: Tensor, queries: list[str]) -> None:
        _answer_by_embedding(embedding, known, frames, queries, laps)

    def theirs(frames: Tensor, queries: list[str]) -> None:
        _answer_by_tokens(token, embedding, labels, frames, queries, laps)

    for number in range(_WARM + rounds):
        episode = episodes[number // 2 % len(episodes)]
        numbers = window_frames(episode, len(episode.frames) - 1, window)
        frames = torch.from_numpy(episode.frames[numbers]).permute(0, 3, 1, 2)
        queries = [CAPTION_QUERIES[number // 2 % len(CAPTION_QUERIES)]]
        # In either order, since what ran before decides what is in the processor's caches.
        for answer in (ours, theirs) if number % 2 else (theirs, ours):
            answer(frames, queries)
    return {
        "ms": {name: median(ms[_WARM:]) for name, ms in laps.spent.items()},
        "labels": len(labels),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
    }


class _Laps:
    """Milliseconds of each part, by name; a lap begins where the one before ended."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = defaultdict(list)
        self._begun = 0.0

    def start(self) -> None:
        """Begin the first lap."""
        self._begun = time.perf_counter()

    def end(self, name: str) -> None:
        """End a lap, and begin the next."""
        self.spent[name].append((time.perf_counter() - self._begun) * 1e3)
        self._begun = time.perf_counter()


def _answer_by_embedding(
    arm: EmbeddingArm, known: Tensor, frames: Tensor, queries: list[str], laps: _Laps
) -> None:
    """Of VL-JEPA: a caption, and the nearest of the labels' embeddings (K, D)."""
    model = arm.model
    laps.start()
    query, mask = model.query(queries)
    laps.end("vl-jepa: query")
    tokens = model.encode_frames(frames)[None]
    laps.end("vl-jepa: x-encoder")
    predicted = F.normalize(model.predictor(tokens, query, mask), dim=-1)
    laps.end("vl-jepa: predictor")
    model.decode(predicted)
    laps.end("vl-jepa: decoding")
    (predicted @ known.T).argmax()
    laps.end("vl-jepa: label")


def _answer_by_tokens(
    arm: TokenArm,
    seeing: EmbeddingArm,
    labels: Sequence[str],
    frames: Tensor,
    queries: list[str],
    laps: _Laps,
) -> None:
    """Of the token-space VLM, whose frozen X-Encoder is `seeing`'s: the same."""
    laps.start()
    tokens = seeing.model.encode_frames(frames)[None]
    laps.end("vlm: x-encoder")
    arm.model.generate(tokens, queries)
    laps.end("vlm: language model")
    arm.scores(tokens, queries, labels).argmax()
    laps.end("vlm: label")
