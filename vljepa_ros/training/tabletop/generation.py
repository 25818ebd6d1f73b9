"""Writes shards of episodes; shards that are there already are left as they are."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import cv2
import numpy as np

from vljepa_ros.errors import InputError
from vljepa_ros.runtime.images import to_input_size
from vljepa_ros.training.shards import ShardWriter, count_episodes, encode_jpeg, shard_path
from vljepa_ros.training.tabletop.episode import PERIOD, plan

SOURCE = "tabletop"
SPLITS = ("train", "val", "test")
SHARD_EPISODES = 50
DRAWN_SIZE = (320, 240)  # px, width and height of what is drawn
INPUT_SIZE = 224  # px, side of what is written


def episode_seed(seed: int, split: str, index: int) -> int:
    """The seed of one episode; no two splits share any on purpose."""
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; take one of {', '.join(SPLITS)}")
    entropy = [seed, SPLITS.index(split), index]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def write_shard(root: Path, split: str, shard: int, episodes: int, seed: int) -> int:
    """Draw `episodes` episodes into one shard; returns how many frames that were."""
    # Imported here: planning, and the tests of it, need no graphics.
    from vljepa_ros.training.tabletop.render import draw_episode

    cv2.setNumThreads(1)
    total = 0
    with ShardWriter(shard_path(root, SOURCE, split, shard)) as writer:
        for index in range(shard * SHARD_EPISODES, shard * SHARD_EPISODES + episodes):
            episode = plan(episode_seed(seed, split, index), unseen=split != "train")
            facts = episode.facts(PERIOD)
            times = [frame * PERIOD for frame in range(facts["frames"])]
            images = draw_episode(episode.layout, episode.timeline, times, *DRAWN_SIZE)
            frames = [encode_jpeg(to_input_size(image, INPUT_SIZE)) for image in images]
            writer.add(f"{split}-{index:06d}", facts, frames)
            total += len(frames)
    return total


def generate(
    root: Path,
    split: str,
    episodes: int,
    seed: int = 0,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write `episodes` episodes of `split` under `root`/tabletop; returns the frames drawn now.

    The same (seed, split, index) always gives the same episode. `progress` is called with the
    episodes that are finished and the episodes in all, first with those found on disk.
    Raises InputError for an unknown split or fewer than one episode or worker.
    """
    if split not in SPLITS or episodes < 1 or workers < 1:
        raise InputError(
            f"split {split!r}, {episodes} episodes, {workers} workers: take one of "
            f"{', '.join(SPLITS)} and at least one of both"
        )
    sizes = {
        shard: min(SHARD_EPISODES, episodes - shard * SHARD_EPISODES)
        for shard in range((episodes + SHARD_EPISODES - 1) // SHARD_EPISODES)
    }
    todo = [
        shard
        for shard, size in sizes.items()
        if count_episodes(shard_path(root, SOURCE, split, shard)) != size
    ]
    done = sum(size for shard, size in sizes.items() if shard not in todo)
    frames = 0
    if progress is not None:
        progress(done, episodes)
    # A forked child would share the parent's graphics context.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=workers, mp_context=context) as pool:
        jobs = {pool.submit(write_shard, root, split, s, sizes[s], seed): s for s in todo}
        for job in as_completed(jobs):
            frames += job.result()
            done += sizes[jobs[job]]
            if progress is not None:
                progress(done, episodes)
    return frames
