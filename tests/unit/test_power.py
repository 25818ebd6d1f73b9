"""Power of a Jetson, from lines as its tegrastats writes them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from power import mean_power, power

ORIN = (
    "11-26-2026 12:00:00 RAM 2560/7620MB (lfb 4x4MB) SWAP 0/3810MB (cached 0MB) "
    "CPU [2%@729,1%@729,off,off] EMC_FREQ 0%@2133 GR3D_FREQ 0%@[305] cpu@45.1C tj@45.8C "
    "VDD_IN {}mW/4852mW VDD_CPU_GPU_CV {}mW/571mW VDD_SOC 1300mW/1300mW"
)
XAVIER = (
    "RAM 14700/15692MB (lfb 3x2MB) CPU@31.5C PMIC@100C GPU 463/463 CPU 618/618 SYS5V 3306/3306"
)


def test_the_readings_of_each_rail_are_averaged() -> None:
    means = mean_power([ORIN.format(4000, 500), ORIN.format(6000, 700)])
    assert means == {"VDD_IN": 5.0, "VDD_CPU_GPU_CV": 0.6, "VDD_SOC": 1.3}


def test_readings_without_a_unit_are_milliwatts() -> None:
    assert mean_power([XAVIER]) == {"GPU": 0.463, "CPU": 0.618, "SYS5V": 3.306}


def test_tegrastats_is_read_while_the_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "written"
    script = tmp_path / "tegrastats"
    script.write_text(
        f"#!/bin/sh\necho '{ORIN.format(4000, 500)}'\ntouch {written}\nexec sleep 60\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    begun = time.monotonic()
    with power() as means:
        while not written.exists():
            assert time.monotonic() < begun + 30
            time.sleep(0.01)
    assert means["VDD_IN"] == 4.0
    assert time.monotonic() < begun + 30, "it was not ended with the block"


def test_a_machine_without_tegrastats_has_no_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with power() as means:
        pass
    assert means == {}
