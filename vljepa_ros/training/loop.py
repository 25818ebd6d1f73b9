"""The training loop: predictor and Y-Encoder head first, the Y-Decoder afterwards."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model import VLJEPA, save_checkpoint
from vljepa_ros.training.config import StageConfig, TrainConfig
from vljepa_ros.training.dataset import HARD_NEGATIVES, KIND_WEIGHTS, Batch, Sampler
from vljepa_ros.training.features import load_episodes
from vljepa_ros.training.objective import build_objective

_VOCABULARY_DRAWS = 30_000  # samples whose words the Y-Decoder learns
_TEXT_BATCH = 32  # texts embedded together


def train(config: TrainConfig, data: Path, run: Path) -> VLJEPA:
    """Train a model, or go on where an earlier run in the same folder stopped.

    Args:
        config: model and stages.
        data: folder that `vljepa data` filled.
        run: folder for the resumable state, the log and the finished `model/`.

    Raises:
        InputError: there are no episodes.
    """
    run.mkdir(parents=True, exist_ok=True)
    episodes = load_episodes(data, config.sources, "train")
    sampler = Sampler(episodes, config.model.window, KIND_WEIGHTS, config.seed)
    torch.manual_seed(config.seed)
    model = _new_model(config, sampler)
    _train_main(model, config, sampler, run)
    _train_decoder(model, config, sampler, run)
    save_checkpoint(model, run / "model")
    return model.eval()


def _new_model(config: TrainConfig, sampler: Sampler) -> VLJEPA:
    """A model whose Y-Decoder knows the words of the training texts."""
    words = {word for _ in range(_VOCABULARY_DRAWS) for word in sampler.draw()[0].answers}
    model = VLJEPA(config.model)
    model.learn_words(sorted(words))
    model.load_pretrained()
    return model


class TextVectors:
    """Sentence vectors of the Y-Encoder; while that is frozen, computed once a text."""

    def __init__(self, model: VLJEPA) -> None:
        self.model = model
        self.known: dict[str, Tensor] = {}

    def __call__(self, texts: list[str]) -> Tensor:
        """(B, text_dim) sentence vectors."""
        if self.model.y_encoder.frozen is None:
            return self.model.y_encoder.sentence_vectors(texts)
        # Texts of like length together, or most of the work would be padding.
        new = sorted({t for t in texts if t not in self.known}, key=lambda text: (len(text), text))
        for start in range(0, len(new), _TEXT_BATCH):
            some = new[start : start + _TEXT_BATCH]
            vectors = self.model.y_encoder.sentence_vectors(some)
            self.known.update(zip(some, vectors, strict=True))
        return torch.stack([self.known[t] for t in texts])

    def embed(self, texts: list[str]) -> Tensor:
        """(B, D) embeddings, through the head as it is now."""
        return F.normalize(self.model.y_encoder.head(self(texts)), dim=-1)

    def embed_between(self, pairs: list[list[str]]) -> Tensor:
        """Random points between two wordings of each answer, where predictions lie: (B, D)."""
        first, second = (self.embed([pair[side] for pair in pairs]) for side in (0, 1))
        return F.normalize(torch.lerp(first, second, torch.rand(len(pairs), 1)), dim=-1)


def _train_main(model: VLJEPA, config: TrainConfig, sampler: Sampler, run: Path) -> None:
    objective = build_objective(config.objective, config.temperature, config.learn_temperature)
    text = model.y_encoder.trained
    body = [*model.predictor.parameters(), *objective.parameters()]
    rate = config.main.learning_rate
    optimizer = torch.optim.AdamW(
        [
            {"params": body, "lr": rate},
            {"params": text.parameters(), "lr": rate * config.y_encoder_lr_multiplier},
        ],
        weight_decay=config.main.weight_decay,
    )
    vectors = TextVectors(model)
    model.train()

    def loss() -> Tensor:
        batch = sampler.batch(config.main.batch_size)
        with _precision(config):
            predicted = model(batch.tokens, [s.query for s in batch.samples])
        targets = vectors.embed(batch.texts)
        return objective(predicted.float(), targets, batch.meanings, _negatives(vectors, batch))

    modules = nn.ModuleDict({"predictor": model.predictor, "text": text, "objective": objective})
    _optimise("main", loss, modules, optimizer, config.main, config.save_every, run)


def _negatives(vectors: TextVectors, batch: Batch) -> Tensor:
    """Embeddings of the hard negatives, zero where a sample has fewer: (B, K, D)."""
    embedded = vectors.embed([text for texts in batch.negatives for text in texts])
    rows = embedded.split([len(texts) for texts in batch.negatives])
    return torch.stack([F.pad(row, (0, 0, 0, HARD_NEGATIVES - len(row))) for row in rows])


def _train_decoder(model: VLJEPA, config: TrainConfig, sampler: Sampler, run: Path) -> None:
    """Learn to say the plainest wording of an answer's embedding, predicted or true.

    Half of each batch are predicted embeddings of training windows, which lie apart from those
    of texts in a way that no noise of equal strength in all directions imitates.
    """
    model.requires_grad_(False).eval()
    decoder = model.y_decoder.trained.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        decoder.parameters(),
        lr=config.decoder.learning_rate,
        weight_decay=config.decoder.weight_decay,
    )
    vectors = TextVectors(model)

    def loss() -> Tensor:
        half = config.decoder.batch_size // 2
        seen = sampler.batch(half)
        told = [sampler.draw()[0] for _ in range(config.decoder.batch_size - half)]
        with _precision(config):
            predicted = model(seen.tokens, [s.query for s in seen.samples]).float()
        true = vectors.embed_between([sampler.random.choices(s.answers, k=2) for s in told])
        embeddings = _with_noise(torch.cat([predicted, true]), config.decoder_noise)
        answers = [s.answers[0] for s in [*seen.samples, *told]]
        tokens, mask = model.y_decoder.tokenize(answers)
        with _precision(config):
            logits = model.y_decoder(embeddings, tokens[:, :-1])
        return F.cross_entropy(logits.float()[mask[:, 1:]], tokens[:, 1:][mask[:, 1:]])

    modules = nn.ModuleDict({"y_decoder": decoder})
    _optimise("decoder", loss, modules, optimizer, config.decoder, config.save_every, run)


def _with_noise(embeddings: Tensor, longest: float) -> Tensor:
    """(B, D) unit vectors, each moved by a random vector of a length up to `longest`."""
    noise = F.normalize(torch.randn_like(embeddings), dim=-1)
    return F.normalize(embeddings + noise * torch.rand(len(noise), 1) * longest, dim=-1)


def _precision(config: TrainConfig) -> torch.autocast:
    """Context in which the transformers run while training."""
    return torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16")


def _optimise(
    name: str,
    loss: Callable[[], Tensor],
    modules: nn.ModuleDict,
    optimizer: torch.optim.Optimizer,
    stage: StageConfig,
    save_every: int,
    run: Path,
) -> None:
    """Run one stage with warm-up, cosine decay, clipping, checkpoints and a progress bar."""
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, stage))
    path, first = run / f"{name}.pt", 0
    if path.is_file():
        state = torch.load(path, weights_only=True)
        modules.load_state_dict(state["modules"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        first = state["step"]
    for step in _bar(f"training {name}", range(first, stage.steps), stage.steps, first):
        value = loss()
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if step % 20 == 0:
            with (run / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps({"stage": name, "step": step, "loss": value.item()}) + "\n")
        if (step + 1) % save_every == 0 or step + 1 == stage.steps:
            state = {
                "modules": modules.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "step": step + 1,
            }
            part = path.with_suffix(".part")
            torch.save(state, part)
            part.replace(path)


def _rate(step: int, stage: StageConfig) -> float:
    """Share of the peak learning rate at a step."""
    warm = min(1.0, (step + 1) / max(1, stage.warmup_steps))
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / stage.steps)))


def _bar(title: str, steps: Iterable[int], total: int, done: int) -> Iterator[int]:
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(title, total=total, completed=done)
        for step in steps:
            yield step
            progress.advance(task)
