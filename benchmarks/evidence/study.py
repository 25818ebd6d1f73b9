"""The streams of selective decoding, all ways of decoding them, and what was measured of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from evidence.detectors import remembered
from evidence.kept import Kept, code, digest
from evidence.names import GATE, MEMORY, UNIFORM
from evidence.scoring import Curve, Score, Texts, from_rows, saving, score, to_rows
from evidence.store import made_by
from evidence.streams import load_streams, make_streams
from evidence.sweeps import RECALLS, Way, choose, offline, ours, to_choose, uniform_recalling
from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.streaming import GateConfig

SEEDS = 3


@dataclass(frozen=True)
class Size:
    """How many streams of each kind, and how long in s."""

    counts: dict[str, int]
    seconds: float


FULL = Size({"validation": 9, "test": 60, "test-still": 12}, 180.0)
QUICK = Size({"validation": 1, "test": 3, "test-still": 1}, 60.0)


class Study:
    """The streams, what has been decoded, and the folder where curves are kept."""

    def __init__(self, work: Path, size: Size, progress: Progress) -> None:
        make_streams(work, size.counts, SEEDS, size.seconds, progress)
        self.engine = Engine.load("vljepa-tiny", FASTEST)
        info = self.engine.info
        self.span = (info.window_frames - 1) * info.window_period
        self.texts = Texts(self.engine)
        self.progress = progress
        self.streams = {
            kind: load_streams(work, kind, count, self.engine, progress)
            for kind, count in size.counts.items()
        }
        asked = [s.facts["annotations"] for streams in self.streams.values() for s in streams]
        measured = digest(GateConfig(), size, asked, code())
        self.kept = Kept(work / "kept" / made_by(info) / measured)

    def ways(self) -> tuple[list[Way], dict[str, float]]:
        """All ways, and the value of the knob at which each is looked at more closely."""
        validation = self.streams["validation"]
        gate = ours()[0]
        threshold = GateConfig().threshold
        told = [gate.decode(stream, threshold) for stream in validation]
        interval = score(validation, told, self.texts, self.span).interval
        ways = [*offline(), *uniform_recalling(), *ours()]
        knobs = {GATE: threshold, MEMORY: threshold}

        def chosen(family: Sequence[Way]) -> tuple[str, float]:
            best, knob = choose(family, validation, self.texts, self.span, interval)
            return best.settings, knob

        for name, family in self.progress.track(
            to_choose(validation).items(), description="settings chosen"
        ):
            settings, knobs[name] = self.measured(
                f"chosen, {name}",
                [(way.settings, way.knobs) for way in family],
                lambda family=family: chosen(family),
            )
            ways.append(next(way for way in family if way.settings == settings))
        return ways, knobs

    def measured(self, name: str, settings: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, measured once with these settings."""
        return self.kept.once(f"{name}, {digest(settings)}", make)

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
            self.measured(
                way.name,
                (way.settings, way.knobs),
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
