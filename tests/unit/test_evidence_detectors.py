"""Detectors of changes on made-up streams, and what counts as an alarm."""

import numpy as np
import pytest

for needed in ("pycocoevalcap", "ruptures", "sklearn", "bayesian_changepoint_detection"):
    pytest.importorskip(needed, reason="needs the extra evidence")

from evidence import detectors
from evidence.detection import detect
from evidence.detectors import Decode
from evidence.drawing import PERIOD

from tests.unit.made_streams import CHANGES, CHANGES_APART, SPAN, embeddings, starts, stream
from vljepa_ros.streaming import ChangeGate, GateConfig, Trigger


def test_ward_finds_the_changes():
    found = detectors.ward(embeddings(), PERIOD, len(CHANGES) + 1, pooled=True)
    assert starts(found) == [0, *CHANGES]
    assert [np.argmax(d.embedding) for d in found] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("pooled", [False, True])
def test_ward_at_one_height_gives_a_stream_as_many_segments_as_it_has_changes(pooled):
    found = detectors.ward_by_height(embeddings(), PERIOD, 2.0, pooled)
    assert len(found) == len(CHANGES) + 1
    same = detectors.ward(embeddings(), PERIOD, len(CHANGES) + 1, pooled)
    assert [d.time for d in found] == [d.time for d in same]
    assert len(detectors.ward_by_height(embeddings(CHANGES[:1]), PERIOD, 2.0, pooled)) == 2
    assert len(detectors.ward_by_height(embeddings(), PERIOD, 100.0, pooled)) == 1


def test_kernel_segments_find_the_changes():
    found = detectors.kernel_segments(embeddings(), PERIOD, 1.0, pooled=True)
    assert starts(found) == [0, *CHANGES]


@pytest.mark.parametrize("pooled", [False, True])
def test_uniform_covers_the_stream_evenly(pooled):
    rows = embeddings()
    found = detectors.uniform(rows, PERIOD, 18, pooled)
    assert np.diff([d.time for d in found]) == pytest.approx(2.5)
    assert found[0].time == pytest.approx(1.125 if pooled else 1.0)
    if not pooled:
        assert (found[3].embedding == rows[34]).all()


def test_as_many_segments_as_embeddings_are_the_embeddings():
    rows = embeddings(total=20, changes=(5,))
    for cut in (detectors.uniform, detectors.ward):
        found = cut(rows, PERIOD, 50, True)
        assert np.stack([d.embedding for d in found]) == pytest.approx(rows, abs=1e-6)


def test_gate_is_what_feeding_the_gate_gives():
    rows, config = embeddings(), GateConfig(max_silence=8.0)
    gate, shifts = ChangeGate(config), []
    for number, row in enumerate(rows):
        stamp = number * 250_000_000
        if (shift := gate.update(stamp, row)) is not None:
            shifts.append((stamp, shift))
    found = detectors.gate(rows, PERIOD, config)
    assert {s.trigger for _, s in shifts} == {Trigger.FIRST, Trigger.SHIFT, Trigger.MAX_SILENCE}
    assert len(found) == len(shifts)
    for decode, (stamp, shift) in zip(found, shifts, strict=True):
        assert decode.time == stamp / 1e9
        assert (decode.start, decode.end) == (shift.segment_start / 1e9, shift.segment_end / 1e9)
        assert (decode.embedding == shift.embedding).all()
        assert decode.change == (shift.trigger == Trigger.SHIFT)


def causal(rows):
    run_lengths = detectors.RunLengths.fit([embeddings(CHANGES_APART, noise=0.03)], 4)
    return {
        "gate": detectors.gate(rows, PERIOD, GateConfig(max_silence=0)),
        "ewma": detectors.ewma(rows, PERIOD, 0.3, 0.6, 3),
        "cusum": detectors.cusum(rows, PERIOD, 0.5, 0.05, 3),
        "bayesian": detectors.bayesian(rows, PERIOD, run_lengths.posterior(rows, 0.01), 3),
    }


@pytest.mark.parametrize("name", ["gate", "ewma", "cusum", "bayesian"])
def test_causal_detectors_find_the_changes_and_never_look_ahead(name):
    rows = embeddings(CHANGES_APART)
    found = causal(rows)[name]
    assert [d.change for d in found] == [False, True, True, True]
    for decode, change in zip(found[1:], CHANGES_APART, strict=True):
        assert change <= round(decode.time / PERIOD) <= change + 5
        assert np.argmax(decode.embedding) == 1 + CHANGES_APART.index(change)
    cut = round(found[2].time / PERIOD) + 1
    before = causal(rows[:cut])[name]
    assert [d.time for d in before] == [d.time for d in found[:3]]


def test_what_is_remembered_costs_no_decode_and_has_the_first_text():
    rows = embeddings(back=(2, 4))
    told = detectors.gate(rows, PERIOD, GateConfig(max_silence=0))
    found = detectors.remembered(told, 0.15)
    assert [np.argmax(d.embedding) for d in told] == [0, 1, 0, 3, 0]
    assert [d.decoded for d in found] == [True, True, False, True, False]
    assert (found[2].embedding == found[0].embedding).all()
    assert (found[4].embedding == found[0].embedding).all()
    assert all(d.decoded for d in detectors.remembered(told, 0.0))


def test_delays_misses_and_false_alarms():
    rows = embeddings(total=400)
    event = ["something happens"]
    events = stream(rows, (10.0, 11.0, event), (30.0, 31.0, event))

    def change(time):
        return Decode(time, time, time, rows[0], change=True)

    opening = Decode(0.5, 0.5, 0.5, rows[0])
    # Told, told to be over, and one where nothing is; of the second event only its end.
    told = [opening, change(10.75), change(13.0), change(20.0), change(33.0)]
    found = detect([events], [told], SPAN)
    assert found.delays == [0.75]
    assert found.missed == 0.5
    assert found.false_alarms == 1
    assert found.quiet == pytest.approx(100 - 2 * (1 + SPAN + 2.5), abs=0.6)
    assert found.false_alarms_per_hour == pytest.approx(3600 / found.quiet)
