"""Measures a model on held-out episodes, beside chance and beside answering blindly."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional as F

from vljepa_ros.model import VLJEPA
from vljepa_ros.model.checkpoint import is_dual_encoder, load_checkpoint
from vljepa_ros.model.config import WindowConfig
from vljepa_ros.runtime import Engine
from vljepa_ros.runtime.engine import LABEL_QUERY, STREAM_QUERY
from vljepa_ros.streaming.gate import ChangeGate, GateConfig, Trigger
from vljepa_ros.training.dataset import Sampler, window_frames
from vljepa_ros.training.features import Encoded, Episode, load_episodes, load_pictures
from vljepa_ros.training.metrics import Metric
from vljepa_ros.training.paraphrases import caption_triplets, triplet_metric, written_triplets
from vljepa_ros.training.photographs import draw_choices, load_photographs
from vljepa_ros.training.shards import sources_with
from vljepa_ros.training.sources import SourceError
from vljepa_ros.training.trials import (
    CHOICE_KINDS,
    TOLD_KINDS,
    Draw,
    draw_distinct,
    draw_labels,
    draw_trials,
    is_asked,
    is_right,
    names_shown,
)

_log = logging.getLogger(__name__)

_POOL = 100  # texts that a window's own is searched among
_WAYS = 10  # labels of a classification
_SHARES = ("value", "chance")
_ALIKE = 0.9999  # least cosine of embeddings that differ by rounding, to fp16 the most


def own_tokens(folder: Path) -> str | None:
    """Fingerprint of the stored tokens that are what a model makes; None where it makes others.

    That is so where `vljepa data` stores none, and where the model was trained with other
    embeddings of its classes' names than `vljepa data` makes today.

    Args:
        folder: of the model.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    if is_dual_encoder(folder):
        return None
    model = load_checkpoint(folder)
    if not model.x_encoder.frame_wise:
        return None
    published = VLJEPA(model.config)
    published.load_pretrained()
    pairs = model.x_encoder.class_embeddings, published.x_encoder.class_embeddings
    alike = bool((F.cosine_similarity(*pairs) > _ALIKE).all())
    return published.x_encoder.fingerprint() if alike else None


@dataclass(frozen=True)
class DecodeCount:
    """Decodes that the gate asked for, over all frames and all true events of the streams.

    `first` of them only open a stream and answer no event.
    """

    decoded: int
    first: int
    frames: int
    events: int


