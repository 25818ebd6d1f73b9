"""Trains and measures the two arms of the controlled comparison, step by step and resumably."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor, nn

from evidence.arms import (
    Arm,
    EmbeddingArm,
    TextSampler,
    TextStep,
    TokenArm,
    base_config,
    count,
    save_token_model,
)
from evidence.costs import measure_costs
from evidence.episodes import load_first
from evidence.kept import Kept, code, digest
from evidence.questions import Questions, chance, draw_questions, perfect_cider, score
from vljepa_ros.errors import DivergedError
from vljepa_ros.model import VLJEPA, save_checkpoint
from vljepa_ros.model.config import PredictorConfig, YDecoderConfig
from vljepa_ros.runtime.frames import FrameEncoder
from vljepa_ros.training.config import StageConfig, TrainConfig
from vljepa_ros.training.dataset import KIND_WEIGHTS, Sampler
from vljepa_ros.training.features import Episode, load_pictures
from vljepa_ros.training.loop import training_words
from vljepa_ros.training.optimise import run_stage

ARMS = ("vl-jepa", "vlm")
_CHECKPOINTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of the steps
_TRIAL_SEED = 1000  # of the runs that choose the learning rate; none of those that are told
_SEED = 0  # of the Y-Decoder and of the questions, the same for all runs
_SAVE_EVERY = 200  # steps
# Narrower than the shipped model's and with half the layers, for the time: without bf16 two cores
# need about two hours for all of it. Without dropout, since nothing is seen often enough to be
# learned by heart.
_PREDICTOR = PredictorConfig(width=128, layers=2, heads=2, kv_heads=2, ffn_width=352)
_DECODER = YDecoderConfig(width=192, layers=3, heads=3, ffn_width=512)


@dataclass(frozen=True)
class Settings:
    """How large the comparison is."""

    predictor: PredictorConfig = _PREDICTOR  # of VL-JEPA; the VLM's is twice as large
    decoder: YDecoderConfig = _DECODER
    episodes: tuple[tuple[str, int], ...] = (("tabletop", 400), ("composites", 200))  # to train on
    held_out: tuple[tuple[str, int], ...] = (("val", 50), ("test", 200))  # of each source
    steps: int = 1024  # of training, a multiple of 32
    batch_size: int = 32
    warmup_steps: int = 16
    seeds: tuple[int, ...] = (0, 1, 2)
    rates: tuple[float, ...] = (2.5e-4, 7e-4, 2e-3)  # of learning, tried on "val"
    trial_steps: int = 512  # of each rate; after 256 the highest still looked best
    decoder_steps: int = 3000
    decoder_rate: float = 1e-3
    # Strong, as in CapDec (arXiv 2211.00575), whose decoder knows texts alone too.
    decoder_noise: float = 1.5
    questions: int = 100  # captions of each source, and things to be named
    rounds: int = 60  # of the inference costs
    precision: str = "fp32"  # of the transformers while they train


class Comparison:
    """The comparison of one size; all that it makes is kept in a folder named after the size.

    Args:
        data: folder of `vljepa data`.
        work: folder of this claim.
        settings: sizes.
        progress: where to show bars.
    """

    def __init__(self, data: Path, work: Path, settings: Settings, progress: Progress) -> None:
        self.data, self.settings, self.progress = data, settings, progress
        self.kept = Kept(work / f"{settings.steps}-{digest(settings, code())}")
        torch.manual_seed(_SEED)  # of the Y-Decoder's start
        self.base = VLJEPA(base_config(settings.predictor, settings.decoder)).eval()
        self.base.load_pretrained()
        self.encoder = FrameEncoder(self.base.x_encoder, self.base.image_size)
        loaded = self._load("train", dict(settings.episodes))
        self.episodes = [episode for episodes in loaded.values() for episode in episodes]
        self.base.learn_words(training_words(self._sampler(Sampler, 0)))
        self.known: dict[str, Tensor] = {}
        self._drawn: dict[str, dict[str, Questions]] = {}
        self._train_decoder()

    def run(self) -> dict[str, Any]:
        """See `evidence.prediction`."""
        curves = {name: [self.curve(name, s) for s in self.settings.seeds] for name in ARMS}
        arms = {name: self.final(name) for name in ARMS}
        for name in ARMS:
            self.saved(name)
        asked = self.asked("test")
        return {
            "settings": asdict(self.settings),
            "samples": [steps * self.settings.batch_size for steps in self._checkpoints()],
            "parameters": {name: _trained(arm.step) for name, arm in arms.items()},
            "decoder_parameters": count(self.base.y_decoder),
            "decoder_texts": self.settings.decoder_steps * self.settings.batch_size,
            "rates": {name: self._rates(name) for name in ARMS},
            "curves": curves,
            "chance": {source: chance(questions) for source, questions in asked.items()},
            "perfect": {source: perfect_cider(questions) for source, questions in asked.items()},
            "labels": {source: len(questions.labels) for source, questions in asked.items()},
            "costs": self.kept.once("costs", lambda: self._costs(arms)),
        }

    def curve(self, name: str, seed: int) -> list[dict[str, dict[str, float]]]:
        """Scores of an arm on the test split at each checkpoint, by source."""
        rate = self._rates(name)["chosen"]
        return [
            self.kept.once(
                f"{name}-{seed}-{rate:g}-{steps}",
                lambda steps=steps: self._score(self._train(name, seed, rate, steps), "test"),
            )
            for steps in self._checkpoints()
        ]

    def final(self, name: str) -> Arm:
        """An arm at its end, of the first seed."""
        seed = self.settings.seeds[0]
        self.curve(name, seed)
        return self._train(name, seed, self._rates(name)["chosen"], self.settings.steps)

    def saved(self, name: str) -> Path:
        """Folder of the weights of `final`, which is made where it is missing."""
        folder = self.kept.folder / name
        if not folder.is_dir():
            part = folder.with_name(f"{name}.part")
            arm = self.final(name)
            if isinstance(arm, EmbeddingArm):
                save_checkpoint(arm.model, part)
            else:
                assert isinstance(arm, TokenArm)
                save_token_model(arm.model, part)
            part.rename(folder)
        return folder

    def _rates(self, name: str) -> dict[str, Any]:
        """The learning rate whose short run scores best on the validation split, and the scores.

        The score is the mean of three shares: of the perfect CIDEr, of top-1, and of VQA. A rate
        without another is not tried, and one by which training diverges has the score 0.
        """
        rates = self.settings.rates
        if len(rates) == 1:
            return {"scores": {}, "chosen": rates[0]}

        def tried(rate: float) -> float:
            try:
                arm = self._train(name, _TRIAL_SEED, rate, self.settings.trial_steps)
            except DivergedError:
                return 0.0
            scored, asked = self._score(arm, "val"), self.asked("val")
            shares = [
                (values["cider"] / perfect_cider(asked[source]), values["top1"], values["vqa"])
                for source, values in scored.items()
            ]
            return float(np.mean(shares))

        scores = {
            f"{rate:g}": self.kept.once(f"{name}-rate-{rate:g}", lambda rate=rate: tried(rate))
            for rate in rates
        }
        return {"scores": scores, "chosen": float(max(scores, key=lambda rate: scores[rate]))}

    def _train(self, name: str, seed: int, rate: float, steps: int) -> Arm:
        """An arm after so many steps; goes on from an earlier checkpoint, if there is one."""
        arm: Arm
        if name == "vl-jepa":
            arm = EmbeddingArm(self.base, seed, self.known)
        else:
            arm = TokenArm(self.base, seed)
        sizes = self.settings
        # Constant, as the paper's (section 3.2): so each checkpoint is a run of its length.
        stage = StageConfig(
            steps, sizes.batch_size, rate, warmup_steps=sizes.warmup_steps, decay=False
        )
        self._run_stage(f"{name}-{seed}-{rate:g}", arm.step, self._sampler(Sampler, seed), stage)
        arm.step.eval()
        return arm

    def _train_decoder(self) -> None:
        sizes = self.settings
        stage = StageConfig(sizes.decoder_steps, sizes.batch_size, sizes.decoder_rate)
        step = TextStep(self.base, sizes.decoder_noise)
        self._run_stage("y-decoder", step, self._sampler(TextSampler, 0), stage)
        self.base.eval()

    def _run_stage(self, name: str, step: nn.Module, sampler: Sampler, stage: StageConfig) -> None:
        folder = self.kept.folder
        # Training never goes back: a run that is beyond begins anew, and comes to the same.
        done = [int(p.name.removeprefix("step-")) for p in folder.glob(f"{name}/step-*")]
        if done and max(done) > stage.steps:
            shutil.rmtree(folder / name)
        config = TrainConfig(
            self.base.config,
            stage,
            stage,
            precision=self.settings.precision,
            seed=sampler.seed,
            save_every=_SAVE_EVERY,
        )
        trained = [p for p in step.parameters() if p.requires_grad]
        groups = [{"params": trained, "lr": stage.learning_rate}]
        run_stage(name, step, groups, sampler, stage, config, folder, self.progress)

    def _sampler(self, kind: type[Sampler], seed: int) -> Sampler:
        """Without hard negatives, which only one of the arms could learn from."""
        return kind(self.episodes, self.base.window, KIND_WEIGHTS, seed, negatives=0)

    def _load(self, split: str, counts: Mapping[str, int]) -> dict[str, list[Episode]]:
        return load_first(self.data, split, counts, self.encoder, self.progress)

    def asked(self, split: str) -> dict[str, Questions]:
        """Questions about a split, by source; the same ones for all."""
        if split not in self._drawn:
            held, count = dict(self.settings.held_out)[split], self.settings.questions
            loaded = self._load(split, {source: held for source, _ in self.settings.episodes})
            self._drawn[split] = {
                source: draw_questions(episodes, self.base.window, count, _SEED)
                for source, episodes in loaded.items()
            }
        return self._drawn[split]

    def _score(self, arm: Arm, split: str) -> dict[str, dict[str, float]]:
        return {source: score(arm, asked) for source, asked in self.asked(split).items()}

    def _costs(self, arms: Mapping[str, Arm]) -> dict[str, Any]:
        source, questions = next(iter(self.asked("test").items()))
        episodes = load_pictures(self.data, (source,), "test", self.base.image_size)
        ours, theirs = arms["vl-jepa"], arms["vlm"]
        assert isinstance(ours, EmbeddingArm) and isinstance(theirs, TokenArm)
        return measure_costs(ours, theirs, episodes, questions.labels, self.settings.rounds)

    def _checkpoints(self) -> list[int]:
        return [round(self.settings.steps * part) for part in _CHECKPOINTS]


def _trained(step: nn.Module) -> int:
    return sum(p.numel() for p in step.parameters() if p.requires_grad)
