"""Short clips of photographic cut-outs that appear, move and leave over photographs.

Written as shards of episodes (see shards.py) with their facts. A clip depends only on the seed,
the split and its number, so an interrupted run goes on with the shards that are missing.
"""

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vljepa_ros.errors import InputError
from vljepa_ros.training.clip_drawing import draw_clip
from vljepa_ros.training.clip_plan import OBJECT_COUNTS, plan_clip
from vljepa_ros.training.pictures import SPLITS, Cutout, load_backgrounds, load_cutouts
from vljepa_ros.training.shards import ShardWriter, count_episodes, encode_jpeg, shard_path

SOURCE = "composites"
EPISODES_PER_SHARD = 50

Bytes = NDArray[np.uint8]


def generate(
    root: Path,
    split: str,
    episodes: int,
    seed: int,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `episodes` clips of `split` below `root`/composites; whole shards are kept.

    A shard is kept if its clips are as many as asked for, whatever their seed was.

    The pictures come from `root`/sources and are fetched where they are missing.

    Args:
        root: the data folder.
        split: "train", "val" or "test"; each has pictures of its own.
        episodes: how many clips.
        seed: the same seed gives the same clips.
        workers: processes that draw.
        progress: called with the number of clips that are there, and `episodes`.

    Raises:
        InputError: no such split.
        SourceError: pictures that cannot be fetched.
    """
    if split not in SPLITS:
        raise InputError(f"no split named {split!r}; there are {', '.join(SPLITS)}")
    load_pictures(root, split)  # fetched once, before the workers ask for them all together
    tell = progress or (lambda done, total: None)
    done, missing = 0, []
    for first in range(0, episodes, EPISODES_PER_SHARD):
        numbers = range(first, min(first + EPISODES_PER_SHARD, episodes))
        path = shard_path(root, SOURCE, split, first // EPISODES_PER_SHARD)
        if count_episodes(path) == len(numbers):
            done += len(numbers)
            tell(done, episodes)
        else:
            missing.append(numbers)
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(write_shard, root, split, numbers, seed) for numbers in missing]
        for job in as_completed(jobs):
            done += job.result()
            tell(done, episodes)


def write_shard(root: Path, split: str, numbers: range, seed: int) -> int:
    """Draw the clips `numbers` into the shard that they belong to; how many there are."""
    cv2.setNumThreads(1)
    cutouts, backgrounds = load_pictures(root, split)
    path = shard_path(root, SOURCE, split, numbers.start // EPISODES_PER_SHARD)
    with ShardWriter(path) as shard:
        for number in numbers:
            facts, frames = make_clip(clip_seed(seed, split, number), cutouts, backgrounds)
            key = f"{SOURCE}-{split}-{number:06d}"
            shard.add(key, facts, [encode_jpeg(frame) for frame in frames])
    return len(numbers)


def clip_seed(seed: int, split: str, number: int) -> int:
    """Seed of one clip, below 2**32."""
    return zlib.crc32(f"{seed}/{split}/{number}".encode())


def make_clip(
    seed: int, cutouts: Sequence[Cutout], backgrounds: Sequence[Bytes]
) -> tuple[dict[str, Any], list[Bytes]]:
    """Facts and frames, (224, 224, 3) uint8 RGB each, of the clip with this seed."""
    rng = np.random.default_rng(seed)
    chosen = choose_cutouts(rng, cutouts)
    plan = plan_clip(rng, [(cutout.noun, cutout.color) for cutout in chosen])
    return plan.facts(seed), draw_clip(rng, plan, chosen, backgrounds)


def choose_cutouts(rng: Generator, cutouts: Sequence[Cutout]) -> list[Cutout]:
    """One to three cut-outs of different nouns."""
    count = 1 + int(rng.choice(len(OBJECT_COUNTS), p=OBJECT_COUNTS))
    chosen: dict[str, Cutout] = {}
    for index in rng.permutation(len(cutouts)):
        chosen.setdefault(cutouts[index].noun, cutouts[index])
        if len(chosen) == count:
            break
    return list(chosen.values())


@cache
def load_pictures(root: Path, split: str) -> tuple[list[Cutout], list[Bytes]]:
    """Cut-outs and backgrounds of a split, read once in a process."""
    cache_folder = root / "sources"
    return load_cutouts(split, cache_folder), load_backgrounds(split, cache_folder)
