"""Runs the benchmarks one after the other; prints the table of docs/performance.md.

    make bench

Each row is a ratio within one run. On a Jetson each script's mean power is told, too. --quick
takes short streams, to see whether all works.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from power import power
from results import machine
from robot import FOLDER

# Arguments of each script in a quick run.
SCRIPTS = {
    "engine": ["--trials", "2"],
    "camera_to_embedding": ["--seconds", "5", "--frames", "30"],
    "ros_overhead": ["--rounds", "2", "--seconds", "2"],
    "questions": ["--questions", "15"],
    "cameras": ["--seconds", "5"],
    "startup": ["--starts", "1"],
    "memory": ["--frames", "2000"],
    "watching": ["--minutes", "0.5"],
    "executors": ["--seconds", "4", "--calls", "10"],
}


def run(name: str, arguments: list[str]) -> dict[str, Any]:
    """Figures of one script."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        command = [sys.executable, str(FOLDER / f"{name}.py"), "--json", str(path), *arguments]
        with power() as watts:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        figures: dict[str, Any] = {**json.loads(path.read_text()), "arguments": arguments}
        return {**figures, "watts": watts} if watts else figures


def table(results: list[dict[str, Any]]) -> str:
    """The ratios in Markdown."""
    lines = ["| what | against | ratio | goal |", "|---|---|---|---|"]
    for result in results:
        for line in result["rows"]:
            if "ratio" in line:
                ratio = "-" if line["ratio"] is None else f"{line['ratio']:.2f}x"
                lines.append(f"| {line['what']} | {line['against']} | {ratio} | {line['goal']} |")
    for result in results:
        if result["arguments"]:
            lines.append(f"\n{result['benchmark']}, with {' '.join(result['arguments'])}")
    for result in results:
        if "watts" in result:
            rails = ", ".join(f"{rail} {mean:.1f} W" for rail, mean in result["watts"].items())
            lines.append(f"\nPower during {result['benchmark']}: {rails}")
    return "\n".join(lines)


def kept(path: Path, measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Figures that a file has of scripts that were not measured now, each with its date."""
    if not path.is_file():
        return []
    names = SCRIPTS.keys() - {result["benchmark"] for result in measured}
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    return [result for result in results if result["benchmark"] in names]


def main() -> None:
    """Run them all, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SCRIPTS)}; default: all")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, help="file for the figures; others in it stay")
    options = parser.parse_args()
    results = []
    for name in options.names or SCRIPTS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            results.append(run(name, SCRIPTS[name] if options.quick else []))
        except subprocess.CalledProcessError:
            print(f"{name} failed", file=sys.stderr)
    if options.json is not None:
        figures = {**machine(), "results": kept(options.json, results) + results}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    sys.exit(len(results) != len(options.names or SCRIPTS))


if __name__ == "__main__":
    main()
