"""What a model is asked on held-out episodes; the same seed asks the same."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from vljepa_ros.model.config import WindowConfig
from vljepa_ros.training.dataset import Sampler
from vljepa_ros.training.features import Episode
from vljepa_ros.training.language import Sample, make_sample, name_of, with_article

Draw = tuple[Sample, Episode, list[int]]  # as `Sampler.draw` returns it

CHOICE_KINDS = (
    *("color", "count", "where", "exists", "direction"),
    *("lamp", "furniture", "lamp_state", "furniture_state"),
)
TOLD_KINDS = ("caption", "event", "what", "count", "where", "exists", "holding")  # in free words


def draw_trials(
    episodes: Sequence[Episode], window: WindowConfig, kind: str, count: int, seed: int
) -> list[Draw]:
    """`count` questions of one kind, a key of `language.KINDS`."""
    sampler = Sampler(episodes, window, {kind: 1.0}, seed)
    return [sampler.draw() for _ in range(count)]


def draw_distinct(
    episodes: Sequence[Episode], window: WindowConfig, kind: str, count: int, seed: int
) -> list[Draw]:
    """As `draw_trials`, with answers that all mean something else, as many as there are."""
    found: dict[str, Draw] = {}
    for draw in draw_trials(episodes, window, kind, 20 * count, seed):
        found.setdefault(draw[0].meaning, draw)
    return list(found.values())[:count]


def draw_labels(
    drawn: Sequence[Draw], labels: Sequence[str], ways: int, seed: int
) -> list[list[str]]:
    """For each draw its plainest answer, then `ways` - 1 of the other labels."""
    random = Random(seed)
    choices = []
    for sample, _, _ in drawn:
        answer = sample.answers[0]
        others = [label for label in labels if label != answer]
        choices.append([answer, *random.sample(others, ways - 1)])
    return choices


def names_shown(episodes: Sequence[Episode]) -> list[str]:
    """All things that the episodes show, with their articles, sorted."""
    names = {name_of(e.facts, o["id"]) for e in episodes for o in e.facts["objects"]}
    return sorted(with_article(name) for name in names)


def is_right(text: str, sample: Sample) -> bool:
    """Whether a decoded text is one of the answer's wordings, word for word."""
    return text.lower() in (answer.lower() for answer in sample.answers)


def is_asked(episodes: Sequence[Episode], kind: str) -> bool:
    """False for kinds that these episodes never give rise to, for example lamps."""
    random = Random(0)
    return any(
        make_sample(e.facts, max(0, last - 1), last, kind, random) is not None
        for e in episodes
        for last in range(len(e.frames))
    )
