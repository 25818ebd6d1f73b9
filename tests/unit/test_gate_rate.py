"""ChangeGate hears the same in a stream at any rate, evenly sampled or not, and across gaps."""

import pickle
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vljepa_ros.streaming import ChangeGate, GateConfig, Shift, Trigger

SECOND = 1_000_000_000
DIMENSION = 64
EVENTS = np.array([5.0, 9.3, 14.1, 20.05, 26.7])  # s, far enough apart to be told
RAMP = 0.3  # s that each event takes
END = 32.0  # s
Array = NDArray[np.float64]
# Not the defaults, which move with the model's weights: what is tested is how time is counted.
CONFIG = GateConfig(threshold=0.1, smoothing=0.625, settle=0.375, max_silence=0)


def scene(times: Array, seed: int | None = None) -> Array:
    """Embeddings (T, D) at `times` (T,) in s: event k turns meaning k into k + 1; seeded noise."""
    passed = np.clip((times[:, None] - EVENTS) / RAMP, 0, 1)  # (T, events)
    stream = np.zeros((len(times), DIMENSION))
    stream[:, 0] = 1
    stream[:, : len(EVENTS)] -= passed
    stream[:, 1 : len(EVENTS) + 1] += passed
    if seed is not None:
        noise = np.random.default_rng(seed).standard_normal(stream.shape)
        stream += 0.15 / np.sqrt(DIMENSION) * noise  # a cosine of 0.99 with the clean embedding
    return stream


def run(gate: ChangeGate, times: Array, stream: Array) -> list[Shift]:
    """Feed embeddings (T, D) at `times` (T,) in s and return what the gate sent."""
    updates = zip(times, stream, strict=True)
    sent = [gate.update(round(time * SECOND), vector) for time, vector in updates]
    return [shift for shift in sent if shift is not None]


def evenly(rate: float) -> Array:
    return np.arange(0, END, 1 / rate)


def uneven(name: str) -> Array:
    """Times (T,) in s of a stream of no steady rate."""
    rng = np.random.default_rng(3)
    if name == "irregular":
        times = np.cumsum(rng.uniform(0.03, 0.45, 1000))
    elif name == "jitter":
        times = evenly(12) + rng.uniform(0, 0.07, len(evenly(12)))
    elif name == "dropped":
        times = evenly(30)[rng.random(len(evenly(30))) > 0.75]
    else:  # now thirty a second, now three
        fast = evenly(30) % 3 < 1
        times = evenly(30)[fast | (np.arange(len(fast)) % 10 == 0)]
    return times[times < END]


@cache
def expected() -> Array:
    """When (s) the events are told where the stream is dense and clean."""
    dense = run(ChangeGate(CONFIG), evenly(200), scene(evenly(200)))
    return np.array([shift.segment_end for shift in dense[1:]]) / SECOND


def check(times: Array, seed: int) -> None:
    """Each event is one shift, told as if the stream were dense, but for what is not sampled."""
    first, *sent = run(ChangeGate(CONFIG), times, scene(times, seed))
    assert first.trigger is Trigger.FIRST
    assert [int(np.argmax(shift.embedding)) for shift in sent] == [1, 2, 3, 4, 5]
    told = np.array([shift.segment_end for shift in sent]) / SECOND
    # A period goes by until a change can be seen, and another until it can be seen to hold.
    periods = np.array(
        [np.diff(times[(times > event - 1) & (times < event + 2)]).max() for event in EVENTS]
    )
    assert np.all(np.abs(told - expected()) <= 1.5 * periods + 0.05)


@pytest.mark.parametrize("rate", [2, 4, 8, 12, 30, 100])
def test_events_are_told_once_and_in_time_at_any_rate(rate: float) -> None:
    for seed in range(5):
        check(evenly(rate) + 0.02 * seed, seed)


@pytest.mark.parametrize("name", ["irregular", "jitter", "dropped", "changing"])
def test_events_are_told_once_and_in_time_without_a_steady_rate(name: str) -> None:
    for seed in range(5):
        check(uneven(name), seed)


@settings(max_examples=40, deadline=None)
@given(rate=st.floats(2, 60), phase=st.floats(0, 1), seed=st.integers(0, 10_000))
def test_no_rate_is_special(rate: float, phase: float, seed: int) -> None:
    check(evenly(rate) + phase / rate, seed)


@pytest.mark.parametrize("rate", [2, 4, 8, 12, 30, 100])
def test_flicker_that_does_not_hold_is_ignored_at_any_rate(rate: float) -> None:
    times = evenly(rate)
    flicker = (times[:, None] >= EVENTS) & (times[:, None] < EVENTS + 0.26)
    stream = np.eye(DIMENSION)[flicker.any(axis=1).astype(int)]
    assert len(run(ChangeGate(GateConfig(max_silence=0)), times, stream)) == 1


