"""What a training run is told, read from YAML under config/models/."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model.config import VLJEPAConfig
from vljepa_ros.model.strict import at_least, build
from vljepa_ros.training.dataset import HARD_NEGATIVES
from vljepa_ros.training.objective import MIN_TEMPERATURE, check_objective


@dataclass(frozen=True)
class StageConfig:
    """One stage of training."""

    steps: int  # optimiser steps
    batch_size: int  # samples that are compared with each other, over all processes
    learning_rate: float  # peak, after the warm-up
    accumulate: int = 1  # batches a step
    warmup_steps: int = 100
    decay: bool = True  # of the learning rate, as a cosine to zero; if not, it is constant
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        at_least("a stage", 1, steps=self.steps, accumulate=self.accumulate)
        at_least("a stage", 0, warmup_steps=self.warmup_steps, weight_decay=self.weight_decay)
        if not 0 < self.learning_rate < math.inf:
            raise CheckpointError(f"learning_rate is {self.learning_rate}; give one above 0")


@dataclass(frozen=True)
class TrainConfig:
    """A model and how to train it.

    Raises:
        CheckpointError: a precision or an objective that there is not, no Y-Decoder, or a number
            that nothing can be trained with.
    """

    model: VLJEPAConfig
    finetuning: StageConfig  # on questions, captions and classes, the query told
    decoder: StageConfig  # Y-Decoder, on frozen embeddings
    pretraining: StageConfig | None = None  # on captions, without a query (paper section 3.2)
    sources: tuple[str, ...] = ("tabletop", "composites")
    objective: str = "infonce"  # infonce, cosine, l1, l2, vicreg or sigreg
    temperature: float = 0.07  # of infonce, to begin with
    learn_temperature: bool = True
    hard_negatives: int = HARD_NEGATIVES  # answers nearly right, for each sample; at most so many
    y_encoder_lr_multiplier: float = 0.05  # paper section 3.1
    decoder_noise: float = 0.6  # largest length of the noise added to a unit embedding
    precision: str = "fp32"  # of the forward passes: fp32 or bf16
    workers: int = 0  # processes that read frames; 0: the training process itself
    seed: int = 0
    save_every: int = 100  # steps between two checkpoints

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise CheckpointError(f"precision is fp32 or bf16, not {self.precision!r}")
        check_objective(self.objective)
        at_least("training", 1, save_every=self.save_every)
        at_least("training", 0, workers=self.workers, decoder_noise=self.decoder_noise)
        at_least("training", 0, seed=self.seed)
        at_least("training", 0, y_encoder_lr_multiplier=self.y_encoder_lr_multiplier)
        if not 0 <= self.hard_negatives <= HARD_NEGATIVES:
            raise CheckpointError(
                f"hard_negatives is {self.hard_negatives}; give 0 to {HARD_NEGATIVES}"
            )
        if not MIN_TEMPERATURE <= self.temperature < math.inf:
            raise CheckpointError(
                f"temperature is {self.temperature}; give at least {MIN_TEMPERATURE}, below which "
                "the logits overflow"
            )
        if not self.model.y_decoder.decodes:
            raise CheckpointError(
                "y_decoder.kind is none, which cannot be trained; choose another"
            )

    @classmethod
    def from_yaml(cls, path: Path) -> TrainConfig:
        """Read a file of config/models/.

        Raises:
            CheckpointError: the file is missing, has a key that no field has, or a value that
                cannot be trained with.
        """
        values = read_yaml(path)
        if missing := sorted({"finetuning", "decoder"} - values.keys()):
            raise CheckpointError(f"{path} describes no training: it lacks the stages {missing}")
        try:
            return build(cls, values, str(path))
        except TypeError as error:
            raise CheckpointError(f"{path}: {error}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """A file of config/models/, its keys checked.

    Raises:
        CheckpointError: the file is missing, has a key that no field of TrainConfig has, or no
            model.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    known = {f.name for f in fields(TrainConfig)}
    if not isinstance(values, Mapping) or set(values) - known or "model" not in values:
        raise CheckpointError(f"{path} must have a model, and only the keys {sorted(known)}")
    return dict(values)
