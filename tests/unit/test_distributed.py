"""One optimiser step of a scaled-down vljepa-1.6b, in one process and shared by two."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as multiprocessing
from accelerate import PartialState
from safetensors.torch import load_file
from torch import Tensor

from vljepa_ros.errors import InputError
from vljepa_ros.model import VLJEPA, VLJEPAConfig
from vljepa_ros.training.config import StageConfig, TrainConfig
from vljepa_ros.training.loop import check_stages, train

CONFIG = Path(__file__).parents[2] / "config" / "models" / "vljepa-1.6b.yaml"


def _config(model: VLJEPAConfig) -> TrainConfig:
    stage = StageConfig(steps=1, batch_size=4, learning_rate=1e-3, warmup_steps=1)
    return TrainConfig(model, finetuning=stage, decoder=stage, sources=("composites",))


def _train_part(rank: int, port: int, config: TrainConfig, data: Path, run: Path) -> None:
    """What `accelerate launch` does for each process."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        ACCELERATE_USE_CPU="true",
    )
    train(config, data, run)


@pytest.fixture(scope="module")
def alone(
    small_copy: VLJEPAConfig, shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run = tmp_path_factory.mktemp("alone")
    train(_config(small_copy), shards, run)
    return run


def test_one_step_changes_what_is_trained_and_nothing_else(
    alone: Path, small_copy: VLJEPAConfig
) -> None:
    torch.manual_seed(0)
    before = VLJEPA(small_copy)
    before.load_pretrained()
    after = load_file(alone / "finetuning" / "model" / "model.safetensors")
    start = before.trained_state()
    assert after.keys() == start.keys()
    layers = [
        name for name in after if name.startswith(("predictor.transformer", "y_encoder.enc"))
    ]
    assert layers
    assert all(not torch.equal(after[name], start[name]) for name in layers)
    decoder = load_file(alone / "decoder" / "model" / "model.safetensors")
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], decoder[name])}
    assert moved == {"y_decoder"}


def test_two_processes_make_the_step_that_one_makes(
    alone: Path, small_copy: VLJEPAConfig, shards: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job = (port, _config(small_copy), shards, tmp_path)
    multiprocessing.start_processes(_train_part, job, nprocs=2, start_method="spawn")
    assert (tmp_path / "model" / "model.safetensors").is_file()
    one, two = _gradients(alone), _gradients(tmp_path)
    assert len(one) == len(two) > 20
    largest = max(gradient.abs().max() for gradient in one).item()
    assert largest > 0
    for alone_, shared in zip(one, two, strict=True):
        torch.testing.assert_close(shared, alone_, rtol=1e-3, atol=1e-5 * largest)


def _gradients(run: Path) -> list[Tensor]:
    """Of all parameters: after one step, AdamW's first moments are their tenth."""
    file = run / "finetuning" / "step-0000001" / "optimizer.bin"
    state = torch.load(file, weights_only=True)["state"]
    return [state[number]["exp_avg"] for number in sorted(state)]


def test_a_batch_that_cannot_be_shared_evenly_is_refused(
    small_copy: VLJEPAConfig, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PartialState().num_processes = 3
    monkeypatch.setattr("vljepa_ros.training.loop.VLJEPA", None)  # nothing is loaded before
    config = _config(small_copy)
    stage = config.decoder
    for size, match in (
        (4, "decoder: batch_size is 4, which 3 processes cannot share"),
        (3, "decoder: batch_size is 3; give at least 2 for each of 3"),
    ):
        with pytest.raises(InputError, match=match):
            train(
                replace(
                    config,
                    finetuning=replace(stage, batch_size=6),
                    decoder=replace(stage, batch_size=size),
                ),
                shards,
                tmp_path,
            )
    assert not list(tmp_path.iterdir())  # so that the folder takes the mended configuration


def test_the_full_size_shares_its_batches_among_the_processes_of_the_paper() -> None:
    PartialState().num_processes = 192
    check_stages(TrainConfig.from_yaml(CONFIG))
