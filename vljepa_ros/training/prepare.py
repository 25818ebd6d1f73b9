"""Makes all that a run of training reads: episodes of all sources, and their frames' tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from rich.progress import Progress

from vljepa_ros.model import VLJEPA
from vljepa_ros.model.config import VLJEPAConfig
from vljepa_ros.model.parts import build_x_encoder
from vljepa_ros.runtime.frames import FrameEncoder
from vljepa_ros.training import composites, tabletop
from vljepa_ros.training.features import encode_missing
from vljepa_ros.training.shards import sources_with
from vljepa_ros.training.tabletop import moments

HELD_OUT = {"val": 50, "test": 200}  # episodes of each source that is held out at all
_SPLITS = ("val", "test", "train")  # the small ones first
_GENERATE = {
    "tabletop": (tabletop.generate, HELD_OUT),
    "composites": (composites.generate, HELD_OUT),
    "moments": (moments.generate, {}),
}
SOURCES = tuple(_GENERATE)


def prepare(
    data: Path, training: Mapping[str, int], config: VLJEPAConfig, seed: int, workers: int
) -> None:
    """Draw and encode what is missing, with bars that show what is left.

    Shards of other sources that lie in the folder, a user's own, are encoded too.

    Args:
        data: folder of the shards.
        training: how many episodes of each source to train on; of none, and nothing of the source
            is drawn, not what is held out either.
        config: of the model to encode for.
        seed: of all episodes.
        workers: processes that draw.

    Raises:
        InputError: a negative number of episodes, no worker, or a folder that has more episodes
            than are asked for, or those of another seed.
        SourceError: pictures that are missing and cannot be fetched.
        CheckpointError: published weights are missing, damaged or do not fit.
    """
    encoder = _frame_encoder(config)
    with Progress() as progress:

        def bar(title: str) -> Callable[[int, int], None]:
            task = progress.add_task(title, total=None)

            def update(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            return update

        for split in _SPLITS:
            for source, (generate, held_out) in _GENERATE.items():
                counts = {**held_out, "train": training[source]}
                if not counts.get(split) or not counts["train"]:
                    continue
                told = bar(f"{source}: {split} episodes")
                generate(data, split, counts[split], seed, workers, told)
            if encoder is None:
                continue
            for source in sources_with(data, split):
                told = bar(f"{source}: {split} tokens")
                encode_missing(data, (source,), split, encoder, told)


def _frame_encoder(config: VLJEPAConfig) -> FrameEncoder | None:
    """What encodes frames, if their tokens are worth storing."""
    with torch.device("meta"):
        if not build_x_encoder(config.x_encoder).frame_wise:
            return None
    model = VLJEPA(config).eval()
    model.load_pretrained()
    return FrameEncoder(model.x_encoder, model.image_size)
