"""Short clips of photographic cut-outs that appear, move and leave over photographs.

Written as shards of episodes (see shards.py) with their facts. A clip depends only on the seed,
the split and its number, so an interrupted run goes on with the shards that are missing.
"""

import zlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vljepa_ros.training.clip_drawing import draw_clip
from vljepa_ros.training.clip_plan import OBJECT_COUNTS, plan_clip
from vljepa_ros.training.pictures import Cutout, load_backgrounds, load_cutouts
from vljepa_ros.training.shards import Drawn, check_request, encode_jpeg, write_missing

SOURCE = "composites"

Bytes = NDArray[np.uint8]


def generate(
    root: Path,
    split: str,
    episodes: int,
    seed: int,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `episodes` clips of `split` below `root`/composites; see `write_missing`.

    The pictures come from `root`/sources and are fetched where they are missing.

    Args:
        root: the data folder.
        split: "train", "val" or "test"; each has pictures of its own.
        episodes: how many clips, 0 or more.
        seed: the same seed gives the same clips.
        workers: processes that draw.
        progress: called with the number of clips that are there, and `episodes`.

    Raises:
        InputError: as `write_missing`; or no such split, fewer than 0 clips, less than one worker.
        SourceError: pictures that cannot be fetched.
    """
    check_request(split, episodes, workers)
    if episodes:
        load_pictures(root, split)  # fetched once, before the workers ask for them all together
    draw_one = partial(draw, root, split, seed)
    write_missing(root, SOURCE, split, episodes, seed, workers, draw_one, progress)


def draw(root: Path, split: str, seed: int, number: int) -> Drawn:
    """Draw clip `number` of `split`."""
    cutouts, backgrounds = load_pictures(root, split)
    facts, frames = make_clip(clip_seed(seed, split, number), cutouts, backgrounds)
    return f"{SOURCE}-{split}-{number:06d}", facts, [encode_jpeg(frame) for frame in frames]


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