@pytest.mark.parametrize("jitter", [0, 0.03, 0.06])
def test_defaults_have_a_change_hold_for_four_embeddings_at_four_a_second(jitter: float) -> None:
    """Which the threshold was chosen with; stamps off by 0.06 s do not matter."""
    config = GateConfig(max_silence=0)
    rng = np.random.default_rng(0)
    for _ in range(50):
        times = 1 + evenly(4) + rng.uniform(-jitter, jitter, len(evenly(4)))
        meaning = (np.arange(len(times)) >= 20).astype(int)
        first, shift = run(ChangeGate(config), times, np.eye(DIMENSION)[meaning])
        assert first.segment_end == round(times[3] * SECOND)
        assert (first.embeddings, shift.embeddings) == (4, 4)
        assert shift.segment_start == round(times[20] * SECOND)


def test_window_does_not_reach_across_a_gap() -> None:
    gate = ChangeGate(GateConfig())
    old, new = np.eye(DIMENSION)[:2]
    run(gate, evenly(12), np.repeat(old[None], len(evenly(12)), axis=0))
    gate.update(round((END + 20) * SECOND), new)
    assert gate.score == pytest.approx(1)


def test_first_is_not_of_both_sides_of_a_gap() -> None:
    old, new = np.eye(DIMENSION)[:2]
    (first,) = run(ChangeGate(GateConfig()), np.array([0, 20]), np.stack([old, new]))
    assert (first.trigger, first.embeddings) == (Trigger.FIRST, 1)
    np.testing.assert_allclose(first.embedding, new, atol=1e-6)


def test_change_does_not_age_in_a_gap() -> None:
    times = np.array([*np.arange(0, 5, 0.25), 5.0, 25.0, *np.arange(25.25, 30, 0.25)])
    meaning = np.zeros(len(times), dtype=int)
    meaning[20:22] = 1, 2  # one embedding before the gap, another of yet another meaning after it
    assert len(run(ChangeGate(GateConfig()), times, np.eye(DIMENSION)[meaning])) == 1


def test_stream_slower_than_the_smoothing_time_is_heard() -> None:
    times = np.arange(0, 60, 3.0)
    meaning = (np.arange(len(times)) >= 10).astype(int)
    _, shift = run(ChangeGate(GateConfig(max_silence=0)), times, np.eye(DIMENSION)[meaning])
    assert (shift.trigger, shift.segment_start, shift.embeddings) == (
        Trigger.SHIFT,
        30 * SECOND,
        2,
    )


@pytest.mark.parametrize("rate", [0.5, 1, 2, 12, 30])
def test_stream_that_never_settles_is_told_within_a_bound(rate: float) -> None:
    config = GateConfig(max_silence=0)
    times = np.arange(0, 100, 1 / rate)
    wild = np.random.default_rng(1).standard_normal((len(times), DIMENSION))
    told = np.array([s.segment_end for s in run(ChangeGate(config), times, wild)]) / SECOND
    # Of a period longer than `smoothing` only that much counts.
    slower = max(1, 1 / rate / config.smoothing)
    assert np.diff(told).max() <= 2 * 4 * config.settle * slower


@pytest.mark.parametrize("rate", [4, 100])
def test_memory_is_that_of_the_window(rate: int) -> None:
    gate, times, stream = ChangeGate(GateConfig()), evenly(rate), scene(evenly(rate), seed=0)
    run(gate, times[: 2 * rate], stream[: 2 * rate])
    early = len(pickle.dumps(gate))
    run(gate, times[2 * rate :], stream[2 * rate :])
    assert len(pickle.dumps(gate)) < early + 4 * DIMENSION * 8


def test_first_takes_a_stream_slower_than_settle_but_not_than_smoothing() -> None:
    config = GateConfig(smoothing=2, settle=0.375)
    (first,) = run(ChangeGate(config), np.array([0, 1.0]), np.eye(1, DIMENSION).repeat(2, axis=0))
    assert (first.trigger, first.embeddings) == (Trigger.FIRST, 2)


def test_first_is_of_all_embeddings_when_a_period_is_just_as_long_as_settle() -> None:
    config = GateConfig(smoothing=0.5, settle=0.5)
    (first,) = run(ChangeGate(config), np.array([0, 0.5]), np.eye(1, DIMENSION).repeat(2, axis=0))
    assert first.embeddings == 2
