"""What the engine costs: its backends, its cache of frame tokens, and further queries and labels.

    python benchmarks/engine.py [--json FILE] [--data data]

Alternatives take turns, call by call, so that whatever else the machine does meets all of them;
what is compared are the medians. With the episodes of `vljepa data` it also measures whether less
precision costs answers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from results import report, row

from vljepa_ros.runtime import Engine, EngineConfig
from vljepa_ros.runtime.engine import LABEL_QUERY, STREAM_QUERY
from vljepa_ros.runtime.parity import clip_frames
from vljepa_ros.runtime.testing import random_checkpoint
from vljepa_ros.training.evaluate import Evaluation

CONFIGS = {
    "torch fp32": EngineConfig(),
    "onnx fp32": EngineConfig(backend="onnx"),
    "onnx int8": EngineConfig(backend="onnx", precision="int8"),
}
GOALS = {"onnx fp32": "at least 1.3x", "onnx int8": "at least 2x"}
QUERIES = [
    f"What is {which} doing?"
    for which in ["it", "he", "she", "one", "this", "that", "everyone", "they"]
]
LABELS = [f"a thing of kind {number}" for number in range(100)]
ROUNDS = 60


def medians(calls: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median time of each call in ms, the calls taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 3):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times[3:]) * 1e3 for name, times in taken.items()}


def compared(
    what: str, ours: str, against: str, goal: str, times: Mapping[str, float]
) -> dict[str, Any]:
    """How many times as long `against` takes."""
    details = {"ours_ms": round(times[ours], 2), "against_ms": round(times[against], 2)}
    return row(f"{what}: {ours}", against, times[against] / times[ours], goal, details)


def backends(engines: Mapping[str, Engine]) -> list[dict[str, Any]]:
    """A new frame and a query, and what an answer takes."""
    (frame,) = clip_frames([10.0], 224)
    calls: dict[str, Callable[[], Any]] = {}
    for name, engine in engines.items():
        tokens = list(engine.encode_frames([frame] * 4))

        def see(engine: Engine = engine, tokens: list[Any] = tokens) -> None:
            engine.predict([*tokens[:3], *engine.encode_frames([frame])], [STREAM_QUERY])

        calls[name] = see
    embedding = next(iter(engines.values())).encode_text(["the robot arm lifts the red cube"])
    told = medians({n: lambda e=e: e.decode(embedding) for n, e in engines.items()})
    return [
        compared(what, name, "torch fp32", goal, times)
        for what, times in (("a frame and a query", medians(calls)), ("a sentence", told))
        for name, goal in GOALS.items()
    ]


def cache(folder: Path) -> list[dict[str, Any]]:
    """A window of eight frames, of which one is new, with ONNX Runtime."""
    checkpoint = random_checkpoint(folder / "eight", frames=8)
    engine = Engine.load(str(checkpoint), EngineConfig(backend="onnx"))
    frames = list(clip_frames(np.arange(10.0, 14.0, 0.5).tolist(), 224))
    tokens = list(engine.encode_frames(frames))

    def one() -> None:
        engine.predict([*tokens[1:], *engine.encode_frames(frames[:1])], [STREAM_QUERY])

    def whole() -> None:
        engine.predict(list(engine.encode_frames(frames)), [STREAM_QUERY])

    times = medians({"one new frame": one, "encoding all": whole})
    what = "a window of eight frames"
    return [compared(what, "one new frame", "encoding all", "at least 5x", times)]


def queries(engine: Engine) -> list[dict[str, Any]]:
    """Eight standing queries and a hundred labels, beside one query."""
    (frame,) = clip_frames([10.0], 224)
    tokens = list(engine.encode_frames([frame] * 4))

    def see(asked: list[str], labels: list[str]) -> None:
        rows = engine.predict([*tokens[:3], *engine.encode_frames([frame])], asked)
        if labels:
            engine.rank(rows[-1], labels)

    one, many = "one query", "8 queries and 100 labels"
    times = medians(
        {one: lambda: see([STREAM_QUERY], []), many: lambda: see([*QUERIES, LABEL_QUERY], LABELS)}
    )
    details = {"ours_ms": round(times[many], 2), "against_ms": round(times[one], 2)}
    return [row(f"a frame: {many}", one, times[many] / times[one], "under 1.5x", details)]


def answers(engines: Mapping[str, Engine], data: Path, trials: int) -> list[dict[str, Any]]:
    """Share of right answers on held-out tabletop frames; none without episodes."""
    shares = {}
    for name, engine in engines.items():
        evaluation = Evaluation(engine, data, "test", trials=trials)
        if "tabletop" not in evaluation.sources:
            print("left out: right answers, which need `vljepa data`", file=sys.stderr)
            return []
        *_, mean = evaluation.questions("tabletop", evaluation.sources["tabletop"])
        shares[name] = mean.value
    base = shares["torch fp32"]
    return [
        row(
            f"right answers: {name}",
            "torch fp32",
            shares[name] / base,
            "within 1 point",
            {"ours_percent": 100 * shares[name], "against_percent": 100 * base},
        )
        for name in GOALS
    ]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--data", type=Path, default=Path("data"), help="of `vljepa data`")
    parser.add_argument("--trials", type=int, default=60, help="questions of each kind")
    options = parser.parse_args()
    engines = {name: Engine.load(config=config) for name, config in CONFIGS.items()}
    with tempfile.TemporaryDirectory() as folder:
        rows = [*backends(engines), *cache(Path(folder)), *queries(engines["onnx fp32"])]
    rows += answers(engines, options.data, options.trials)
    report("engine", rows, options.json)


if __name__ == "__main__":
    main()
