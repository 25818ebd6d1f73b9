"""The rate limit on streams of stamps."""

from __future__ import annotations

import pytest

from vljepa_ros.streaming import RateLimit

SECOND = 1_000_000_000


def accepted(limit: RateLimit, rate: float, seconds: float, start: float = 100.0) -> list[float]:
    """Stamps in s, of a camera with this rate, that the limit lets through."""
    stamps = [start + k / rate for k in range(round(seconds * rate))]
    return [stamp for stamp in stamps if limit.accept(round(stamp * SECOND))]


@pytest.mark.parametrize("camera", [4.0, 5.0, 12.0, 15.0, 30.0, 60.0])
def test_the_mean_rate_is_the_limit_whatever_the_camera(camera: float) -> None:
    passed = accepted(RateLimit(4.0), camera, 60)
    assert len(passed) == pytest.approx(240, abs=2)


def test_a_slower_camera_and_no_limit_lose_nothing() -> None:
    assert len(accepted(RateLimit(4.0), 2.0, 30)) == 60
    assert len(accepted(RateLimit(0.0), 30.0, 10)) == 300


def test_a_rest_is_not_made_up_for() -> None:
    limit = RateLimit(4.0)
    accepted(limit, 30.0, 5)
    after = accepted(limit, 30.0, 1, start=200.0)
    assert len(after) == pytest.approx(4, abs=1)


def test_time_that_runs_backwards_is_a_new_stream() -> None:
    limit = RateLimit(4.0)
    accepted(limit, 30.0, 10)
    assert accepted(limit, 30.0, 1, start=50.0)[0] == 50.0


def test_a_recording_that_is_shorter_than_a_period_is_heard_each_time_it_begins_anew() -> None:
    limit = RateLimit(0.1)
    assert [accepted(limit, 4.0, 8) for _ in range(3)] == [[100.0]] * 3
