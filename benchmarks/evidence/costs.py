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
    model, window = embedding.model, embedding.model.window
    known = model.encode_text(labels)
    spent: dict[str, list[float]] = defaultdict(list)

    def lap(name: str, begun: float) -> float:
        now = time.perf_counter()
        spent[name].append((now - begun) * 1e3)
        return time.perf_counter()

    def ours(frames: Tensor, queries: list[str]) -> None:
        now = time.perf_counter()
        query, mask = model.query(queries)
        now = lap("vl-jepa: query", now)
        tokens = model.encode_frames(frames)[None]
        now = lap("vl-jepa: x-encoder", now)
        predicted = F.normalize(model.predictor(tokens, query, mask), dim=-1)
        now = lap("vl-jepa: predictor", now)
        model.decode(predicted)
        now = lap("vl-jepa: decoding", now)
        (predicted @ known.T).argmax()
        lap("vl-jepa: label", now)

    def theirs(frames: Tensor, queries: list[str]) -> None:
        now = time.perf_counter()
        tokens = model.encode_frames(frames)[None]
        now = lap("vlm: x-encoder", now)
        token.model.generate(tokens, queries)
        now = lap("vlm: language model", now)
        token.scores(tokens, queries, labels).argmax()
        lap("vlm: label", now)

    for number in range(_WARM + rounds):
        episode = episodes[number // 2 % len(episodes)]
        numbers = window_frames(episode, len(episode.frames) - 1, window)
        frames = torch.from_numpy(episode.frames[numbers]).permute(0, 3, 1, 2)
        queries = [CAPTION_QUERIES[number // 2 % len(CAPTION_QUERIES)]]
        # In either order, since what ran before decides what is in the processor's caches.
        for answer in (ours, theirs) if number % 2 else (theirs, ours):
            answer(frames, queries)
    return {
        "ms": {name: median(laps[_WARM:]) for name, laps in spent.items()},
        "labels": len(labels),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
    }
