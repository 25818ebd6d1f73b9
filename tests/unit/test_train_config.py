"""What a file of config/models/ may say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vljepa_ros.cli import _parser
from vljepa_ros.errors import CheckpointError
from vljepa_ros.training.config import TrainConfig
from vljepa_ros.training.prepare import SOURCES

SHIPPED = Path(__file__).parents[2] / "config" / "models" / "vljepa-tiny.yaml"


def test_what_vljepa_data_draws_by_itself_is_what_the_shipped_model_learns() -> None:
    told = _parser().parse_args(["data"])
    assert {source for source in SOURCES if getattr(told, source)} == {
        *TrainConfig.from_yaml(SHIPPED).sources
    }


def test_a_misspelt_setting_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("model: {}\nfinetuning: {}\ndecoder: {}\nsteps: 3\n")
    with pytest.raises(CheckpointError, match="only the keys"):
        TrainConfig.from_yaml(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        TrainConfig.from_yaml(tmp_path / "none.yaml")
    stage = "{steps: 3, batch_size: 4, learning_rate: 5e-4}"  # YAML wants a dot in a number
    path.write_text(f"model: {{}}\nfinetuning: {stage}\ndecoder: {stage}\n")
    with pytest.raises(CheckpointError, match=r"finetuning\.learning_rate must be float, not str"):
        TrainConfig.from_yaml(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="cannot be read"):
        TrainConfig.from_yaml(path)
    path.write_text("model: {}\nfinetuning: {steps: 3}\ndecoder: {steps: 3}\n")
    with pytest.raises(CheckpointError, match="batch_size"):
        TrainConfig.from_yaml(path)
    path.write_text(SHIPPED.read_text().replace("[tabletop, ", "[3, "))
    with pytest.raises(CheckpointError, match="sources must be tuple"):
        TrainConfig.from_yaml(path)
    with pytest.raises(CheckpointError, match="fp32 or bf16, not 'bf61'"):
        replace(TrainConfig.from_yaml(SHIPPED), precision="bf61")
    with pytest.raises(CheckpointError, match=r"objective is one of infonce.*not 'infonse'"):
        replace(TrainConfig.from_yaml(SHIPPED), objective="infonse")
    path.write_text(SHIPPED.read_text().replace("  y_decoder: {", "  y_decoder: {kind: none} #"))
    with pytest.raises(CheckpointError, match="cannot be trained"):
        TrainConfig.from_yaml(path)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"steps": 0}, "steps is 0; give at least 1"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"warmup_steps": -1}, "warmup_steps is -1; give at least 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"weight_decay": float("inf")}, "weight_decay is inf"),
    ],
)
def test_a_stage_that_cannot_train_is_refused(wrong: dict[str, Any], match: str) -> None:
    stage = TrainConfig.from_yaml(SHIPPED).finetuning
    with pytest.raises(CheckpointError, match=match):
        replace(stage, **wrong)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"save_every": 0}, "save_every is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"decoder_noise": float("nan")}, "decoder_noise is nan"),
        ({"temperature": 0.009}, "temperature is 0.009; give at least 0.01"),
        ({"hard_negatives": 5}, "hard_negatives is 5; give 0 to 4"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        replace(TrainConfig.from_yaml(SHIPPED), **wrong)


def test_the_shipped_configuration_is_valid() -> None:
    config = TrainConfig.from_yaml(SHIPPED)
    assert config.model.name == "vljepa-tiny"
