"""ChangeGate at the edges of its times and of its two limits, and after a reset."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.gate_streams import CONFIG, SECOND, axis, hold, run
from vljepa_ros.streaming import ChangeGate


def test_a_change_that_held_for_just_settle_is_told() -> None:
    config = replace(CONFIG, smoothing=0, settle=0.3)
    _, shift = run(ChangeGate(config), np.vstack([hold(0, 40), hold(1, 40)]))
    assert shift.segment_end - shift.segment_start == 3 * SECOND // 10


def test_a_new_stream_settles_before_its_first() -> None:
    gate = ChangeGate(CONFIG)
    run(gate, hold(0, 20))
    (again,) = run(gate, hold(2, 20))
    assert (again.embeddings, again.segment_end) == (3, SECOND // 5)


def test_the_score_of_a_new_stream_begins_at_zero() -> None:
    gate = ChangeGate(replace(CONFIG, smoothing=0))
    run(gate, np.vstack([hold(0, 10), hold(1, 1)]))
    assert gate.score == pytest.approx(1)
    gate.reset()
    assert gate.score == 0


def test_a_change_waits_until_its_variance_is_a_share_of_the_threshold() -> None:
    """Once all of the window is new, and of two directions: its variance is 0.2 then."""
    apart = np.sqrt(0.2)
    one, other = (np.sqrt(0.8) * axis(1) + side * apart * axis(2) for side in (1, -1))
    stream = np.vstack([hold(0, 40), *[one, other] * 10])
    eager, patient = (
        run(ChangeGate(replace(CONFIG, smoothing=0.35, hysteresis=share)), stream)[1]
        for share in (1, 0.6)
    )
    assert eager.segment_end < patient.segment_end == 4 * SECOND + 8 * SECOND // 10


def test_a_change_between_the_two_limits_is_dropped_in_the_end() -> None:
    """Its embeddings belong to the segment again, and what comes later is a change of its own."""
    between = np.cos(1.0) * axis(0) + np.sin(1.0) * axis(1)  # beyond the threshold
    near = 0.8 * axis(0) + 0.6 * axis(1)  # a distance of 0.2: not over, and not a change
    stream = np.vstack([hold(0, 40), *[between] * 3, *[near] * 30])
    gate = ChangeGate(replace(CONFIG, smoothing=0, settle=0.35))
    run(gate, stream)
    assert gate.request().embeddings == len(stream)


def test_an_embedding_just_as_old_as_smoothing_is_averaged() -> None:
    gate = ChangeGate(replace(CONFIG, smoothing=0.5, settle=0))
    gate.update(0, axis(0)[0])
    gate.update(SECOND // 2, axis(1)[0])
    assert gate.score == pytest.approx(1 - np.sqrt(0.5))


def test_where_opposites_cancel_out_the_newest_is_told() -> None:
    gate = ChangeGate(replace(CONFIG, settle=0.15))
    gate.update(0, axis(0)[0])
    gate.update(SECOND // 10, -axis(0)[0])
    np.testing.assert_allclose(gate.request().embedding, -axis(0)[0], atol=1e-6)


def test_a_window_that_reaches_back_before_a_change_does_not_begin_it_anew() -> None:
    config = replace(CONFIG, threshold=0.1, smoothing=0.55)  # averages six
    _, shift = run(ChangeGate(config), np.vstack([hold(0, 40), hold(1, 40)]))
    assert shift.segment_start == 4 * SECOND + SECOND // 5  # three of six are enough
