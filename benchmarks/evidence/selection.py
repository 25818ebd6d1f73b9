"""Claim: decoding only at changes of meaning tells as much as decoding evenly far more often.

The paper measures it offline (arXiv 2512.10942, section 4.6); here the gate decides as the stream
comes, and is compared with the paper's clustering and with published online detectors. What has
settings has them chosen on streams of their own, for the gate's mean interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from evidence.detection import detect
from evidence.intervals import mean_interval
from evidence.names import GATE, MEMORY, UNIFORM, UNIFORM_MEMORY
from evidence.scoring import (
    NEARNESS,
    Curve,
    Score,
    baseline_interval,
    best_of_all,
    ratio_interval,
    saving,
    saving_interval,
)
from evidence.selection_picture import draw
from evidence.selection_tables import markdown
from evidence.sentences import count_sentences
from evidence.streams import Stream
from evidence.study import FULL, QUICK, SEEDS, Study
from evidence.sweeps import RECALLS, Way, nearest_point, offline, ours
from vljepa_ros.runtime.describer import RECALL_WITHIN
from vljepa_ros.runtime.engine import MIN_CONFIDENCE

__all__ = ["draw", "markdown", "run"]

_GROUPS = ("few events", "more events", "most events")
_WORTH = 0.5  # share of the baselines' best CIDEr above which a saving is worth telling


def run(data: Path, work: Path, quick: bool, progress: Progress) -> dict[str, Any]:
    """Measure.

    Args:
        data: not needed: the streams are made with seeds of their own.
        work: streams, embeddings and curves are kept here; a killed run goes on.
        quick: a few short streams.
        progress: shows the steps.
    """
    study = Study(work, QUICK if quick else FULL, progress)
    ways, knobs = study.ways()
    curves = {
        way.name: study.curve(way) for way in progress.track(ways, description="ways compared")
    }
    baselines = [curves[name] for name in UNIFORM]
    test = study.streams["test"]
    gate = _at(curves[GATE], knobs[GATE])
    return {
        "model": study.engine.info.model_id,
        "streams": _described(study.streams),
        "curves": {way.name: _points(way, curves[way.name]) for way in ways},
        "ways": [_row(way, curves[way.name], knobs, gate, baselines) for way in ways],
        "saving_with_recall_on_both": saving_beyond_recall(curves, knobs),
        "detection": _detections(ways, knobs, study),
        "recall": study.measured("recall", RECALLS, study.recall),
        "sentences": {
            kind: study.measured(
                f"sentences, {kind}",
                (MIN_CONFIDENCE, RECALL_WITHIN),
                lambda kind=kind: _sentences(study.streams[kind], knobs[GATE], study),
            )
            for kind in ("validation", "test")
        },
        "seeds": [
            _part(curves, knobs, [i for i, s in enumerate(test) if s.facts["seed_group"] == seed])
            for seed in range(SEEDS)
        ],
        "groups": _by_density(curves, knobs, test),
        "nearness": {"shown": saving(gate, baselines), **_by_nearness(study)},
    }


def _at(curve: Curve, knob: float) -> Score:
    return min(curve, key=lambda point: abs(point.knob - knob))


def _points(way: Way, curve: Curve) -> dict[str, Any]:
    return {
        "causal": way.causal,
        "points": [{"knob": s.knob, "interval": s.interval, "cider": s.mean} for s in curve],
    }


def _row(
    way: Way, curve: Curve, knobs: dict[str, float], gate: Score, baselines: Sequence[Curve]
) -> dict[str, Any]:
    """What is told of a way at its knob, or where the gate is, and the best of its savings.

    `of_gates` is its saving as a share of the gate's.
    """
    known = way.name in knobs
    point = _at(curve, knobs[way.name]) if known else nearest_point(curve, gate.interval)
    top = max(s.mean for baseline in baselines for s in baseline)
    worth = [s for s in curve if s.mean >= _WORTH * top and s.interval <= 100]
    best = max(worth or [point], key=lambda s: saving(s, baselines))
    return {
        "name": way.name,
        "causal": way.causal,
        "settings": way.settings,
        "knob": point.knob,
        "interval": point.interval,
        "cider": point.mean,
        "cider_95": mean_interval(point.cider)[1:],
        "uniform_interval": baseline_interval(point.mean, baselines),
        "saving": saving(point, baselines),
        "saving_95": saving_interval(point, baselines),
        "of_gates": saving(point, baselines) / saving(gate, baselines),
        "of_gates_95": ratio_interval(point, gate, baselines),
        "best_saving": saving(best, baselines),
        "best_interval": best.interval,
        "best_cider": best.mean,
    }


def saving_beyond_recall(curves: dict[str, Curve], knobs: dict[str, float]) -> dict[str, Any]:
    """What the nodes save against even intervals whose decoder recalls as well as theirs.

    `recall_alone` is what recall saves at even intervals, at the same CIDEr.
    """
    point = _at(curves[MEMORY], knobs[MEMORY])
    recalling, plain = ([curves[name] for name in of] for of in (UNIFORM_MEMORY, UNIFORM))
    value = min(point.mean, best_of_all(recalling), best_of_all(plain))
    alone = baseline_interval(value, recalling) / baseline_interval(value, plain)
    return {
        "saving": saving(point, recalling),
        "saving_95": saving_interval(point, recalling),
        "recall_alone": alone,
    }


def _part(curves: dict[str, Curve], knobs: dict[str, float], rows: list[int]) -> dict[str, Any]:
    """The savings of the gate, alone and with the decoder, on some of the streams."""
    baselines = [[s.of(rows) for s in curves[name]] for name in UNIFORM]
    found: dict[str, Any] = {"streams": len(rows)}
    for name in (GATE, MEMORY):
        point = _at(curves[name], knobs[name]).of(rows)
        found[name] = {
            "interval": point.interval,
            "cider": point.mean,
            "saving": saving(point, baselines),
        }
    return found


def _by_density(
    curves: dict[str, Curve], knobs: dict[str, float], test: Sequence[Stream]
) -> list[dict[str, Any]]:
    """`_part` for the thirds of the streams with the fewest to the most events."""
    events = np.array([len(s.facts["annotations"]) for s in test])
    parts = np.array_split(np.argsort(events, kind="stable"), len(_GROUPS))
    return [
        {
            "name": name,
            "seconds_per_event": float(sum(test[i].duration for i in part) / events[part].sum()),
            **_part(curves, knobs, part.tolist()),
        }
        for name, part in zip(_GROUPS, parts, strict=True)
    ]


def _detections(
    ways: Sequence[Way], knobs: dict[str, float], study: Study
) -> list[dict[str, Any]]:
    """`_detection` of all ways with a knob but the decoder's, which tells when the gate does."""
    return [
        study.measured(
            f"detection, {way.name}",
            (way.settings, knobs[way.name]),
            lambda way=way: _detection(way, knobs[way.name], study),
        )
        for way in ways
        if way.name in knobs and way.name != MEMORY
    ]