class Evaluation:
    """Metrics of one engine on one split.

    Args:
        engine: the model.
        data: folder that `vljepa data` filled.
        split: "val" or "test".
        seed: of the drawn windows; the same seed asks the same questions.
        trials: questions of each kind.
        fingerprint: of the stored tokens that are the engine's own, see `own_tokens`; None to let
            it encode the frames, and keep their tokens (vljepa-tiny's test split: 1.7 GB).

    Raises:
        InputError: a shard has no tokens, or those of another X-Encoder.
    """

    def __init__(
        self,
        engine: Engine,
        data: Path,
        split: str,
        seed: int = 0,
        trials: int = 400,
        fingerprint: str | None = None,
    ) -> None:
        self.engine = engine
        self.count = trials
        self.other: Random | None = None  # draws the episode that is shown instead
        self.seed = seed
        self.split, self.fingerprint = split, fingerprint
        self.cache = data / "sources"
        self.window = WindowConfig(engine.info.window_frames, engine.info.window_period, 1)
        self.sources = {s: self._load(data, s, split) for s in sources_with(data, split)}

    def _load(self, data: Path, source: str, split: str) -> list[Episode]:
        info = self.engine.info
        if info.frame_tokens is not None and self.fingerprint is not None:
            return load_episodes(data, (source,), split, info.frame_tokens, self.fingerprint)
        episodes = load_pictures(data, (source,), split, info.input_width)
        if info.frame_tokens is None and info.conditioned:
            return episodes  # it encodes whole windows, of such pictures
        encode = self.engine.encode_frames
        return [replace(e, frames=Encoded(e.frames, encode)) for e in episodes]

    def blinded(self) -> Evaluation:
        """The same questions about another episode's frames: the floor to compare with.

        What a metric still reaches there comes from the words and frequencies of the questions.
        """
        other = copy.copy(self)
        other.other = Random(self.seed)
        return other

    def run(self) -> list[Metric]:
        """All metrics of the sources that have episodes; photographs on the test split only.

        What texts alone decide is left out of a blind run.
        """
        metrics = []
        for source, episodes in self.sources.items():
            metrics.append(self.retrieval(source, episodes))
            metrics.append(self.classification(source, episodes))
            metrics.append(self.event_choice(source, episodes))
            metrics += self.questions(source, episodes)
            if self.engine.info.decodes:
                metrics += self.told(source, episodes)
        if self.other is None:
            metrics += self.paraphrases()
        if self.split == "test":
            try:
                metrics += self.photographs()
            except SourceError as error:
                _log.warning("The photographs are left out: %s", error)
        return metrics

    def retrieval(self, source: str, episodes: Sequence[Episode]) -> Metric:
        """Text-to-video recall@1: the window that a caption belongs to, among 100.

        Fewer, and chance is higher, where the episodes' captions do not mean 100 things.
        """
        hits = trials = 0
        pools = max(1, self.count // _POOL)
        for pool in range(pools):
            drawn = draw_distinct(episodes, self.window, "caption", _POOL, self.seed + pool)
            videos = np.concatenate([self._predict(draw) for draw in drawn])
            texts = self.engine.encode_text([sample.answers[0] for sample, _, _ in drawn])
            hits += int(((texts @ videos.T).argmax(1) == np.arange(len(drawn))).sum())
            trials += len(drawn)
        # A guess finds one window of each pool, whatever the pool's size.
        name = f"{source}: retrieval recall@1 of {_POOL}"
        return Metric(name, hits / trials, pools / trials, trials)

    def classification(self, source: str, episodes: Sequence[Episode]) -> Metric:
        """Open-vocabulary classification of one object among ten names of the split."""
        drawn = self._draw(episodes, "what")
        name = f"{source}: {_WAYS}-way classification"
        return self._choose(name, drawn, names_shown(episodes))

    def event_choice(self, source: str, episodes: Sequence[Episode]) -> Metric:
        """What happened, among ten event sentences of the split."""
        drawn = self._draw(episodes, "event")
        sentences = sorted({sample.answers[0] for sample, _, _ in drawn})
        return self._choose(f"{source}: {_WAYS}-way event", drawn, sentences)

    def questions(self, source: str, episodes: Sequence[Episode]) -> list[Metric]:
        """Discriminative VQA: one metric for each kind of question, and their mean."""
        metrics = []
        for kind in CHOICE_KINDS:
            if not is_asked(episodes, kind):
                continue
            drawn = self._draw(episodes, kind)
            right = 0
            for draw in drawn:
                sample = draw[0]
                ranking = self.engine.rank(self._predict(draw)[0], sample.choices)
                right += sample.choices[ranking.best] == sample.answers[0]
            chance = 1 / len(drawn[0][0].choices)
            metrics.append(Metric(f"{source}: VQA {kind}", right / len(drawn), chance, len(drawn)))
        value, chance = (float(np.mean([getattr(m, f) for m in metrics])) for f in _SHARES)
        trials = sum(m.trials for m in metrics)
        return [*metrics, Metric(f"{source}: VQA, mean of kinds", value, chance, trials)]

    def told(self, source: str, episodes: Sequence[Episode]) -> list[Metric]:
        """Free answers: the decoded text must be a wording of the answer, word for word.

        Chance is one guess among the answers that occur.
        """
        metrics = []
        for kind in (kind for kind in TOLD_KINDS if is_asked(episodes, kind)):
            drawn = self._draw(episodes, kind)
            # One by one, as the nodes do: in int8 texts that are decoded together share scales.
            decoded = [self.engine.decode(self._predict(draw))[0] for draw in drawn]
            pairs = zip(decoded, drawn, strict=True)
            right = sum(is_right(text.text, sample) for text, (sample, _, _) in pairs)
            chance = 1 / len({sample.meaning for sample, _, _ in drawn})
            name = f"{source}: {kind} in free words"
            metrics.append(Metric(name, right / len(drawn), chance, len(drawn)))
        return metrics

    def paraphrases(self) -> list[Metric]:
        """Whether paraphrases are nearer than changes of one attribute, for texts alone."""
        embed = self.engine.encode_text
        metrics = [triplet_metric("paraphrases: by hand", embed, written_triplets())]
        for source, episodes in self.sources.items():
            sampler = Sampler(episodes, self.window, {"caption": 1.0, "event": 1.0}, self.seed)
            if triplets := caption_triplets(sampler, self.count):
                metrics.append(triplet_metric(f"paraphrases: {source}", embed, triplets))
        return metrics

    def photographs(self) -> list[Metric]:
        """Labels of everyday photographs, as the embedder gives them: of ten and of the whole set.

        A photograph fills the window by itself, as the first image of a stream does.

        Raises:
            SourceError: the photographs cannot be fetched.
        """
        photographs = load_photographs(self.cache)
        labels = sorted({photograph.label for photograph in photographs})
        ways = min(_WAYS, len(labels))
        of_ten = of_all = 0
        for photograph, choices in zip(photographs, draw_choices(photographs, ways), strict=True):
            shown = photograph
            if self.other is not None:
                shown = self.other.choice([p for p in photographs if p.label != photograph.label])
            tokens = list(self.engine.encode_frames([shown.rgb]))
            predicted = self.engine.predict(tokens, [LABEL_QUERY])[0]
            of_ten += self.engine.rank(predicted, choices).best == 0
            of_all += labels[self.engine.rank(predicted, labels).best] == photograph.label
        trials = len(photographs)
        return [
            Metric("photographs: label of ten", of_ten / trials, 1 / ways, trials),
            Metric("photographs: label of all", of_all / trials, 1 / len(labels), trials),
        ]

    def decodes(self, config: GateConfig) -> DecodeCount:
        """Lets the gate watch every episode as a stream of its own."""
        decoded = first = frames = events = 0
        for episode in (e for episodes in self.sources.values() for e in episodes):
            gate = ChangeGate(config)
            period = int(episode.facts["frame_period"] * 1e9)
            for last in range(len(episode.frames)):
                window = window_frames(episode, last, self.window)
                embedding = self._embed(episode, window, STREAM_QUERY)[0]
                shift = gate.update(last * period, embedding)
                decoded += shift is not None
                first += shift is not None and shift.trigger == Trigger.FIRST
            frames += len(episode.frames)
            events += len(episode.facts["events"])
        return DecodeCount(decoded, first, frames, events)

    def _choose(self, name: str, drawn: Sequence[Draw], labels: Sequence[str]) -> Metric:
        """Share of draws whose plainest answer is the nearest of ten labels."""
        ways = min(_WAYS, len(labels))
        choices = draw_labels(drawn, labels, ways, self.seed)
        right = 0
        for draw, some in zip(drawn, choices, strict=True):
            right += self.engine.rank(self._predict(draw)[0], some).best == 0
        return Metric(name, right / len(drawn), 1 / ways, len(drawn))

    def _draw(self, episodes: Sequence[Episode], kind: str) -> list[Draw]:
        return draw_trials(episodes, self.window, kind, self.count, self.seed)

    def _predict(self, draw: Draw) -> NDArray[np.float32]:
        sample, episode, frames = draw
        if self.other is not None:
            (drawn_from,) = (s for s in self.sources.values() if any(e is episode for e in s))
            episodes = [e for e in drawn_from if e is not episode]
            episode = self.other.choice(episodes or [episode])
            frames = [min(frame, len(episode.frames) - 1) for frame in frames]
        return self._embed(episode, frames, sample.query)

    def _embed(self, episode: Episode, frames: list[int], query: str) -> NDArray[np.float32]:
        return self.engine.predict(list(episode.frames[frames]), [query])
