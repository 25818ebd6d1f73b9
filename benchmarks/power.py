"""What a Jetson's power monitors say while a benchmark runs, where there are any."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_INTERVAL = 500  # ms between two readings
# A rail, its power now and its average, in mW: `VDD_IN 4852mW/4790mW`, before JetPack 5 without
# unit. Memory, `RAM 2560/7620MB`, is no rail.
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (\d+)(?:mW)?/\d+(?:mW)?(?=\s|$)")


def mean_power(lines: Iterable[str]) -> dict[str, float]:
    """Mean power of each rail in W, by the rail's name; empty where the lines tell none."""
    readings: dict[str, list[int]] = defaultdict(list)
    for line in lines:
        for rail, milliwatts in _RAIL.findall(line):
            readings[rail].append(int(milliwatts))
    return {rail: sum(values) / len(values) / 1000 for rail, values in readings.items()}


@contextmanager
def power() -> Iterator[dict[str, float]]:
    """Reads tegrastats while the block runs; yields what `mean_power` says, filled at its end.

    Stays empty on a machine without tegrastats.
    """
    means: dict[str, float] = {}
    command = shutil.which("tegrastats")
    if command is None:
        yield means
        return
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([command, "--interval", str(_INTERVAL)], stdout=output)
        try:
            yield means
        finally:
            process.terminate()
            process.wait()
            output.seek(0)
            means.update(mean_power(output))