def _by_nearness(study: Study) -> dict[str, float]:
    """The gate's saving if a decode stands for another time than is shown."""
    return {
        nearness: study.measured(
            f"nearness, {nearness}",
            [(way.name, way.knobs) for way in offline()],
            lambda nearness=nearness: study.saving_by_nearness(nearness),
        )
        for nearness in NEARNESS[1:]
    }


def _detection(way: Way, knob: float, study: Study) -> dict[str, Any]:
    """Delay in s, missed events and false alarms of a causal way."""
    test, still = study.streams["test"], study.streams["test-still"]
    found = detect(test, [way.decode(s, knob) for s in test], study.span)
    quiet = detect(still, [way.decode(s, knob) for s in still], study.span)
    return {
        "name": way.name,
        "delay_median": float(np.median(found.delays)) if found.delays else None,
        "delay_90": float(np.quantile(found.delays, 0.9)) if found.delays else None,
        "missed": found.missed,
        "false_alarms_per_hour_still": quiet.false_alarms_per_hour,
        "false_alarms_per_hour_events": found.false_alarms_per_hour,
    }


def _sentences(streams: Sequence[Stream], threshold: float, study: Study) -> dict[str, int]:
    """How many sentences of the nodes are true; the decoder recalls by itself."""
    told = [ours()[0].decode(stream, threshold) for stream in streams]
    return count_sentences(study.engine, streams, told, study.span)


def _described(streams: dict[str, list[Stream]]) -> dict[str, Any]:
    test = streams["test"]
    annotations = sum(len(stream.facts["annotations"]) for stream in test)
    return {
        "counts": {kind: len(of_kind) for kind, of_kind in streams.items()},
        "seconds": test[0].duration,
        "annotations": annotations,
        "seconds_per_annotation": sum(stream.duration for stream in test) / annotations,
    }
