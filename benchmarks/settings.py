"""How well the chosen settings of gate and confidences fit the weights, on the validation split.

    . tools/env.sh && PYTHONPATH="$PWD/benchmarks:$PYTHONPATH" python benchmarks/settings.py

By what this prints were chosen: the gate's threshold, the confidence below which a text becomes
"I don't know", and the temperature of the confidences among candidates. It needs the episodes that
`vljepa data` makes. The engine is that of the nodes, without ROS.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results import report
from rich.progress import track
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.runtime.engine import MIN_CONFIDENCE, STREAM_QUERY
from vljepa_ros.streaming.gate import ChangeGate, GateConfig, Trigger
from vljepa_ros.training.dataset import window_frames
from vljepa_ros.training.evaluate import Evaluation
from vljepa_ros.training.features import Episode
from vljepa_ros.training.language import Sample
from vljepa_ros.training.trials import (
    CHOICE_KINDS,
    TOLD_KINDS,
    draw_trials,
    is_asked,
    is_right,
)

_THRESHOLDS = (0.1, 0.12, 0.15, 0.2)
_STRIDES = (1, 2)  # every embedding of an episode, every second
_LATE = 1.5  # s after an event's end within which a shift may begin that tells it
_TEMPERATURES = (0.035, 0.05, 0.07, 0.1)


def gate_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Which events of the tabletop episodes a shift follows, and which shifts follow none."""
    episodes, window = evaluation.sources["tabletop"], evaluation.window
    query = [STREAM_QUERY]
    streams = [
        np.concatenate(
            [
                evaluation.engine.predict(list(e.frames[window_frames(e, last, window)]), query)
                for last in range(len(e.frames))
            ]
        )
        for e in track(episodes, "episodes watched")
    ]
    return [
        _held_against_events(episodes, streams, stride, threshold)
        for stride in _STRIDES
        for threshold in _THRESHOLDS
    ]


def _held_against_events(
    episodes: Sequence[Episode],
    streams: Sequence[NDArray[np.float32]],
    stride: int,
    threshold: float,
) -> dict[str, Any]:
    """What the gate tells of every `stride`-th embedding of the episodes; times in s."""
    delays: list[float] = []
    events = shifts = false = 0
    for episode, stream in zip(episodes, streams, strict=True):
        period = episode.facts["frame_period"]
        spans = [(e["start"] * period, e["end"] * period) for e in episode.facts["events"]]
        told = _shifts(stream, stride, period, GateConfig(threshold))
        for start, end in spans:
            begun = [at for first, at in told if start <= first <= end + _LATE]
            delays += [min(begun) - start] if begun else []
        events, shifts = events + len(spans), shifts + len(told)
        false += sum(not any(s <= first <= e + _LATE for s, e in spans) for first, _ in told)
    return {
        "embeddings a second": round(1 / (stride * period)),
        "threshold": threshold,
        "events": events,
        "followed": len(delays),
        "delay": np.median(delays),
        "shifts": shifts,
        "false": false,
    }


def _shifts(
    stream: NDArray[np.float32], stride: int, period: float, config: GateConfig
) -> list[tuple[float, float]]:
    """When each segment but the first begins, and when the gate tells it, in s."""
    gate = ChangeGate(config)
    told = []
    for number in range(0, len(stream), stride):
        shift = gate.update(round(number * period * 1e9), stream[number])
        if shift is not None and shift.trigger == Trigger.SHIFT:
            told.append((shift.segment_start / 1e9, number * period))
    return told


def texts_told(evaluation: Evaluation, count: int) -> dict[str, Any]:
    """Whether the confidence of decoded texts tells the right from the wrong ones."""
    right, sure = [], []
    for sample, predicted in _asked(evaluation, TOLD_KINDS, count):
        (text,) = evaluation.engine.decode(predicted)
        right.append(is_right(text.text, sample))
        sure.append(text.confidence)
    correct, kept = np.array(right), np.array(sure) >= MIN_CONFIDENCE
    return {
        "texts": len(right),
        "right": correct.mean(),
        "area under the ROC curve": roc_auc_score(right, sure),
        "kept": kept.mean(),
        "right of kept": correct[kept].mean(),
        "unsure of right": 1 - kept[correct].mean(),
        "unsure of wrong": 1 - kept[~correct].mean(),
    }


def candidate_rows(evaluation: Evaluation, count: int) -> list[dict[str, Any]]:
    """How the confidence among candidates compares with how many are right, by temperature."""
    asked = [
        (
            evaluation.engine.rank(predicted[0], sample.choices).similarities.astype(float),
            sample.choices.index(sample.answers[0]),
        )
        for sample, predicted in _asked(evaluation, CHOICE_KINDS, count)
    ]
    rows = []
    for temperature in _TEMPERATURES:
        shares = [(softmax(cosines / temperature), right) for cosines, right in asked]
        rows.append(
            {
                "temperature": temperature,
                "questions": len(asked),
                "right": np.mean([some.argmax() == right for some, right in shares]),
                "confidence": np.mean([some.max() for some, _ in shares]),
                "negative log-likelihood": np.mean([-np.log(some[r]) for some, r in shares]),
            }
        )
    return rows


def _asked(
    evaluation: Evaluation, kinds: Sequence[str], count: int
) -> Iterator[tuple[Sample, NDArray[np.float32]]]:
    """Questions of some kinds about all sources, and their predicted embeddings (1, D)."""
    engine, drawn = evaluation.engine, []
    for episodes in evaluation.sources.values():
        for kind in (kind for kind in kinds if is_asked(episodes, kind)):
            drawn += draw_trials(episodes, evaluation.window, kind, count, evaluation.seed)
    for sample, episode, frames in track(drawn, "questions"):
        yield sample, engine.predict(list(episode.frames[frames]), [sample.query])


def main() -> None:
    """Measure on the validation split and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="vljepa-tiny", help="shipped name or folder")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of `vljepa data`")
    parser.add_argument("--questions", type=int, default=200, help="of each kind and source")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    engine = Engine.load(options.model, FASTEST)
    evaluation = Evaluation(engine, options.data, "val")
    if "tabletop" not in evaluation.sources:
        parser.error(f"{options.data} has no tabletop episodes to watch; run `vljepa data` first")
    rows = {
        "model": engine.info.model_id,
        "gate": gate_rows(evaluation),
        "texts": texts_told(evaluation, options.questions),
        "candidates": candidate_rows(evaluation, options.questions),
    }
    report("settings", rows, options.json)


if __name__ == "__main__":
    main()
