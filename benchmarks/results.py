"""How a benchmark tells what it measured, and on what."""

from __future__ import annotations

import json
import os
import platform
from datetime import date
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """What was measured on, and when."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    model = next((line for line in lines if "model name" in line), "")
    return {
        "date": date.today().isoformat(),
        "processor": model.rpartition(": ")[2] or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "ros": os.environ.get("ROS_DISTRO", ""),
    }


def report(name: str, rows: Any, path: Path | None) -> None:
    """Print the figures of a benchmark as JSON, and write them to a file if one is given."""
    text = json.dumps({"benchmark": name, **machine(), "rows": rows}, indent=1)
    print(text)
    if path is not None:
        path.write_text(text + "\n", encoding="utf-8")


def row(
    what: str, against: str, ratio: float | None, goal: str, details: dict[str, Any]
) -> dict[str, Any]:
    """A line of the table in docs/performance.md: what is compared, and what came out."""
    return {"what": what, "against": against, "ratio": ratio, "goal": goal, **details}
