"""SIGINT and SIGTERM end the work, whenever they come."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal
from vljepa_ros.nodes.signals import Signals

class Swallowing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

signals = Signals()
if {before}:
    os.kill(os.getpid(), signal.SIGTERM)
with signals.interrupting(lambda: None):
    print("begun", signals.asked())
    if {swallowed}:
        Swallowing()
        print("dropped", signals.asked())
    if {during}:
        os.kill(os.getpid(), signal.SIGINT)
    print("gone on")
print(signals.asked())
"""


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ((False, False, False), "begun False gone on False"),
        ((True, False, False), "begun True gone on True"),
        ((False, False, True), "begun False True"),
        ((False, True, True), "begun False dropped True True"),
    ],
)
def test_a_signal_is_told_and_ends_the_block(parts: tuple[bool, ...], told: str) -> None:
    script = SCRIPT.format(**dict(zip(("before", "swallowed", "during"), parts, strict=True)))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == told.split()
    assert not done.stderr


def test_what_else_a_finalizer_raises_is_printed() -> None:
    script = "class Failing:\n    def __del__(self):\n        1 / 0\n"
    script += "from vljepa_ros.nodes.signals import Signals\nSignals()\nFailing()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "ZeroDivisionError" in done.stderr
