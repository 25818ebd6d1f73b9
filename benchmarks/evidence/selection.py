"""Claim: decoding only at changes of meaning tells as much as decoding evenly far more often.

The paper measures it offline (arXiv 2512.10942, section 4.6); here the gate decides as the stream
comes, and is compared with the paper's clustering and with published online detectors. What has
settings has them chosen on streams of their own, for the gate's mean interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from evidence.detection import detect
from evidence.detectors import remembered
from evidence.intervals import mean_interval
from evidence.kept import Kept, digest
from evidence.scoring import (
    NEARNESS,
    Curve,
    Score,
    Texts,
    baseline_interval,
    from_rows,
    saving,
    saving_interval,
    score,
    to_rows,
)
from evidence.selection_picture import draw
from evidence.selection_tables import markdown
from evidence.store import ran_as
from evidence.streams import Stream, load_streams, make_streams
from evidence.sweeps import (
    GATE,
    MEMORY,
    RECALLS,
    UNIFORM,
    UNIFORM_MEMORY,
    Way,
    choose,
    nearest_point,
    offline,
    ours,
    to_choose,
)
from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.streaming import GateConfig

__all__ = ["draw", "markdown", "run"]

_SEEDS = 3
_GROUPS = ("few events", "more events", "most events")
_WORTH = 0.5  # share of the baselines' best CIDEr above which a saving is worth telling


@dataclass(frozen=True)
class _Size:
    """How many streams of each kind, and how long in s."""

    counts: dict[str, int]
    seconds: float


_FULL = _Size({"validation": 9, "test": 60, "test-still": 12}, 180.0)
_QUICK = _Size({"validation": 3, "test": 6, "test-still": 1}, 60.0)


class _Study:
    """The streams, what has been decoded, and the folder where curves are kept."""

    def __init__(self, work: Path, size: _Size, progress: Progress) -> None:
        make_streams(work, size.counts, _SEEDS, size.seconds, progress)
        self.engine = Engine.load("vljepa-tiny", FASTEST)
        info = self.engine.info
        self.span = (info.window_frames - 1) * info.window_period
        self.texts = Texts(self.engine)
        self.progress = progress
        self.streams = {
            kind: load_streams(work, kind, count, self.engine, progress)
            for kind, count in size.counts.items()
        }
        self.kept = Kept(work / f"curves-{size.seconds:g}s" / ran_as(info) / digest(GateConfig()))

    def ways(self) -> tuple[list[Way], dict[str, float]]:
        """All ways, and the value of the knob at which each is looked at more closely."""
        validation = self.streams["validation"]
        gate = ours()[0]
        threshold = GateConfig().threshold
        told = [gate.decode(stream, threshold) for stream in validation]
        interval = score(validation, told, self.texts, self.span).interval
        ways, knobs = [*offline(), *ours()], {GATE: threshold, MEMORY: threshold}

        def chosen(family: Sequence[Way]) -> tuple[str, float]:
            best, knob = choose(family, validation, self.texts, self.span, interval)
            return best.settings, knob

        for name, family in self.progress.track(
            to_choose(validation).items(), description="settings chosen"
        ):
            tried = digest([(way.settings, way.knobs) for way in family])
            settings, knobs[name] = self.kept.once(
                f"chosen, {name}, {tried}", lambda family=family: chosen(family)
            )
            ways.append(next(way for way in family if way.settings == settings))
        return ways, knobs

    def recall(self) -> list[dict[str, float]]:
        """What the decoder's recall saves and costs on the validation streams, by its distance."""
        found = []
        for within in RECALLS:
            point = score(
                self.streams["validation"],
                [
                    remembered(ours()[0].decode(stream, GateConfig().threshold), within)
                    for stream in self.streams["validation"]
                ],
                self.texts,
                self.span,
            )
            found.append({"within": within, "interval": point.interval, "cider": point.mean})
        return found

    def curve(self, way: Way) -> Curve:
        """Of the test streams; measured once."""
        return from_rows(
            self.kept.once(
                f"{way.name}, {digest(way.settings, way.knobs)}",
                lambda: to_rows(way.curve(self.streams["test"], self.texts, self.span)),
            )
        )

    def saving_by_nearness(self, nearness: str) -> float:
        """The gate's saving when a decode stands for another time; see `scoring.about`."""
        test, threshold = self.streams["test"], GateConfig().threshold
        common = (self.texts, self.span)

        def of(way: Way, knob: float) -> Score:
            return score(test, [way.decode(s, knob) for s in test], *common, knob, nearness)

        plain = [way for way in offline() if way.name in UNIFORM]
        return saving(of(ours()[0], threshold), [[of(w, k) for k in w.knobs] for w in plain])


