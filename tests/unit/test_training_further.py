"""Training goes on from the weights of a model, and a run at another rate, where it is told to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.unit.tiny_model import TINY
from vljepa_ros.errors import CheckpointError
from vljepa_ros.model import VLJEPA, load_checkpoint, save_checkpoint
from vljepa_ros.model.checkpoint import WEIGHTS_FILE
from vljepa_ros.training.config import StageConfig, TrainConfig
from vljepa_ros.training.dataset import Batch, Sampler
from vljepa_ros.training.loop import train

_STAGE = StageConfig(steps=1, batch_size=4, learning_rate=1e-5, warmup_steps=0)
CONFIG = TrainConfig(
    model=TINY,
    finetuning=_STAGE,
    decoder=_STAGE,
    sources=("composites",),
    y_encoder_lr_multiplier=0.0,
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model whose numbers no other has."""
    torch.manual_seed(3)
    model = VLJEPA(CONFIG.model)
    model.load_pretrained()
    with torch.no_grad():
        for parameter in (p for p in model.parameters() if p.requires_grad):
            parameter.add_(torch.randn_like(parameter) * 0.1)
    folder = tmp_path_factory.mktemp("start")
    save_checkpoint(model, folder, torch.float32)
    return folder


def test_a_step_from_a_model_stays_near_it(start: Path, data: Path, tmp_path: Path) -> None:
    begun, further = load_checkpoint(start), train(CONFIG, data, tmp_path / "run", start)
    before, after = begun.predictor.state_dict(), further.predictor.state_dict()
    moved = [(after[name] - before[name]).abs().max().item() for name in before]
    assert 0 < max(moved) < 2 * _STAGE.learning_rate


def test_the_y_encoder_is_left_alone_at_a_rate_of_zero(
    start: Path, data: Path, tmp_path: Path
) -> None:
    further = train(CONFIG, data, tmp_path / "run", start).state_dict()
    begun = {k: v for k, v in load_file(start / WEIGHTS_FILE).items() if k.startswith("y_enc")}
    assert any(".top." in name for name in begun)
    for name, tensor in begun.items():
        assert torch.equal(further[name], tensor), name


def test_a_run_is_tied_to_the_weights_that_it_began_with(
    start: Path, data: Path, tmp_path: Path
) -> None:
    train(CONFIG, data, tmp_path / "run", start)
    with pytest.raises(CheckpointError, match="differs in start"):
        train(CONFIG, data, tmp_path / "run")


def test_a_model_of_another_size_is_refused(start: Path, data: Path, tmp_path: Path) -> None:
    wider = replace(CONFIG.model, predictor=replace(CONFIG.model.predictor, ffn_width=96))
    with pytest.raises(CheckpointError, match=r"predictor\.transformer\.layers\.0\.mlp"):
        train(replace(CONFIG, model=wider), data, tmp_path / "run", start)


def test_a_run_goes_on_at_another_rate(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Sampler.batch

    def one_only(self: Sampler, number: int, *rest: int) -> Batch:
        if number:
            raise KeyboardInterrupt
        return batch(self, number, *rest)

    begun = replace(CONFIG, finetuning=replace(_STAGE, steps=2), save_every=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Sampler, "batch", one_only)
        train(begun, data, tmp_path)
    slower = replace(begun.finetuning, learning_rate=_STAGE.learning_rate / 4)
    train(replace(begun, finetuning=slower), data, tmp_path)
    (file,) = tmp_path.glob("finetuning/step-*/scheduler.bin")
    assert torch.load(file, weights_only=True)["base_lrs"][0] == slower.learning_rate
    (file,) = tmp_path.glob("finetuning/step-*/optimizer.bin")
    groups = torch.load(file, weights_only=True)["param_groups"]
    assert groups[0]["initial_lr"] == slower.learning_rate
