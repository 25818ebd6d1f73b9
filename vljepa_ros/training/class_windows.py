"""Windows that show a class of ImageNet, as far as their class tokens tell.

The cut-outs show a few hundred things, the X-Encoder's own head knows a thousand. The class
tokens of some training windows are replaced by those of a class that the head could have seen, so
that the predictor learns to pass on what is recognised, whatever it is: a distillation of the head
into the shared space for which no picture is needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor

from vljepa_ros.training import phrases
from vljepa_ros.training.language import Sample, with_article

_CERTAINTY = (0.35, 1.0)  # of the class; lowest and highest
_NEAR = 5  # classes before and after; ImageNet's order keeps like things together
_DOUBTS = 4  # other classes that share the rest
_QUARTER_SEES = 0.5  # how often a quarter of the frame sees the class as well


class ClassWindows:
    """Draws classes.

    Args:
        names: of the classes.
        embeddings: (classes, D) of their names.
        class_tokens: K, the last tokens of a frame.
    """

    def __init__(self, names: Sequence[str], embeddings: Tensor, class_tokens: int) -> None:
        self.names = [re.sub(r"\s*\(.*?\)", "", name).lower() for name in names]
        self.embeddings = embeddings
        self.class_tokens = class_tokens

    def words(self) -> list[str]:
        """All answers."""
        return [answer for name in self.names for answer in _answers(name)]

    def draw(self, random: Random, count: int) -> tuple[Sample, list[str], Tensor]:
        """A window that shows a random class.

        Args:
            random: source of all choices.
            count: of wrong answers.

        Returns:
            A question about it; wrong answers: names of other classes, half of them like it; and
            the class tokens of all its frames, (K, D), NaN where they stay as they are.
        """
        number = random.randrange(len(self.names))
        name, near = self.names[number], self._near(number)
        doubts = random.sample(near, _DOUBTS)
        shares = torch.tensor([random.random() + 0.01 for _ in doubts])
        doubt = (shares / shares.sum()) @ self.embeddings[doubts]
        shown = self.nothing()
        for row in range(self.class_tokens):
            if row == 0 or random.random() < _QUARTER_SEES:
                certainty = random.uniform(*_CERTAINTY)
                shown[row] = certainty * self.embeddings[number] + (1 - certainty) * doubt
        query = random.choice(phrases.WHAT_QUERIES)
        sample = Sample("what", query, _answers(name), f"thing {name}")
        others = random.sample(near, count // 2) + random.sample(range(len(self.names)), count)
        wrong = [self.names[i] for i in others if self.names[i] != name][:count]
        return sample, [random.choice(_answers(other)) for other in wrong], shown

    def nothing(self) -> Tensor:
        """What a window shows whose class tokens stay as they are: (K, D), all NaN."""
        return torch.full((self.class_tokens, self.embeddings.shape[1]), math.nan)

    def _near(self, number: int) -> list[int]:
        first, last = max(0, number - _NEAR), min(len(self.names) - 1, number + _NEAR)
        return [i for i in range(first, last + 1) if i != number]


def show_classes(window: Tensor, shown: Tensor) -> None:
    """Replace the class tokens of windows in place.

    Args:
        window: (B, T, N, C) tokens.
        shown: (B, K, D), of all frames of each; NaN where they stay as they are.
    """
    count, width = shown.shape[1:]
    if count:
        own = window[:, :, -count:, :width]
        own.copy_(torch.where(shown.isnan()[:, None], own, shown[:, None].to(own.dtype)))


def _answers(name: str) -> tuple[str, ...]:
    thing = with_article(name)
    return thing, f"it is {thing}", f"the {name}"