def run(data: Path, work: Path, quick: bool, progress: Progress) -> dict[str, Any]:
    """Measure.

    Args:
        data: not needed: the streams are made with seeds of their own.
        work: streams, embeddings and curves are kept here; a killed run goes on.
        quick: a few short streams.
        progress: shows the steps.
    """
    study = _Study(work, _QUICK if quick else _FULL, progress)
    ways, knobs = study.ways()
    curves = {
        way.name: study.curve(way) for way in progress.track(ways, description="ways compared")
    }
    baselines = [curves[name] for name in UNIFORM]
    test = study.streams["test"]
    gate = _at(curves[GATE], knobs[GATE])
    rows = []
    for way in ways:
        curve = curves[way.name]
        point = _at(curve, knobs[way.name]) if way.name in knobs else None
        if point is None:
            point = nearest_point(curve, gate.interval)
        rows.append(_row(way, curve, point, baselines))
    return {
        "model": study.engine.info.model_id,
        "streams": _described(study.streams),
        "curves": {
            way.name: {
                "causal": way.causal,
                "points": [
                    {"knob": s.knob, "interval": s.interval, "cider": s.mean}
                    for s in curves[way.name]
                ],
            }
            for way in ways
        },
        "ways": rows,
        "saving_with_recall_on_both": saving_beyond_recall(curves, knobs),
        "detection": [
            _detection(way, knobs[way.name], study)
            for way in ways
            if way.name in knobs and way.name != MEMORY  # which tells when the gate does
        ],
        "recall": study.recall(),
        "seeds": [
            _part(curves, knobs, [i for i, s in enumerate(test) if s.facts["seed_group"] == seed])
            for seed in range(_SEEDS)
        ],
        "groups": _by_density(curves, knobs, test),
        "nearness": {
            "shown": saving(gate, baselines),
            **{nearness: study.saving_by_nearness(nearness) for nearness in NEARNESS[1:]},
        },
    }


def _at(curve: Curve, knob: float) -> Score:
    return min(curve, key=lambda point: abs(point.knob - knob))


def _row(way: Way, curve: Curve, point: Score, baselines: Sequence[Curve]) -> dict[str, Any]:
    """What is told of a way at one of its points, and the best of its savings."""
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
        "best_saving": saving(best, baselines),
        "best_interval": best.interval,
        "best_cider": best.mean,
    }


def saving_beyond_recall(curves: dict[str, Curve], knobs: dict[str, float]) -> dict[str, Any]:
    """What the nodes save against even intervals whose decoder recalls as well as theirs."""
    point, even = _at(curves[MEMORY], knobs[MEMORY]), [curves[UNIFORM_MEMORY]]
    return {"saving": saving(point, even), "saving_95": saving_interval(point, even)}


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


def _detection(way: Way, knob: float, study: _Study) -> dict[str, Any]:
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


def _described(streams: dict[str, list[Stream]]) -> dict[str, Any]:
    test = streams["test"]
    annotations = sum(len(stream.facts["annotations"]) for stream in test)
    return {
        "counts": {kind: len(of_kind) for kind, of_kind in streams.items()},
        "seconds": test[0].duration,
        "annotations": annotations,
        "seconds_per_annotation": sum(stream.duration for stream in test) / annotations,
    }
