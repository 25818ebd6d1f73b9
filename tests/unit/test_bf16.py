"""Which processors know bf16, and what training says where they do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vljepa_ros.errors import InputError
from vljepa_ros.training import loop
from vljepa_ros.training.config import TrainConfig
from vljepa_ros.training.loop import train
from vljepa_ros.training.optimise import knows_bf16

SHIPPED = Path(__file__).parents[2] / "config" / "models" / "vljepa-tiny.yaml"


@pytest.mark.parametrize("known", [False, True])
def test_training_in_emulated_bf16_is_warned_of(
    known: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setattr(loop, "knows_bf16", lambda: known)
    config = replace(TrainConfig.from_yaml(SHIPPED), precision="bf16")
    with pytest.raises(InputError):
        train(config, tmp_path / "nothing", tmp_path / "run")
    assert ("precision: fp32" in caplog.text) == (not known)


@pytest.mark.parametrize(
    ("flags", "known"),
    [
        ("flags : fma avx2 avx512f", False),
        ("flags : avx512f avx512_bf16 vnni", True),
        ("Features : asimd bf16 i8mm", True),
    ],
)
def test_a_processor_tells_whether_it_knows_bf16(flags: str, known: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    assert knows_bf16(tmp_path / "cpuinfo") == known
    assert not knows_bf16(tmp_path / "nothing")
