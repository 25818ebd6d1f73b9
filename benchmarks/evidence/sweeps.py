"""The ways of decoding that are compared: the knob of each, and the settings to choose among."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from evidence import detectors
from evidence.detectors import Decode, RunLengths
from evidence.drawing import PERIOD
from evidence.names import GATE, MEMORY, TUNED, UNIFORM_MEMORY, WARD, WARD_HEIGHT
from evidence.scoring import Curve, Score, Texts, at_interval, frontier, score
from evidence.streams import Stream
from vljepa_ros.runtime.describer import RECALL_WITHIN
from vljepa_ros.streaming import GateConfig

RECALLS = (0.0, 0.02, 0.05, 0.08, 0.1, 0.15, 0.2)
_DIMS = 6  # principal components that the Bayesian detector watches

INTERVALS = (0.25, *np.geomspace(0.5, 100, 24).round(3).tolist())  # s
_THRESHOLDS = (*np.geomspace(0.01, 0.6, 12).round(4).tolist(), 0.75, 0.9, 1.05, 1.2)
_HEIGHTS = tuple(np.geomspace(0.1, 30, 18).round(3).tolist())  # of Ward's tree
_SUMS = tuple(np.geomspace(0.02, 20, 14).round(3).tolist())
_PENALTIES = tuple(np.geomspace(0.003, 60, 16).round(4).tolist())
_HAZARDS = (0.1, 0.03, 0.01, 1e-3, 1e-5, 1e-8, 1e-12, 1e-18, 1e-26)
_NOISES = (1.0, 4.0, 16.0)
_NEAR = 2.0  # times an interval, as far as points are looked at to tell what is reached there


@dataclass(frozen=True)
class Way:
    """A way of decoding with all settings but its knob.

    Attributes:
        name: as it is shown.
        causal: whether it knows only what has come.
        settings: those that are not the knob, in words.
        knobs: what is swept.
        decode: a stream and the knob's value to decodes.
    """

    name: str
    causal: bool
    settings: str
    knobs: tuple[float, ...]
    decode: Callable[[Stream, float], list[Decode]]

    def curve(self, streams: Sequence[Stream], texts: Texts, span: float) -> Curve:
        """Scores of all values of the knob."""
        return [
            score(streams, [self.decode(s, knob) for s in streams], texts, span, knob)
            for knob in self.knobs
        ]


def offline() -> list[Way]:
    """Uniform decoding, the paper's clustering, and the best segmentation as a bound.

    The paper gives its clustering a number of segments, the same for all streams; cut at one
    height, it may spend more where more happens, as all that follows may.
    """
    ways = []
    for pooled, ending in ((False, ""), (True, ", averaged")):
        for name, cut in (("uniform", detectors.uniform), (WARD, detectors.ward)):
            decode = partial(_by_interval, cut, pooled)
            ways.append(Way(name + ending, False, "", INTERVALS, decode))
        ways.append(Way(WARD_HEIGHT + ending, False, "", _HEIGHTS, partial(_by_height, pooled)))
    ways.append(
        Way(
            "kernel change points, averaged",
            False,
            "",
            _PENALTIES,
            lambda s, penalty: detectors.kernel_segments(s.embeddings, PERIOD, penalty, True),
        )
    )
    return ways


def uniform_recalling() -> list[Way]:
    """Uniform decoding by a decoder that remembers as ours does."""

    def decode(pooled: bool, stream: Stream, interval: float) -> list[Decode]:
        decodes = _by_interval(detectors.uniform, pooled, stream, interval)
        return detectors.remembered(decodes, RECALL_WITHIN)

    settings = f"recall within {RECALL_WITHIN:g}"
    return [
        Way(name, False, settings, INTERVALS, partial(decode, pooled))
        for name, pooled in zip(UNIFORM_MEMORY, (False, True), strict=True)
    ]


def ours() -> list[Way]:
    """The gate as its node runs it, alone and with what the decoder node remembers."""
    default = GateConfig()
    knobs = tuple(sorted({*_THRESHOLDS, default.threshold}))
    return [
        Way(GATE, True, "the node's defaults", knobs, partial(_gate, default)),
        Way(
            MEMORY,
            True,
            f"the nodes' defaults, recall within {RECALL_WITHIN:g}",
            knobs,
            lambda stream, threshold: detectors.remembered(
                _gate(default, stream, threshold), RECALL_WITHIN
            ),
        ),
    ]


def to_choose(fitted_on: Sequence[Stream]) -> dict[str, list[Way]]:
    """Causal detectors, ours and of the literature, each with the settings to choose among."""
    waits = (2, 3, 4, 6, 8)
    found: dict[str, list[Way]] = {TUNED: [], "EWMA": [], "CUSUM": [], "Bayesian": []}
    for settle in (0.375, 0.625, 0.875):
        for smoothing in (0.125, 0.375, 0.625, 0.875):
            config = replace(GateConfig(), settle=settle, smoothing=smoothing)
            settings = f"settle {settle:g} s, smoothing {smoothing:g} s"
            found[TUNED].append(Way(TUNED, True, settings, _THRESHOLDS, partial(_gate, config)))
    for wait in waits:
        for rate in (0.3, 0.6, 1.0):
            found["EWMA"].append(
                Way("EWMA", True, f"rate {rate}, wait {wait}", _THRESHOLDS, _ewma(rate, wait))
            )
        for slack in (0.005, 0.01, 0.02, 0.05, 0.1):
            found["CUSUM"].append(
                Way("CUSUM", True, f"slack {slack}, wait {wait}", _SUMS, _cusum(slack, wait))
            )
    run_lengths = RunLengths.fit([s.embeddings for s in fitted_on], _DIMS)
    # Of one noise: those of the next come when these are no longer asked for.
    posterior = lru_cache(len(fitted_on) * len(_HAZARDS))(partial(_posterior, run_lengths))
    for noise, wait in itertools.product(_NOISES, waits):
        decode = partial(_bayesian, posterior, noise, wait)
        settings = f"noise x{noise:g}, wait {wait}"
        found["Bayesian"].append(Way("Bayesian", True, settings, _HAZARDS, decode))
    return found


def choose(
    ways: Sequence[Way], streams: Sequence[Stream], texts: Texts, span: float, interval: float
) -> tuple[Way, float]:
    """The way with the highest CIDEr at a mean interval, and its knob's value nearest to it."""
    curves = [
        (
            way,
            frontier(_around(way, streams, texts, span, interval), lambda s: (s.interval, s.mean)),
        )
        for way in ways
    ]
    best, curve = max(curves, key=lambda pair: at_interval(pair[1], interval))
    return best, nearest_point(curve, interval).knob


