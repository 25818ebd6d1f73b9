"""Draws episodes into shards; shards that are there already are left as they are."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from vljepa_ros.errors import InputError
from vljepa_ros.runtime.images import to_input_size
from vljepa_ros.training.shards import (
    FRAME_PERIOD,
    FRAME_SIZE,
    JPEG_QUALITY,
    SPLITS,
    Drawn,
    check_request,
    encode_jpeg,
    write_missing,
)
from vljepa_ros.training.tabletop.episode import Episode, plan

SOURCE = "tabletop"
DRAWN_SIZE = (320, 240)  # px, width and height of what is drawn


def episode_seed(seed: int, split: str, index: int) -> int:
    """The seed of one episode; no two splits share any on purpose."""
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; take one of {', '.join(SPLITS)}")
    entropy = [seed, SPLITS.index(split), index]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def draw(split: str, seed: int, index: int) -> Drawn:
    """Draw episode `index` of `split`."""
    episode = plan(episode_seed(seed, split, index))
    facts = episode.facts(FRAME_PERIOD)
    return f"{split}-{index:06d}", facts, draw_frames(episode, range(facts["frames"]))


def draw_frames(
    episode: Episode,
    numbers: Iterable[int],
    size: tuple[int, int] = DRAWN_SIZE,
    quality: int = JPEG_QUALITY,
) -> list[bytes]:
    """The frames of an episode that have these numbers, as JPEG.

    Args:
        episode: to be drawn.
        numbers: of frames, FRAME_PERIOD apart.
        size: px, width and height of what is drawn.
        quality: of the JPEG.
    """
    # Imported here: planning, and the tests of it, need no graphics.
    from vljepa_ros.training.tabletop.render import draw_episode

    times = [number * FRAME_PERIOD for number in numbers]
    images = draw_episode(episode.layout, episode.timeline, times, *size)
    return [encode_jpeg(to_input_size(image, FRAME_SIZE), quality) for image in images]


def generate(
    root: Path,
    split: str,
    episodes: int,
    seed: int,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `episodes` episodes of `split` below `root`/tabletop; see `write_missing`.

    The same (seed, split, index) always gives the same episode. `progress` is called with the
    number of episodes that are there, and `episodes`.
    Raises InputError as `write_missing` does, and for an unknown split, fewer than 0 episodes or
    fewer than one worker.
    """
    check_request(split, episodes, workers)
    draw_one = partial(draw, split, seed)
    write_missing(root, SOURCE, split, episodes, seed, workers, draw_one, progress)
