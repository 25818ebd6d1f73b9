"""The two arms of the controlled comparison (paper section 4.5): embeddings against tokens.

Both read the same cached tokens of the frozen X-Encoder through blocks of the same kind, and know
words by the same frozen MiniLM: VL-JEPA as the space of its targets, the VLM as the table of its
words. Both start from random numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from evidence.token_model import TokenModel, TokenStep
from vljepa_ros.errors import InputError
from vljepa_ros.model import VLJEPA, VLJEPAConfig
from vljepa_ros.model.config import (
    MiniLMConfig,
    NoDecoderConfig,
    PredictorConfig,
    WindowConfig,
    YDecoderConfig,
)
from vljepa_ros.model.predictor import Predictor
from vljepa_ros.training.dataset import Batch, Sampler
from vljepa_ros.training.objective import InfoNCE
from vljepa_ros.training.steps import AlignmentStep, DecodingStep, Texts

_WEIGHTS, _CONFIG = "model.safetensors", "config.json"


class Arm(Protocol):
    """What is trained and measured.

    Attributes:
        name: as the results call it.
        step: turns a Batch into its loss.
    """

    name: str
    step: nn.Module

    def captions(self, windows: Tensor, queries: Sequence[str]) -> list[str]:
        """What it says to B queries about windows (B, T, N, C) float32."""

    def scores(self, windows: Tensor, queries: Sequence[str], candidates: Sequence[str]) -> Tensor:
        """How well each of K answers fits, (B, K): higher is better."""


def base_config(
    predictor: PredictorConfig, decoder: YDecoderConfig | NoDecoderConfig
) -> VLJEPAConfig:
    """A VL-JEPA of the shipped model's parts, whose Y-Encoder is MiniLM as published."""
    return VLJEPAConfig(
        name="evidence",
        window=WindowConfig(tubelet=4),
        predictor=predictor,
        y_encoder=MiniLMConfig(trained_layers=0),
        y_decoder=decoder,
    )


class EmbeddingArm:
    """VL-JEPA: InfoNCE towards the frozen Y-Encoder, against the answers of the batch alone.

    Args:
        base: with the frozen parts and a trained Y-Decoder.
        seed: of the predictor's random start.
        known: token states of texts, kept between arms.
    """

    name = "vl-jepa"

    def __init__(self, base: VLJEPA, seed: int, known: dict[str, Tensor]) -> None:
        self.model = deepcopy(base).requires_grad_(False)
        config = base.config
        torch.manual_seed(seed)
        self.model.predictor = Predictor(
            config.predictor,
            base.window,
            base.x_encoder,
            base.query.dim,
            config.embedding_dim,
        )
        self.step = AlignmentStep(self.model, InfoNCE(), negatives=0)
        self.step.texts = Targets(self.model)
        self.step.texts.known = known

    def captions(self, windows: Tensor, queries: Sequence[str]) -> list[str]:
        """See `Arm`: the prediction through the Y-Decoder."""
        return self.model.decode(self.model.predict(windows, queries))[0]

    def scores(self, windows: Tensor, queries: Sequence[str], candidates: Sequence[str]) -> Tensor:
        """See `Arm`: cosines."""
        texts = self.step.texts.embed(candidates)
        return self.model.predict(windows, queries) @ texts.T


class Targets(Texts):
    """Embeds in full precision while training too, so that it does not matter who asks first."""

    def embed(self, texts: Sequence[str]) -> Tensor:
        """See `Texts`."""
        with torch.autocast(self.y_encoder.head.weight.device.type, enabled=False):
            return super().embed(texts)


class TokenArm:
    """A token-space VLM with twice the trainable parameters, as near as whole layers allow.

    Args:
        base: with the frozen parts, whose predictor is to be doubled.
        seed: of the random start.
    """

    name = "vlm"

    def __init__(self, base: VLJEPA, seed: int) -> None:
        torch.manual_seed(seed)
        self.model = TokenModel(doubled(base), base, base.y_decoder.token_ids)
        self.step = TokenStep(self.model)

    def captions(self, windows: Tensor, queries: Sequence[str]) -> list[str]:
        """See `Arm`: greedy decoding."""
        return self.model.generate(windows, queries)

    def scores(self, windows: Tensor, queries: Sequence[str], candidates: Sequence[str]) -> Tensor:
        """See `Arm`: minus the logarithm of the perplexity."""
        return self.model.rank(windows, queries, candidates)


def doubled(base: VLJEPA) -> PredictorConfig:
    """The predictor's configuration with the layers that twice its parameters buy."""
    layers = base.predictor.transformer.layers
    more = count(base.predictor) / count(layers[0])
    return replace(base.config.predictor, layers=len(layers) + round(more))


def count(module: nn.Module) -> int:
    """Parameters of a module, frozen ones included."""
    return sum(parameter.numel() for parameter in module.parameters())


class TextStep(DecodingStep):
    """Trains the Y-Decoder on texts alone, as SONAR's was: it never reads what a picture gave."""

    def embed(self, batch: Batch) -> Tensor:
        """Points between two wordings of each answer: (B, D)."""
        return self.texts.embed_between(batch.texts, batch.others)


class TextSampler(Sampler):
    """Draws the same texts as a Sampler, without reading a frame."""

    def batch(self, number: int, size: int, part: int = 0, parts: int = 1) -> Batch:
        """See `Sampler`; `frames`, `shown`, `meanings` and `negatives` are empty."""
        self.random.seed(f"{self.seed}/{number}")
        samples = [self.draw()[0] for _ in range(size)]
        texts, others = ([self.random.choice(s.answers) for s in samples] for _ in range(2))
        nothing = torch.empty(size)
        whole = Batch(nothing, nothing, samples, texts, others, nothing, [[]] * size)
        return whole.part(part * size // parts, (part + 1) * size // parts)


def save_token_model(model: TokenModel, folder: Path) -> None:
    """Write what `load_token_model` reads, without what is frozen."""
    folder.mkdir(parents=True, exist_ok=True)
    frozen = tuple(f"query.{name}" for name in model.query.state_dict())
    state = {k: v.contiguous() for k, v in model.state_dict().items() if k not in frozen}
    save_file(state, folder / _WEIGHTS)
    (folder / _CONFIG).write_text(json.dumps(asdict(model.body.config)), encoding="utf-8")


def find_token_model(work: Path) -> Path:
    """Folder of the token-space VLM that claim 1 trained.

    Args:
        work: folder of claim 1; of several runs in it the newest of the most steps is taken.

    Raises:
        InputError: there is none.
    """
    found = list(work.glob(f"*/{TokenArm.name}/{_CONFIG}"))
    if not found:
        raise InputError(f"no token-space VLM in {work}; run: make evidence")
    return max(found, key=_steps_and_time).parent


def _steps_and_time(config: Path) -> tuple[int, int]:
    run = config.parents[1].name
    return int(run.partition("-")[0]), config.stat().st_mtime_ns


def load_token_model(folder: Path) -> TokenModel:
    """What `save_token_model` wrote to a folder, for evaluation."""
    config = PredictorConfig(**json.loads((folder / _CONFIG).read_text("utf-8")))
    state = load_file(folder / _WEIGHTS)
    base = VLJEPA(base_config(config, NoDecoderConfig()))
    base.load_pretrained()
    model = TokenModel(config, base, state["words"])
    model.load_state_dict(state, strict=False)
    return model.eval()
