"""Claim 1: embedding prediction beats token prediction with half the trainable parameters.

The controlled comparison of the paper's section 4.5 at our scale. Both arms read the same cached
tokens of the frozen X-Encoder, in the same order, with the same batch, schedule and number of
samples; one towards MiniLM's frozen space, the other word by word with twice the parameters.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.progress import Progress

from evidence.comparison import Comparison, Settings
from evidence.prediction_report import draw, markdown
from vljepa_ros.training.optimise import knows_bf16

__all__ = ["compare", "draw", "markdown", "run"]

_QUICK = {
    "episodes": (("tabletop", 25), ("composites", 25)),
    "held_out": (("test", 25),),
    "steps": 32,
    "batch_size": 32,
    "warmup_steps": 4,
    "seeds": (0, 1),
    "rates": (1e-3,),
    "decoder_steps": 100,
    "questions": 12,
    "rounds": 5,
}


def run(data: Path, work: Path, quick: bool, progress: Progress) -> dict[str, Any]:
    """Train and measure both arms, or go on where an earlier run stopped.

    Args:
        data: folder of `vljepa data`; what it lacks is made there.
        work: folder of this claim.
        quick: a subset that shows that all works; its numbers say nothing.
        progress: where to show bars.
    """
    return compare(data, work, quick, progress).run()


def compare(data: Path, work: Path, quick: bool, progress: Progress) -> Comparison:
    """The comparison, of which other claims want the trained arms; arguments as of `run`."""
    os.environ["ACCELERATE_USE_CPU"] = "true"  # also where there is a GPU, as costs are a CPU's
    settings = Settings(precision="bf16" if knows_bf16() else "fp32")
    return Comparison(data, work, replace(settings, **_QUICK) if quick else settings, progress)