def _around(
    way: Way, streams: Sequence[Stream], texts: Texts, span: float, interval: float
) -> Curve:
    """The part of a way's curve that says how good it is at a mean interval."""
    duration = sum(stream.duration for stream in streams)
    told = {knob: [way.decode(stream, knob) for stream in streams] for knob in way.knobs}
    lengths = {
        knob: duration / sum(d.decoded for of_stream in decodes for d in of_stream)
        for knob, decodes in told.items()
    }
    near = {knob for knob, length in lengths.items() if 1 / _NEAR < length / interval < _NEAR}
    shorter = [knob for knob, length in lengths.items() if length <= interval]
    longer = [knob for knob, length in lengths.items() if length >= interval]
    near |= {max(shorter, key=lengths.__getitem__)} if shorter else set()
    near |= {min(longer, key=lengths.__getitem__)} if longer else set()
    return [score(streams, told[knob], texts, span, knob) for knob in way.knobs if knob in near]


def nearest_point(curve: Curve, interval: float) -> Score:
    """The point of a curve whose mean interval is nearest to one."""
    return min(curve, key=lambda point: abs(np.log(point.interval / interval)))


def _gate(config: GateConfig, stream: Stream, threshold: float) -> list[Decode]:
    return detectors.gate(stream.embeddings, PERIOD, replace(config, threshold=threshold))


def _by_interval(
    cut: Callable[..., list[Decode]], pooled: bool, stream: Stream, interval: float
) -> list[Decode]:
    number = max(1, round(stream.duration / interval))
    return cut(stream.embeddings, PERIOD, number, pooled)


def _by_height(pooled: bool, stream: Stream, height: float) -> list[Decode]:
    return detectors.ward_by_height(stream.embeddings, PERIOD, height, pooled)


def _ewma(rate: float, wait: int) -> Callable[[Stream, float], list[Decode]]:
    return lambda s, threshold: detectors.ewma(s.embeddings, PERIOD, threshold, rate, wait)


def _cusum(slack: float, wait: int) -> Callable[[Stream, float], list[Decode]]:
    return lambda s, threshold: detectors.cusum(s.embeddings, PERIOD, threshold, slack, wait)


def _posterior(
    run_lengths: RunLengths, stream: Stream, hazard: float, noise: float
) -> NDArray[np.float32]:
    return run_lengths.posterior(stream.embeddings, hazard, noise)


def _bayesian(
    posterior: Callable[[Stream, float, float], NDArray[np.float32]],
    noise: float,
    wait: int,
    stream: Stream,
    hazard: float,
) -> list[Decode]:
    return detectors.bayesian(stream.embeddings, PERIOD, posterior(stream, hazard, noise), wait)
