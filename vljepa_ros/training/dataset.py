"""Draws batches of (window, query, answer) from cached episodes."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from random import Random

import numpy as np
import torch
from torch import Tensor

from vljepa_ros.errors import InputError
from vljepa_ros.model.config import WindowConfig
from vljepa_ros.training.class_windows import ClassWindows
from vljepa_ros.training.counterfactuals import hard_negatives
from vljepa_ros.training.features import Episode
from vljepa_ros.training.language import NOTHING_HELD, Facts, Sample, make_sample

# How often each kind is asked in training. Captions and events are the most useful; yes-or-no
# questions tell the least per sample, so they are asked more often than they matter. In most
# windows nothing moves to a side or is held, and neither is asked about.
KIND_WEIGHTS: Mapping[str, float] = {
    "caption": 4.0,
    "event": 3.0,
    "direction": 6.0,
    "what": 1.5,
    "color": 1.0,
    "count": 1.0,
    "where": 1.5,
    "exists": 2.5,
    "lamp": 0.7,
    "furniture": 1.5,
    "lamp_state": 0.5,
    "furniture_state": 0.7,
    "holding": 8.0,
}

HARD_NEGATIVES = 4  # for each sample
# Events that leave all things where they are, as they are.
_HARMLESS = ("approach", "grasp", "lift")
_EMPTY_HANDED = 0.1  # of the windows in which nothing is held, what is held is asked in so many
_TRIES = 100_000  # windows drawn for one that can be asked
_CLASS_SHARE = 0.45  # of the composites' windows; see class_windows.py


@dataclass(frozen=True)
class Batch:
    """B windows with a query and one wording of its answer each.

    Attributes:
        frames: (B, T, N, C) float16 tokens, or (B, T) int64 numbers of them in a table (see
            `features.to_table`), or (B, T, S, S, 3) uint8 RGB.
        shown: (B, K, D), see `class_windows.show_classes`; without classes K is 0.
        samples: B samples.
        texts: B answers, drawn from the wordings of the sample.
        others: as `texts`, drawn once more.
        meanings: (B, 2) int64, of the answer and of its text: two answers are no negatives of each
            other where one of these is equal. "It is open" may be said of a drawer and of a box.
        negatives: up to HARD_NEGATIVES wrong answers to each query, the nearest to the right one.
    """

    frames: Tensor
    shown: Tensor
    samples: list[Sample]
    texts: list[str]
    others: list[str]
    meanings: Tensor
    negatives: list[list[str]]

    def part(self, first: int, last: int) -> Batch:
        """Its samples from `first` to before `last`."""
        return Batch(*(getattr(self, field.name)[first:last] for field in fields(self)))

    def pin_memory(self) -> Batch:
        """The same, its frames where a GPU can fetch them by itself; DataLoader asks for it."""
        return replace(self, frames=self.frames.pin_memory())


class Sampler:
    """Draws random windows and questions.

    Args:
        episodes: where to draw from; InputError where there are none, or none that can be asked.
        window: frames and their distance.
        weights: how often each kind of question is drawn, by name.
        seed: of the random draws; samplers of different seeds draw different batches.
        conditioned: whether the query is told; if not, it is empty, as in the paper's caption
            pretraining (section 3.2).
        classes: which some windows are made to show; None for none.
        negatives: wrong answers drawn for each sample.
    """

    def __init__(
        self,
        episodes: Sequence[Episode],
        window: WindowConfig,
        weights: Mapping[str, float],
        seed: int | str,
        conditioned: bool = True,
        classes: ClassWindows | None = None,
        negatives: int = HARD_NEGATIVES,
    ) -> None:
        if not episodes:
            raise InputError("there are no episodes; run `vljepa data` first")
        self.episodes = episodes
        self.window = window
        self.kinds, self.weights = list(weights), list(weights.values())
        self.seed = seed
        self.random = Random(seed)
        self.conditioned = conditioned
        self.classes = classes
        self.negatives = negatives
        self.things: dict[str, list[Facts]] = defaultdict(list)
        for facts in (episode.facts for episode in episodes):
            self.things[facts["source"]] += facts["objects"]

    def draw(self) -> tuple[Sample, Episode, list[int]]:
        """One sample, its episode and the frames of its window (T numbers, oldest first)."""
        return self._draw()[:3]

    def _draw(self) -> tuple[Sample, Episode, list[int], int]:
        """What `draw` returns, and the seed that makes the sample from the facts."""
        for _ in range(_TRIES):
            episode = self.random.choice(self.episodes)
            last = self.random.randrange(len(episode.frames))
            frames = window_frames(episode, last, self.window)
            kind = self.random.choices(self.kinds, self.weights)[0]
            seed = self.random.getrandbits(32)
            sample = make_sample(episode.facts, frames[0], last, kind, Random(seed))
            if sample is None or _borderline(episode, last, kind):
                continue
            if sample.meaning == NOTHING_HELD and self.random.random() >= _EMPTY_HANDED:
                continue
            return sample, episode, frames, seed
        raise InputError(
            f"hardly a window of these {len(self.episodes)} episodes can be asked for "
            f"{', '.join(self.kinds)}; draw more with `vljepa data`"
        )

    def batch(self, number: int, size: int, part: int = 0, parts: int = 1) -> Batch:
        """One of the batches that the seed makes.

        Args:
            number: which; the same number gives the same batch, so that a run can be resumed.
            size: samples in all parts together.
            part: which of the equal parts is wanted; only its frames are read.
            parts: processes that share a batch.
        """
        self.random.seed(f"{self.seed}/{number}")
        drawn = [self._draw() for _ in range(size)]
        # What follows must not depend on the part either, or the parts would not fit together.
        rows = [(*draw, self.random.getrandbits(32)) for draw in drawn][part::parts]
        frames = torch.from_numpy(np.stack([e.frames[numbers] for _, e, numbers, *_ in rows]))
        samples, texts, others, negatives, shown = [], [], [], [], []
        for sample, episode, numbers, seed, choice in rows:
            random = Random(choice)
            wrong = self._negatives(sample, episode, numbers, seed)
            tokens = torch.empty(0, 0) if self.classes is None else self.classes.nothing()
            if self.classes is not None and _is_replaced(episode, random):
                sample, wrong, tokens = self.classes.draw(random, self.negatives)
            shown.append(tokens)
            samples.append(sample if self.conditioned else replace(sample, query=""))
            texts.append(random.choice(sample.answers))
            others.append(random.choice(sample.answers))
            negatives.append(wrong)
        pairs = zip(samples, texts, strict=True)
        meanings = torch.tensor([[_number(s.meaning), _number(text)] for s, text in pairs])
        return Batch(frames, torch.stack(shown), samples, texts, others, meanings, negatives)

    def _negatives(
        self, sample: Sample, episode: Episode, frames: list[int], seed: int
    ) -> list[str]:
        window, things = (frames[0], frames[-1]), self.things[episode.facts["source"]]
        return hard_negatives(episode.facts, window, sample, seed, things, self.negatives)


def _is_replaced(episode: Episode, random: Random) -> bool:
    return episode.facts["source"] == "composites" and random.random() < _CLASS_SHARE


def _number(meaning: str) -> int:
    """The same in every process, unlike Python's hash."""
    digest = hashlib.blake2b(meaning.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def window_frames(episode: Episode, last: int, window: WindowConfig) -> list[int]:
    """Frames of the window that ends at `last`; the first is repeated before the episode.

    Raises:
        InputError: frames so far apart are not in the episode, which a robot would find in time.
    """
    steps = window.period / episode.facts["frame_period"]
    step = round(steps)
    if step < 1 or not math.isclose(step, steps, rel_tol=1e-6):
        raise InputError(
            f"window.period is {window.period:g} s; give a multiple of the "
            f"{episode.facts['frame_period']:g} s between the frames of the data"
        )
    return [max(0, last - k * step) for k in reversed(range(window.frames))]


def _borderline(episode: Episode, last: int, kind: str) -> bool:
    """True where nobody could tell the answer from the frames.

    That is on the first frame of a longer event, which cannot be named yet, and for a state as
    long as an event changes it: the facts know the state before and the one after. Of the events
    only a grasp changes what is held.
    """
    under_way = [e for e in episode.facts["events"] if e["start"] <= last < e["end"]]
    if kind in ("caption", "event", "direction"):
        return any(e["start"] == last for e in under_way)
    if kind == "holding":
        return any(e["type"] == "grasp" for e in under_way)
    return any(e["type"] not in _HARMLESS for e in under_way)
