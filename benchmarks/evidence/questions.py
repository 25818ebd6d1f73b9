"""What both arms are asked on held-out windows, and how their answers are scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evidence.arms import Arm
from evidence.captions import cider
from vljepa_ros.model.config import WindowConfig
from vljepa_ros.training.features import Episode
from vljepa_ros.training.trials import CHOICE_KINDS, Draw, draw_trials, is_asked, names_shown

_BATCH = 32  # windows in a pass
METRICS = ("cider", "top1", "top5", "vqa")


@dataclass(frozen=True)
class Questions:
    """What is asked about one source.

    Attributes:
        captions: windows to be described.
        things: windows whose one thing is to be named among `labels`.
        labels: all names of the split.
        choices: by kind, questions with candidates.
    """

    captions: list[Draw]
    things: list[Draw]
    labels: list[str]
    choices: dict[str, list[Draw]]


def draw_questions(
    episodes: Sequence[Episode], window: WindowConfig, count: int, seed: int
) -> Questions:
    """`count` captions and as many things; a quarter as many questions of each kind."""
    return Questions(
        draw_trials(episodes, window, "caption", count, seed),
        draw_trials(episodes, window, "what", count, seed),
        names_shown(episodes),
        {
            kind: draw_trials(episodes, window, kind, count // 4, seed)
            for kind in CHOICE_KINDS
            if is_asked(episodes, kind)
        },
    )


@torch.no_grad()  # not inference mode: training goes on with the texts that are embedded here
def score(arm: Arm, questions: Questions) -> dict[str, float]:
    """METRICS of an arm: mean CIDEr (times 100), and shares of right answers."""
    told = [t for w, q, _ in _passes(questions.captions) for t in arm.captions(w, q)]
    ranks = np.concatenate(
        [
            _ranks(arm.scores(windows, queries, questions.labels), answers, questions.labels)
            for windows, queries, answers in _passes(questions.things)
        ]
    )
    right = [right_choices(arm.scores, drawn) for drawn in questions.choices.values()]
    return {
        "cider": float(cider(told, [s.answers for s, _, _ in questions.captions]).mean()),
        "top1": float((ranks < 1).mean()),
        "top5": float((ranks < 5).mean()),
        "vqa": float(np.mean([hits.mean() for hits in right])),
    }


def chance(questions: Questions) -> dict[str, float]:
    """METRICS of guessing; for captions, of what is right for another of the windows."""
    drawn = [sample for sample, _, _ in questions.captions]
    shifted = [sample.answers[0] for sample in [drawn[-1], *drawn[:-1]]]
    ways = len(questions.labels)
    choices = [len(drawn[0][0].choices) for drawn in questions.choices.values()]
    return {
        "cider": float(cider(shifted, [sample.answers for sample in drawn]).mean()),
        "top1": 1 / ways,
        "top5": min(1.0, 5 / ways),
        "vqa": float(np.mean([1 / n for n in choices])),
    }


def perfect_cider(questions: Questions) -> float:
    """CIDEr of one of the right wordings: all of them are references, and differ."""
    drawn = [sample for sample, _, _ in questions.captions]
    told = [sample.answers[0] for sample in drawn]
    return float(cider(told, [sample.answers for sample in drawn]).mean())


def right_choices(
    scores: Callable[[Tensor, Sequence[str], Sequence[str]], Tensor], drawn: Sequence[Draw]
) -> NDArray[np.bool_]:
    """Whether the best of each question's choices is its answer: (K,), in order."""
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, (sample, _, _) in enumerate(drawn):
        alike[sample.choices].append(number)
    hits = np.zeros(len(drawn), dtype=bool)
    for choices, numbers in alike.items():
        ranks = [
            _ranks(scores(windows, queries, choices), answers, choices)
            for windows, queries, answers in _passes([drawn[n] for n in numbers])
        ]
        hits[numbers] = np.concatenate(ranks) == 0
    return hits


def windows_of(drawn: Sequence[Draw]) -> Tensor:
    """Their frame tokens: (B, T, N, C) float32."""
    return torch.from_numpy(np.stack([e.frames[numbers] for _, e, numbers in drawn])).float()


def _passes(drawn: Sequence[Draw]) -> Iterator[tuple[Tensor, list[str], list[str]]]:
    """Windows, queries and plainest answers, _BATCH at a time."""
    for start in range(0, len(drawn), _BATCH):
        part = drawn[start : start + _BATCH]
        samples = [sample for sample, _, _ in part]
        yield windows_of(part), [s.query for s in samples], [s.answers[0] for s in samples]


def _ranks(scores: Tensor, answers: Sequence[str], candidates: Sequence[str]) -> NDArray[np.int64]:
    """How many other candidates score as high as the right one: (B,); of NaN, all do."""
    places = {candidate: place for place, candidate in enumerate(candidates)}
    right = torch.tensor([places[answer] for answer in answers])
    own = scores.gather(1, right[:, None])
    return (~(scores < own)).sum(1).numpy() - 1
