"""Selective decoding measured: CIDEr, matching, savings and the report."""

import json

import numpy as np
import pytest

for needed in ("pycocoevalcap", "ruptures", "sklearn", "bayesian_changepoint_detection"):
    pytest.importorskip(needed, reason="needs the extra evidence")

from evidence import selection, sweeps
from evidence.captions import cider
from evidence.detectors import Decode
from evidence.names import GATE, MEMORY, UNIFORM, UNIFORM_MEMORY
from evidence.scoring import (
    Score,
    about,
    at_interval,
    baseline_interval,
    equal_interval,
    from_rows,
    frontier,
    nearest,
    ratio_interval,
    saving,
    saving_interval,
    score,
    to_rows,
)
from evidence.selection_picture import LINES

from tests.unit.made_streams import CHANGES_APART, SPAN, embeddings, meanings, stream

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


def test_points_that_another_beats_say_nothing():
    turning = curve((4.0, 90), (3.0, 70), (5.0, 60), (6.0, 40), (5.5, 30))
    assert [s.interval for s in frontier(turning, lambda s: (s.interval, s.mean))] == [
        4.0,
        5.0,
        6.0,
    ]


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


def test_two_savings_on_the_same_streams_are_told_apart_by_their_ratio():
    # Streams whose decodes differ by far more than the two ways do on any one of them.
    ones, decodes = np.ones(4), np.array([1.0, 2.0, 4.0, 8.0])
    baselines = [[Score(1.0, 100 * ones, 8 * ones, 8 * ones)]]
    point = Score(1.0, 100 * ones, decodes, 8 * ones)
    other = Score(1.0, 100 * ones, 1.25 * decodes, 8 * ones)
    low, high = saving_interval(point, baselines)
    assert high > 2 * low
    assert ratio_interval(point, other, baselines) == pytest.approx((1.25, 1.25))


def test_what_recall_saves_at_even_intervals_too_is_not_the_gates():
    curves = {
        MEMORY: curve((9.0, 80), (12.0, 60)),
        UNIFORM_MEMORY[0]: curve((2.0, 100), (5.0, 80), (8.0, 50)),
        UNIFORM_MEMORY[1]: curve((2.0, 100), (6.0, 80), (8.0, 50)),
        UNIFORM[0]: curve((1.0, 100), (2.0, 80), (4.0, 50)),
        UNIFORM[1]: curve((1.0, 90), (4.0, 50)),
    }
    found = selection.saving_beyond_recall(curves, {MEMORY: 9.0})
    assert found == {
        "saving": pytest.approx(1.5),
        "saving_95": pytest.approx((1.5, 1.5)),
        "recall_alone": pytest.approx(3.0),
    }
    # Of the same CIDEr, also where the nodes' is one that no even interval reaches.
    found = selection.saving_beyond_recall({**curves, MEMORY: curve((9.0, 120))}, {MEMORY: 9.0})
    assert found["recall_alone"] == pytest.approx(2 * 3**0.1 / 2**0.1)


def test_curves_are_kept():
    kept = curve((1.0, 100), (4.0, 60))
    again = from_rows(json.loads(json.dumps(to_rows(kept))))
    assert [(s.knob, s.mean, s.interval) for s in again] == [
        (s.knob, s.mean, s.interval) for s in kept
    ]


def test_the_ways_have_names_of_their_own():
    ways = [*sweeps.offline(), *sweeps.uniform_recalling(), *sweeps.ours()]
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


def test_only_what_is_near_the_interval_is_scored_to_choose():
    events = stream(embeddings(total=160), (10.0, 12.0, ["the lamp goes on"]))
    asked = []

    def decode(of, knob):
        return [Decode(at, at, at, of.embeddings[0]) for at in np.arange(0.0, 40.0, knob)]

    def told(decodes):
        asked.append(40.0 / len(decodes))
        return texts(decodes)

    evenly = sweeps.Way("w", True, "", (0.5, 1.0, 2.0, 4.0, 8.0, 20.0), decode)
    sweeps.choose([evenly], [events], told, SPAN, 4.5)
    assert asked == [4.0, 8.0]


def test_every_value_of_a_knob_is_tried():
    events = stream(embeddings(total=160), (10.0, 12.0, ["the lamp goes on"]))
    evenly = sweeps.Way("w", True, "", (2.0, 4.0, 8.0), lambda s, k: [
        Decode(at, at, at, s.embeddings[0]) for at in np.arange(0.0, 40.0, k)
    ])  # fmt: skip
    assert sweeps.choose([evenly], [events], texts, SPAN, 4.0)[1] == 4.0


def texts_of_three(decodes):
    words = ("nothing happens here", "the lamp goes on", "a mug appears now", "all is quiet")
    return [words[int(np.argmax(d.embedding))] for d in decodes]


def test_the_report_shows_every_way_and_the_savings(tmp_path):
    points = [{"knob": 1.0, "interval": i, "cider": 500 / i} for i in (1.0, 2.0, 8.0)]
    row = {
        "causal": True, "settings": "", "knob": 1.0, "interval": 8.0, "cider": 62.5,
        "cider_95": [60.0, 65.0], "uniform_interval": 2.0, "saving": 4.25,
        "saving_95": [3.5, 5.0], "best_saving": 4.5, "best_interval": 9.0, "best_cider": 60.0,
        "of_gates": 0.85, "of_gates_95": [0.75, 0.95],
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
        "saving_with_recall_on_both": {
            "saving": 1.25, "saving_95": [1.0, 1.5], "recall_alone": 3.5,
        },
        "detection": [told, {**told, "name": "EWMA", "delay_median": None, "delay_90": None}],
        "seeds": [{"streams": 20, **part}] * 3,
        "groups": [{"name": "few events", "seconds_per_event": 12.0, "streams": 20, **part}],
        "recall": [{"within": 0.1, "interval": 12.5, "cider": 61.0}],
        "sentences": {
            "test": {
                "sentences": 40, "true": 30, "unsure": 4, "wrong": 6, "events": 20, "told": 15,
            },
        },
        "nearness": {"shown": 4.25, "stamp": 3.9, "segment": 4.1},
    }  # fmt: skip
    text = selection.markdown(result)
    assert all(f"| {name} |" in text for name in LINES)
    for told_number in (
        "4.25x (3.50 to 5.00)",
        "4.50x at 9.0 s",
        "0.85 (0.75 to 0.95)",
        "our decoder: 1.25x (1.00 to 1.50) saved. Recall alone saves 3.50x",
        "0.90",
        "4.0%",
        "stamp 3.90x",
        "12.50",
        "| test | 40 | 30 (75%) | 4 (10%) | 6 (15%) | 15 of 20 (75%) |",
    ):
        assert told_number in text
    selection.draw(result, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
