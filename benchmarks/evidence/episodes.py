"""The episodes that the claims are measured on; what is missing is made as `vljepa data` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.progress import Progress

from vljepa_ros.runtime.frames import FrameEncoder
from vljepa_ros.training import composites, tabletop
from vljepa_ros.training.features import Episode, encode_missing, load_episodes
from vljepa_ros.training.shards import count_episodes, list_shards

_GENERATE = {"tabletop": tabletop.generate, "composites": composites.generate}
SOURCES = tuple(_GENERATE)
_SEED = 0  # as `vljepa data` has it


def load_first(
    data: Path,
    split: str,
    counts: Mapping[str, int],
    encoder: FrameEncoder,
    progress: Progress,
) -> dict[str, list[Episode]]:
    """The first episodes of each source with their tokens, however many there are.

    Args:
        data: folder of `vljepa data`.
        split: "train", "val" or "test".
        counts: episodes by source; up to 50 or a multiple of it, the episodes of a shard, so
            that they do not make anew what `vljepa data` has made.
        encoder: of their frames.
        progress: where to show a bar.

    Raises:
        SourceError: pictures that are missing and cannot be fetched.
    """
    loaded = {}
    for source, count in counts.items():
        task = progress.add_task(f"{source}, {split}", total=None)

        def tell(done: int, total: int, task: int = task) -> None:
            progress.update(task, completed=done, total=total)

        draw_missing(data, source, split, count, progress)
        encode_missing(data, (source,), split, encoder, tell)
        loaded[source] = load_episodes(data, (source,), split, encoder.shape)[:count]
        progress.remove_task(task)
    return loaded


def draw_missing(data: Path, source: str, split: str, count: int, progress: Progress) -> None:
    """Draw the first `count` episodes of a source, unless so many are there.

    Raises:
        SourceError: pictures that are missing and cannot be fetched.
    """
    if sum(map(count_episodes, list_shards(data, source, split))) >= count:
        return
    task = progress.add_task(f"{source}, {split}: episodes", total=count)
    _GENERATE[source](
        data, split, count, _SEED, progress=lambda done, _: progress.update(task, completed=done)
    )
    progress.remove_task(task)
