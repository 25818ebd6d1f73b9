"""Selective decoding measured: detectors, matching, CIDEr, savings, and the streams' facts."""

import numpy as np
import pytest

for needed in ("pycocoevalcap", "ruptures", "sklearn", "bayesian_changepoint_detection"):
    pytest.importorskip(needed, reason="needs the extra evidence")

from evidence import detectors, selection, sweeps
from evidence.captions import cider
from evidence.detection import detect
from evidence.detectors import Decode
from evidence.scoring import (
    Score,
    about,
    at_interval,
    baseline_interval,
    equal_interval,
    nearest,
    read_curve,
    saving,
    saving_interval,
    score,
    write_curve,
)
from evidence.selection_picture import LINES
from evidence.streams import (
    KINDS,
    PERIOD,
    Stream,
    annotations,
    plan_disturbance,
    plan_stream,
    stream_seed,
)
from evidence.sweeps import GATE, MEMORY

from vljepa_ros.streaming import ChangeGate, GateConfig, Trigger
from vljepa_ros.training.tabletop.generation import SPLITS, episode_seed

CHANGES = (40, 44, 90, 130)  # frames at which the meaning of `stream()` changes
SPAN = 1.5


def meanings(count):
    return np.eye(16)[:count]


def embeddings(changes=CHANGES, total=180, noise=0.02, back=()):
    """(T, 16) unit vectors, another meaning from each of `changes`; `back` repeats the first."""
    rng = np.random.default_rng(0)
    labels = np.searchsorted(changes, np.arange(total), side="right")
    labels = np.where(np.isin(labels, back), 0, labels)
    rows = meanings(16)[labels] + rng.normal(0, noise, (total, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def stream(rows, *events):
    entries = [{"start": s, "end": e, "wordings": list(w)} for s, e, w in events]
    return Stream({"annotations": entries, "frames": len(rows)}, rows)


def starts(decodes):
    return [round(decode.start / PERIOD) for decode in decodes]


# CIDEr


def test_cider_is_highest_for_the_same_text_and_zero_without_common_words():
    wordings = [["the lamp goes on"], ["a red mug appears on the table"], ["the drawer opens"]]
    same = cider([w[0] for w in wordings], wordings)
    assert same == pytest.approx([1000, 1000, 750])  # three words have no n-gram of four
    near = cider(["the lamp goes off", "a red ball appears on the table", "x"], wordings)
    assert (near < same).all()
    assert (near[:2] > 0).all() and near[2] == 0


def test_cider_of_a_tiny_case_by_hand():
    # Two annotations of two words. Each word is in one of them, so that its weight is log 2. The
    # unigrams share one of two words: cosine 1/2. No bigram is shared, and there is none longer.
    values = cider(["red mug", "blue ball"], [["red cup"], ["blue ball"]])
    assert values[0] == pytest.approx(1000 * (1 / 2) / 4)
    assert values[1] == pytest.approx(1000 * (1 + 1) / 4)


def test_cider_ignores_capitals_and_punctuation():
    wordings = [["the lamp goes on"], ["the drawer opens now"]]
    plain = cider(["the lamp goes on", "the drawer opens now"], wordings)
    assert cider(["The lamp goes on!", "the drawer, opens now."], wordings) == pytest.approx(plain)


def test_cider_of_nothing():
    assert len(cider([], [])) == 0


# Detectors


def test_ward_finds_the_changes():
    found = detectors.ward(embeddings(), PERIOD, len(CHANGES) + 1, pooled=True)
    assert starts(found) == [0, *CHANGES]
    assert [np.argmax(d.embedding) for d in found] == [0, 1, 2, 3, 4]


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


CHANGES_APART = (40, 90, 130)


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


# Scoring


def texts(decodes):
    return [
        ("nothing happens here", "the lamp goes on", "a mug appears now")[
            int(np.argmax(d.embedding))
        ]
        for d in decodes
    ]


def test_each_annotation_is_compared_with_the_nearest_decode():
    rows = embeddings((20, 24, 60, 64), total=100, back=(2, 4))
    lamp, mug = (5.0, 5.0, ["the lamp goes on"]), (15.0, 16.0, ["a mug appears now"])
    events = stream(rows, lamp, mug)
    far = Decode(0.0, 0.0, 0.0, meanings(16)[0])
    lamp_told = Decode(5.5, 5.25, 5.5, meanings(16)[1], change=True)
    found = score([events], [[far, lamp_told]], texts, SPAN, knob=3.0)
    right, wrong = cider(["the lamp goes on"] * 2, [lamp[2], mug[2]])
    assert found.cider == pytest.approx([(right + wrong) / 2])
    assert (found.knob, found.decodes.tolist(), found.interval) == (3.0, [2.0], 12.5)


def test_what_is_known_is_compared_but_not_counted():
    events = stream(embeddings(total=100), (5.0, 5.0, ["the lamp goes on"]))
    known = Decode(5.5, 5.5, 5.5, meanings(16)[1], decoded=False)
    first = Decode(0.0, 0.0, 0.0, meanings(16)[1])
    assert score([events], [[first, known]], texts, SPAN).decodes == [1]


def test_the_time_that_a_decode_stands_for():
    decode = Decode(time=10.0, start=9.0, end=10.0, embedding=meanings(16)[0])
    assert about(decode, SPAN, "shown") == 9.25
    assert about(decode, SPAN, "stamp") == 10.0
    assert about(decode, SPAN, "segment") == 8.75
    assert nearest([1.0, 3.0, 4.0], {"start": 1.0, "end": 4.0}) == 1


def curve(*points):
    return [
        Score(i, np.array([value, value]), np.array([1.0, 1.0]), np.array([i, i]))
        for i, value in points
    ]


def test_equal_interval_lies_between_the_points_on_the_logarithm():
    falling = curve((1.0, 100), (4.0, 60), (16.0, 20))
    assert equal_interval(falling, 60) == pytest.approx(4.0)
    assert equal_interval(falling, 80) == pytest.approx(2.0)
    assert equal_interval(falling, 10) == 16.0
    assert equal_interval(falling, 101) is None
    assert at_interval(falling, 2.0) == pytest.approx(80)
    assert at_interval(falling, 17.0) == 0.0
    bumpy = curve((1.0, 100), (2.0, 50), (4.0, 90), (16.0, 20))
    assert equal_interval(bumpy, 90) == pytest.approx(4.0)  # the longest that reaches it


def test_saving_is_against_the_best_baseline():
    baselines = [curve((1.0, 100), (4.0, 60)), curve((1.0, 90), (3.0, 80), (4.0, 50))]
    (point,) = curve((9.0, 80))
    assert saving(point, baselines) == pytest.approx(3.0)
    low, high = saving_interval(point, baselines)
    assert low == pytest.approx(3.0) and high == pytest.approx(3.0)
    (better,) = curve((5.0, 120))  # none reaches it: the end of the plateau counts
    assert baseline_interval(120, baselines) == pytest.approx(4 ** (2 / 40))
    assert saving(better, baselines) == pytest.approx(5.0 / 4**0.05)
    noisy = [curve((0.25, 101), (1.0, 100), (2.0, 100), (4.0, 60))]
    assert baseline_interval(100.5, noisy) > 2.0


def test_curves_are_kept(tmp_path):
    kept = curve((1.0, 100), (4.0, 60))
    write_curve(tmp_path / "deep" / "a.json", kept)
    again = read_curve(tmp_path / "deep" / "a.json")
    assert [(s.knob, s.mean, s.interval) for s in again] == [
        (s.knob, s.mean, s.interval) for s in kept
    ]


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
    assert found.quiet == pytest.approx(100 - 2 * (1 + SPAN + 1.5), abs=0.6)
    assert found.false_alarms_per_hour == pytest.approx(3600 / found.quiet)


# Streams


@pytest.mark.parametrize("index", range(4))
def test_annotations_agree_with_the_script(index):
    episode = plan_stream(stream_seed(0, "test", index), 120.0, still=False)
    facts = episode.facts(PERIOD)
    found = annotations(episode, facts)
    assert len(found) == len(episode.script.events) > 0
    for entry, event in zip(found, episode.script.events, strict=True):
        assert (entry["start"], entry["end"]) == (event.start, event.end)
        assert 2.0 <= event.start <= event.end < 120.0
        assert len(entry["wordings"]) >= 3
        said = " ".join(entry["wordings"])
        if event.object is not None:
            thing = episode.layout.things[event.object]
            assert f"{thing.color} {thing.name}" in said
        for part in ("drawer", "lamp"):
            assert (part in said) == event.type.startswith(part)
        if event.direction is not None:
            assert event.direction in said


def test_streams_are_the_same_each_time_and_apart_from_the_episodes():
    one, two = (plan_stream(7, 60.0, still=False) for _ in range(2))
    assert one.facts(PERIOD) == two.facts(PERIOD)
    numbers = [stream_seed(s, kind, i) for s in range(3) for kind in KINDS for i in range(60)]
    episodes = {episode_seed(0, split, i) for split in SPLITS for i in range(2400)}
    assert len({*numbers}) == len(numbers)
    assert not episodes & {*numbers}


def test_nothing_happens_in_a_still_stream_but_it_is_disturbed():
    episode = plan_stream(3, 120.0, still=True)
    assert annotations(episode, episode.facts(PERIOD)) == []
    disturbances = [plan_disturbance(seed, 120.0) for seed in range(12)]
    camera = episode.layout.room.camera
    moved = [{repr(d.camera(camera, t)) for t in np.arange(0, 120, 2.0)} for d in disturbances]
    assert any(len(m) == 1 for m in moved) and any(len(m) > 10 for m in moved)
    for disturbance in disturbances:
        gains = np.stack([disturbance.light.at(t) for t in np.arange(0, 120, PERIOD)])
        assert np.ptp(gains) > 0.02 and gains.min() > 0.75 and gains.max() < 1.25
        assert np.abs(np.diff(gains, axis=0)).max() < 0.06  # slow, unlike a lamp


def test_the_ways_have_names_of_their_own():
    ways = [*sweeps.offline(), *sweeps.ours()]
    assert len({way.name for way in ways}) == len(ways)
    rows = embeddings(total=60)
    for way in ways:
        told = way.decode(stream(rows), way.knobs[len(way.knobs) // 2])
        assert told and all(np.isclose(np.linalg.norm(d.embedding), 1) for d in told)


def test_the_better_way_is_chosen_at_the_interval():
    rows = embeddings(CHANGES_APART)
    lamp, mug = ["the lamp goes on"], ["a mug appears now"]
    events = stream(rows, (10.0, 12.0, lamp), (22.5, 24.0, mug))
    late, early = (
        sweeps.Way("w", True, name, (4.0, 8.0), lambda s, k, f=first: [
            Decode(at, at, at, s.embeddings[int(at * 4)]) for at in (1.0, f, f + 10, 33.0)
        ])
        for name, first in (("late", 7.0), ("early", 13.0))
    )  # fmt: skip
    best, knob = sweeps.choose([late, early], [events], texts_of_three, SPAN, 11.25)
    assert (best.settings, best.knobs, knob) == ("early", (4.0, 8.0), 4.0)


def texts_of_three(decodes):
    words = ("nothing happens here", "the lamp goes on", "a mug appears now", "all is quiet")
    return [words[int(np.argmax(d.embedding))] for d in decodes]


def test_the_report_shows_every_way_and_the_savings(tmp_path):
    points = [{"knob": 1.0, "interval": i, "cider": 500 / i} for i in (1.0, 2.0, 8.0)]
    row = {
        "causal": True, "settings": "", "knob": 1.0, "interval": 8.0, "cider": 62.5,
        "cider_95": [60.0, 65.0], "uniform_interval": 2.0, "saving": 4.25,
        "saving_95": [3.5, 5.0], "best_saving": 4.5, "best_interval": 9.0, "best_cider": 60.0,
    }  # fmt: skip
    part = {name: {"interval": 8.0, "cider": 60.0, "saving": 4.0} for name in (GATE, MEMORY)}
    told = {"name": GATE, "delay_median": 0.9, "delay_90": 1.3, "missed": 0.04}
    told |= {"false_alarms_per_hour_still": 2.5, "false_alarms_per_hour_events": 7.5}
    result = {
        "model": "m@1",
        "streams": {
            "counts": {"test": 60, "test-still": 12, "validation": 9},
            "seconds": 180.0, "annotations": 1300, "seconds_per_annotation": 8.3,
        },
        "curves": {name: {"causal": True, "points": points} for name in LINES},
        "ways": [{"name": name, **row} for name in LINES],
        "detection": [told, {**told, "name": "EWMA", "delay_median": None, "delay_90": None}],
        "seeds": [{"streams": 20, **part}] * 3,
        "groups": [{"name": "few events", "seconds_per_event": 12.0, "streams": 20, **part}],
        "nearness": {"shown": 4.25, "stamp": 3.9, "segment": 4.1},
    }  # fmt: skip
    text = selection.markdown(result)
    assert all(f"| {name} |" in text for name in LINES)
    for told_number in ("4.25x (3.50 to 5.00)", "4.50x at 9.0 s", "0.90", "4.0%", "stamp 3.90x"):
        assert told_number in text
    selection.draw(result, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
