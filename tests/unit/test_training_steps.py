"""One step of training: its rate, its noise, its texts, its loss and its gradients."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from tests.unit.tiny_model import TINY
from vljepa_ros.model import VLJEPA
from vljepa_ros.training.config import StageConfig, TrainConfig
from vljepa_ros.training.dataset import Sampler
from vljepa_ros.training.features import Episode, load_episodes, to_table
from vljepa_ros.training.loop import _classes, train
from vljepa_ros.training.optimise import _rate
from vljepa_ros.training.steps import DecodingStep, Texts, _with_noise, predict

CONFIG = TrainConfig(
    model=TINY,
    finetuning=StageConfig(steps=2, batch_size=8, learning_rate=1e-3, warmup_steps=1),
    decoder=StageConfig(steps=2, batch_size=8, learning_rate=1e-3, warmup_steps=1),
    sources=("composites",),
)


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> VLJEPA:
    return train(CONFIG, data, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def episodes(data: Path) -> list[Episode]:
    return load_episodes(data, ("composites",), "train", (54, 976))


def test_the_rate_warms_up_and_decays_as_a_cosine() -> None:
    stage = StageConfig(steps=100, batch_size=8, learning_rate=1e-3, warmup_steps=10)
    flat = replace(stage, decay=False)
    assert [_rate(done, flat) for done in (0, 4, 9, 50, 99)] == [0.1, 0.5, 1, 1, 1]
    assert [_rate(done, stage) for done in (50, 100)] == pytest.approx([0.5, 0])


def test_the_noise_is_no_longer_than_it_may_be() -> None:
    rows = torch.nn.functional.normalize(torch.randn(100, 16), dim=-1)
    torch.testing.assert_close(_with_noise(rows, 0.0), rows)
    moved = (_with_noise(rows, 0.2) - rows).norm(dim=-1)
    assert 0.1 < moved.max() < 0.21


def test_texts_are_embedded_alike_in_any_batch_and_mixed_in_pairs(
    model: VLJEPA,
) -> None:
    texts = Texts(copy.deepcopy(model).requires_grad_(True))
    texts.y_encoder.encoder.requires_grad_(False)
    texts.y_encoder.eval()
    short, long = "a cat", "the purple can is taken away by the robot arm"
    with torch.no_grad():
        first, second = texts.embed([short, long])
        torch.testing.assert_close(texts.embed([short])[0], first, rtol=1e-3, atol=1e-3)
        between = texts.embed_between([short] * 20, [long] * 20)
    near = between @ torch.stack([first, second]).T
    assert (near > first @ second - 1e-4).all()
    assert near[:, 0].min() < 0.9 and near[:, 1].max() > near[:, 1].min() + 0.1


def test_frames_that_are_numbers_are_looked_up(episodes: list[Episode], model: VLJEPA) -> None:
    rows, table = to_table(episodes, torch.device("cpu"))
    told, numbered = (
        Sampler(some, model.window, {"what": 1.0}, 1, classes=_classes(model)).batch(0, 8)
        for some in (episodes, rows)
    )
    assert numbered.frames.shape == (8, model.window.frames)
    assert not told.shown.isnan().all()
    seen = predict(model, told)
    torch.testing.assert_close(predict(model, numbered, table), seen)
    torch.testing.assert_close(predict(model, numbered.part(2, 5), table), seen[2:5])
    plain = replace(told, shown=torch.full_like(told.shown, torch.nan))
    assert not torch.allclose(predict(model, plain), seen)


def test_padding_does_not_count_in_the_y_decoders_loss(
    episodes: list[Episode], model: VLJEPA, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = DecodingStep(copy.deepcopy(model), noise=0.0).eval()
    batch = Sampler(episodes, CONFIG.model.window, {"what": 1.0}, seed=1).batch(0, 2)
    texts = ["a cat", "there is a cup beside a key"]
    samples = [replace(s, answers=(t,)) for s, t in zip(batch.samples, texts, strict=True)]
    batch = replace(batch, samples=samples)
    rows = torch.nn.functional.normalize(torch.randn(2, model.embedding_dim), dim=-1)
    monkeypatch.setattr(step, "embed", lambda some: rows[: len(some.samples)])
    both, first = step(batch), step(batch.part(0, 1))
    rows = rows.flip(0)
    second = step(batch.part(1, 2))
    lengths = step.model.y_decoder.tokenize(texts)[1].sum(1) - 1
    assert lengths[0] < lengths[1]
    torch.testing.assert_close(both, (first * lengths[0] + second * lengths[1]) / lengths.sum())


def test_gradients_are_clipped_to_the_length_of_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, lengths = Accelerator.clip_grad_norm_, []

    def clipped(self: Accelerator, parameters: object, longest: float) -> torch.Tensor:
        parameters = [p for p in parameters if p.grad is not None]
        parameters[0].grad.mul_(1e6)
        norm = clip(self, parameters, longest)
        lengths.append(torch.stack([p.grad.norm() for p in parameters]).norm().item())
        return norm

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", clipped)
    train(CONFIG, data, tmp_path)
    assert lengths and lengths == pytest.approx([1.0] * len(lengths), rel=1e-3)
