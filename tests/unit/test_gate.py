"""ChangeGate on synthetic streams of embeddings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.gate_streams import CONFIG, DIMENSION, SECOND, Stream, arc, axis, hold, noisy, run
from vljepa_ros.errors import InputError
from vljepa_ros.streaming import ChangeGate, GateConfig, Trigger


def test_constant_stream_gives_one_first() -> None:
    (first,) = run(ChangeGate(CONFIG), hold(0, 200))
    assert (first.trigger, first.segment_id, first.embeddings) == (Trigger.FIRST, 0, 3)
    assert (first.segment_start, first.segment_end) == (0, SECOND // 5)
    assert first.embedding.dtype == np.float32
    np.testing.assert_allclose(first.embedding, axis(0)[0], atol=1e-6)


def test_first_comes_at_once_without_settling() -> None:
    gate = ChangeGate(GateConfig(settle=0))
    shift = gate.update(5, axis(0)[0])
    assert shift is not None and shift.trigger is Trigger.FIRST and shift.segment_end == 5


@pytest.mark.parametrize("settle", [0, 0.05, 0.15, 0.65])
@pytest.mark.parametrize("smoothing", [0, 0.15, 0.25, 0.75])
def test_step_gives_one_shift_with_bounded_delay(smoothing: float, settle: float) -> None:
    config = replace(CONFIG, smoothing=smoothing, settle=settle)
    first, shift = run(ChangeGate(config), np.vstack([hold(0, 40), hold(1, 40)]))
    assert (first.trigger, shift.trigger, shift.segment_id) == (Trigger.FIRST, Trigger.SHIFT, 1)
    assert 4 * SECOND <= shift.segment_start <= shift.segment_end
    assert (shift.segment_end - 4 * SECOND) / SECOND <= smoothing + settle + 0.1
    assert shift.score > shift.threshold == 0.25
    np.testing.assert_allclose(shift.embedding, axis(1)[0], atol=1e-6)


def test_every_step_of_a_noisy_stream_is_found_and_nothing_else() -> None:
    stream = noisy(np.vstack([hold(index, 30) for index in range(20)]), cosine=0.9)
    sent = run(ChangeGate(CONFIG), stream)
    assert [shift.segment_id for shift in sent] == list(range(20))
    for index, shift in enumerate(sent):
        assert int(np.argmax(shift.embedding)) == index
        assert np.linalg.norm(shift.embedding) == pytest.approx(1, abs=1e-6)
        assert 3 * index <= shift.segment_start / SECOND < shift.segment_end / SECOND
        assert shift.segment_end / SECOND < 3 * index + 1


@pytest.mark.parametrize("cosine", [0.99, 0.9, 0.85])
def test_noise_alone_raises_no_alarm(cosine: float) -> None:
    for seed in range(5):
        sent = run(ChangeGate(CONFIG), noisy(hold(0, 4000), cosine, seed))
        assert [shift.trigger for shift in sent] == [Trigger.FIRST]


def test_change_below_the_threshold_is_none() -> None:
    stream = np.vstack([hold(0, 50), np.repeat(arc(np.arccos(0.8), 2)[1:], 500, axis=0)])
    assert len(run(ChangeGate(CONFIG), stream)) == 1


@pytest.mark.parametrize("length", [1, 2])
def test_flicker_is_ignored(length: int) -> None:
    stream = np.vstack([np.vstack([hold(0, 20), hold(1, length)]) for _ in range(20)])
    assert len(run(ChangeGate(CONFIG), stream)) == 1


def test_fast_alternation_becomes_one_meaning() -> None:
    stream = np.vstack([hold(0, 30)] + [hold(index % 2, 1) for index in range(400)])
    assert len(run(ChangeGate(CONFIG), stream)) <= 2


def test_slow_drift_is_noticed_whatever_its_speed() -> None:
    alarm = np.arccos(1 - CONFIG.threshold)
    for count in (100, 1000, 10_000):
        sent = run(ChangeGate(CONFIG), arc(3 * np.pi, count))
        turned = [shift.segment_end / SECOND * 10 / (count - 1) * 3 * np.pi for shift in sent]
        steps = np.diff([0, *turned[1:]])
        assert np.all(steps <= 2.2 * alarm + 8 * 3 * np.pi / count)
        assert len(sent) - 1 <= 3 * np.pi / alarm


@pytest.mark.parametrize("length", [5, 10, 20])
def test_ramp_ends_in_a_shift_to_the_new_meaning(length: int) -> None:
    stream = np.vstack([hold(0, 40), arc(np.pi / 2, length), hold(1, 60)])
    sent = run(ChangeGate(CONFIG), stream)
    assert 2 <= len(sent) <= 4
    assert sent[-1].segment_end / SECOND <= 4 + length / 10 + 0.8
    gate_view = sent[-1].embedding
    assert gate_view[1] > gate_view[0]


def test_stream_that_never_settles_is_still_told_with_a_bound() -> None:
    wild = np.random.default_rng(1).standard_normal((300, DIMENSION))
    sent = run(ChangeGate(CONFIG), wild)
    told = np.array([shift.segment_end for shift in sent]) / SECOND
    assert 10 <= len(sent) <= 30 / CONFIG.settle
    assert np.diff(told).max() <= 3 * 4 * CONFIG.settle


def test_meaning_that_does_not_last_is_not_mixed_into_the_next() -> None:
    config = replace(CONFIG, settle=0.65)
    stream = np.vstack([hold(0, 40), hold(1, 5), hold(2, 40)])
    _, shift = run(ChangeGate(config), stream)
    assert shift.embedding[2] > 0.999
    assert shift.segment_start >= 4.5 * SECOND


def test_window_forgets_the_old_meaning_once_a_shift_is_told() -> None:
    config = replace(CONFIG, threshold=0.1, smoothing=0.75, settle=0)
    assert len(run(ChangeGate(config), np.vstack([hold(0, 40), hold(1, 40)]))) == 2


def test_min_interval_delays_a_shift_but_does_not_lose_it() -> None:
    config = replace(CONFIG, smoothing=0, settle=0.05, min_interval=5)
    stream = np.vstack([hold(0, 10), hold(1, 200)])
    first, shift = run(ChangeGate(config), stream)
    assert shift.segment_end - first.segment_end == 5 * SECOND
    assert shift.segment_start == SECOND
    np.testing.assert_allclose(shift.embedding, axis(1)[0], atol=1e-6)


def test_max_silence_sends_the_running_segment_again() -> None:
    config = replace(CONFIG, max_silence=2)
    first, *later = run(ChangeGate(config), hold(0, 100))
    assert [shift.trigger for shift in later] == [Trigger.MAX_SILENCE] * 4
    assert {shift.segment_id for shift in later} == {0}
    assert [shift.segment_end - first.segment_end for shift in later] == [
        2 * SECOND * times for times in (1, 2, 3, 4)
    ]
    assert [shift.embeddings for shift in later] == [23, 43, 63, 83]


def test_request_returns_the_running_segment() -> None:
    gate = ChangeGate(CONFIG)
    assert gate.request() is None
    run(gate, hold(0, 10))
    shift = gate.request()
    assert shift is not None
    assert (shift.trigger, shift.segment_id, shift.embeddings) == (Trigger.REQUEST, 0, 10)


def test_request_counts_as_telling() -> None:
    gate = ChangeGate(GateConfig(max_silence=2))
    run(gate, hold(0, 15))
    gate.request()
    assert run(gate, hold(0, 15), start=15 * SECOND // 10) == []


def test_time_running_backwards_starts_anew_with_fresh_ids() -> None:
    gate = ChangeGate(CONFIG)
    run(gate, np.vstack([hold(0, 20), hold(1, 20)]))
    (again,) = run(gate, hold(2, 20))
    assert (again.trigger, again.segment_id, again.segment_start) == (Trigger.FIRST, 2, 0)
    np.testing.assert_allclose(again.embedding, axis(2)[0], atol=1e-6)


def test_gap_in_the_stream_is_survived() -> None:
    gate = ChangeGate(CONFIG)
    run(gate, hold(0, 20))
    assert run(gate, hold(0, 20), start=1000 * SECOND) == []
    (shift,) = run(gate, hold(1, 20), start=5000 * SECOND)
    assert shift.trigger is Trigger.SHIFT and shift.segment_start >= 5000 * SECOND


@pytest.mark.parametrize(
    "bad",
    [
        np.full(DIMENSION, np.nan),
        np.full(DIMENSION, np.inf),
        np.zeros(DIMENSION),
        np.ones(DIMENSION + 1),
        np.ones(0),
        np.ones((1, DIMENSION)),
    ],
)
def test_bad_embedding_is_refused_and_leaves_no_trace(bad: Stream) -> None:
    stream = noisy(np.vstack([hold(0, 30), hold(1, 30)]), 0.9)
    expected = run(ChangeGate(CONFIG), stream)
    gate, sent = ChangeGate(CONFIG), []
    for index, embedding in enumerate(stream):
        shift = gate.update(round(index / 10 * SECOND), embedding)
        sent += [shift] if shift else []
        with pytest.raises(InputError):
            gate.update(0, bad)
    assert [shift.segment_end for shift in sent] == [shift.segment_end for shift in expected]


def test_length_of_the_embeddings_does_not_matter() -> None:
    stream = np.vstack([hold(0, 30), hold(1, 30)])
    scales = np.logspace(-300, 300, len(stream))[:, None]
    assert len(run(ChangeGate(CONFIG), stream * scales)) == 2


def test_opposite_embeddings_have_no_common_direction() -> None:
    stream = np.vstack([axis(0), -axis(0)] * 50)
    for shift in run(ChangeGate(replace(CONFIG, settle=0.05, smoothing=0.15)), stream):
        assert np.linalg.norm(shift.embedding) == pytest.approx(1)


def test_score_is_the_distance_of_the_recent_window() -> None:
    gate = ChangeGate(replace(CONFIG, smoothing=0))
    run(gate, hold(0, 10))
    assert gate.score == pytest.approx(0, abs=1e-12)
    gate.update(2 * SECOND, (axis(0) + axis(1))[0])
    assert gate.score == pytest.approx(1 - np.sqrt(0.5))


def test_config_may_change_at_run_time() -> None:
    gate = ChangeGate(replace(CONFIG, threshold=2, smoothing=0.75))
    assert len(run(gate, np.vstack([hold(0, 20), hold(1, 10)]))) == 1
    gate.config = CONFIG
    (shift,) = run(gate, hold(1, 20), start=3 * SECOND)
    assert shift.trigger is Trigger.SHIFT and shift.threshold == CONFIG.threshold
    gate.config = GateConfig(threshold=0.1, smoothing=1.55)
    assert run(gate, hold(1, 40), start=5 * SECOND) == []


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    smoothing=st.floats(0, 0.6),
    settle=st.floats(0, 0.6),
    min_interval=st.sampled_from([0.0, 0.5, 2.0]),
    max_silence=st.sampled_from([0.0, 3.0]),
)
def test_segments_are_in_order_and_never_overlap(
    seed: int, smoothing: float, settle: float, min_interval: float, max_silence: float
) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 25, size=12)
    stream = noisy(np.vstack([hold(int(rng.integers(0, 5)), n) for n in lengths]), 0.9, seed)
    config = GateConfig(
        smoothing=smoothing, settle=settle, min_interval=min_interval, max_silence=max_silence
    )
    last_end: dict[int, int] = {}
    shifts = []
    for shift in run(ChangeGate(config), stream):
        assert np.isfinite(shift.embedding).all()
        assert np.linalg.norm(shift.embedding) == pytest.approx(1, abs=1e-6)
        assert shift.segment_start <= shift.segment_end
        earlier = last_end.get(shift.segment_id - 1)
        assert earlier is None or shift.segment_start > earlier
        last_end[shift.segment_id] = shift.segment_end
        if shift.trigger in (Trigger.FIRST, Trigger.SHIFT):
            shifts.append(shift)
    assert [shift.segment_id for shift in shifts] == list(range(len(shifts)))
    gaps = np.diff([shift.segment_end for shift in shifts])
    assert (gaps >= min_interval * SECOND).all()
