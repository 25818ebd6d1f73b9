"""Caches the frozen X-Encoder's tokens of every frame, since training never changes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vljepa_ros.model.config import EfficientNetConfig
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.training.language import Facts
from vljepa_ros.training.shards import decode_jpeg, list_shards, read_shards

# Small batches stay in the processor's cache, which is faster on a CPU.
_BATCH = 4


@dataclass(frozen=True)
class Episode:
    """Facts of an episode and (frames, N, C) float16 tokens, mapped from disk."""

    facts: Facts
    tokens: NDArray[np.float16]


def features_path(shard: Path) -> Path:
    """Where the tokens of a shard are cached."""
    return shard.with_suffix(".tokens.npy")


def encode_shard(shard: Path, encoder: EfficientNet) -> None:
    """Cache the tokens of all frames of a shard, (F, N, C) float16 in the shard's order."""
    frames = [decode_jpeg(data) for _, jpegs in read_shards([shard]) for data in jpegs]
    rows = []
    with torch.inference_mode():
        for start in range(0, len(frames), _BATCH):
            batch = torch.from_numpy(np.stack(frames[start : start + _BATCH]))
            rows.append(encoder.encode_frames(batch.permute(0, 3, 1, 2)).half().numpy())
    part = shard.with_suffix(".part.npy")
    np.save(part, np.concatenate(rows))
    part.replace(features_path(shard))


def encode_missing(
    root: Path, sources: tuple[str, ...], split: str, progress: Callable[[int, int], None]
) -> None:
    """Encode every finished shard that has no tokens yet.

    Args:
        root: data folder.
        sources: which generators' shards, for example ("tabletop", "composites").
        split: "train", "val" or "test".
        progress: called with shards done and in all.
    """
    shards = [shard for source in sources for shard in list_shards(root, source, split)]
    missing = [shard for shard in shards if not features_path(shard).is_file()]
    if not missing:
        return
    encoder = EfficientNet(EfficientNetConfig())
    encoder.load_pretrained()
    for done, shard in enumerate(missing):
        encode_shard(shard, encoder)
        progress(done + 1, len(missing))


def load_episodes(root: Path, sources: tuple[str, ...], split: str) -> list[Episode]:
    """Episodes of all encoded shards; tokens are read from disk as they are used."""
    episodes = []
    for source in sources:
        for shard in list_shards(root, source, split):
            if not features_path(shard).is_file():
                continue
            tokens = np.load(features_path(shard), mmap_mode="r")
            start = 0
            for facts, jpegs in read_shards([shard]):
                episodes.append(Episode(facts, tokens[start : start + len(jpegs)]))
                start += len(jpegs)
    return episodes
