"""FrameWindow: the frames of a window are chosen by stamp, at any camera rate."""

from weakref import WeakSet

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_ros.errors import InputError
from vljepa_ros.streaming import FrameWindow

SECOND = 1_000_000_000


def filled(rate: float, seconds: float, **settings: float) -> FrameWindow[int]:
    """Return a window of 4 x 0.5 s after `seconds` of a camera with `rate` images a second."""
    window: FrameWindow[int] = FrameWindow(4, 0.5, **settings)
    for index in range(round(rate * seconds) + 1):
        window.add(round(index / rate * SECOND), index)
    return window


def ages(window: FrameWindow[int]) -> list[float]:
    """Return how much older than the newest each sampled frame is, in seconds."""
    sample = window.sample()
    return [round((sample[-1][0] - stamp) / SECOND, 3) for stamp, _ in sample]


class Image:
    """A frame of which one can tell whether anything still holds it."""


def images_held(window: FrameWindow[Image], stamps: list[int]) -> int:
    """Add an image at each stamp; return how many of them the window holds in the end."""
    held: WeakSet[Image] = WeakSet()
    for stamp in stamps:
        image = Image()
        held.add(image)
        window.add(stamp, image)
    del image
    return len(held)


@pytest.mark.parametrize("rate", [2, 10, 30, 120])
def test_full_window_is_spaced_by_the_period_at_any_rate(rate: float) -> None:
    assert ages(filled(rate, 5)) == pytest.approx([1.5, 1.0, 0.5, 0.0], abs=0.5 / rate + 1e-3)


def test_rate_that_does_not_divide_the_period_takes_the_nearest() -> None:
    assert ages(filled(7, 5)) == pytest.approx([1.5, 1.0, 0.5, 0.0], abs=0.5 / 7)


def test_slow_camera_gives_each_frame_once() -> None:
    assert ages(filled(1, 10)) == [1.0, 0.0]
    assert ages(filled(0.1, 100)) == [0.0]


def test_short_history_gives_fewer_frames() -> None:
    assert ages(filled(10, 0)) == [0.0]
    assert ages(filled(10, 0.2)) == [0.0]
    assert ages(filled(10, 0.5)) == [0.5, 0.0]
    assert ages(filled(10, 1.0)) == [1.0, 0.5, 0.0]


def test_empty_window() -> None:
    assert FrameWindow[int](4, 0.5).sample() == []


def test_items_come_with_their_stamps() -> None:
    assert filled(2, 2).sample() == [(k * SECOND // 2, k) for k in (1, 2, 3, 4)]


def test_single_frame_window_keeps_only_the_newest() -> None:
    window: FrameWindow[str] = FrameWindow(1, 0.5)
    for stamp in range(0, 10 * SECOND, SECOND // 10):
        window.add(stamp, str(stamp))
    assert window.sample() == [(stamp, str(stamp))]


def test_time_running_backwards_clears_and_says_so() -> None:
    window = filled(10, 3)
    assert window.add(0, 99) is True
    assert window.sample() == [(0, 99)]
    assert window.add(SECOND // 2, 100) is False
    assert len(window.sample()) == 2


def test_long_gap_drops_what_is_too_old_and_is_no_fault() -> None:
    window = filled(10, 3)
    assert window.add(60 * SECOND, 99) is False
    assert window.sample() == [(60 * SECOND, 99)]
    stamps = [*range(0, 3 * SECOND, SECOND // 10), 60 * SECOND]
    assert images_held(FrameWindow(4, 0.5), stamps) == 1


def test_short_gap_leaves_a_hole() -> None:
    window = filled(10, 3)
    window.add(4 * SECOND, 99)
    assert ages(window) == [1.5, 1.0, 0.0]


def test_equal_stamps_replace_the_newest() -> None:
    window: FrameWindow[str] = FrameWindow(4, 0.5)
    window.add(0, "a")
    assert window.add(0, "b") is False
    assert window.sample() == [(0, "b")]


def test_min_spacing_keeps_few_frames_and_always_the_newest() -> None:
    window = filled(30, 10, min_spacing=0.25)
    stamps = [round(index / 30 * SECOND) for index in range(301)]
    assert images_held(FrameWindow(4, 0.5, min_spacing=0.25), stamps) <= 9
    assert window.sample()[-1] == (10 * SECOND, 300)
    assert ages(window) == pytest.approx([1.5, 1.0, 0.5, 0.0], abs=0.15)


@pytest.mark.parametrize(
    ("frames", "period", "min_spacing"),
    [(0, 0.5, 0), (4, 0, 0), (4, float("nan"), 0), (4, 0.5, -0.1), (4, 0.5, 0.6)],
)
def test_bad_settings_are_refused(frames: int, period: float, min_spacing: float) -> None:
    with pytest.raises(InputError):
        FrameWindow(frames, period, min_spacing)


@given(
    stamps=st.lists(st.integers(0, 20 * SECOND), min_size=1, max_size=60),
    frames=st.integers(1, 8),
    period=st.floats(0.01, 2.0),
    spacing=st.floats(0, 1),
)
def test_whatever_the_stamps_the_sample_is_a_window(
    stamps: list[int], frames: int, period: float, spacing: float
) -> None:
    window: FrameWindow[int] = FrameWindow(frames, period, spacing * period)
    for index, stamp in enumerate(stamps):
        backwards = window.add(stamp, index)
        assert backwards == (index > 0 and stamp < stamps[index - 1])
        sample = window.sample()
        taken = [frame[0] for frame in sample]
        assert sample[-1] == (stamp, index)
        assert len(sample) <= frames
        assert taken == sorted(set(taken))
        assert taken[0] >= stamp - (frames - 0.5) * period * SECOND - frames


def test_a_frame_halfway_between_two_targets_serves_one_of_them() -> None:
    window: FrameWindow[str] = FrameWindow(4, 0.5)
    window.add(0, "a")
    window.add(3 * SECOND // 4, "b")
    assert ages(window) == [0.75, 0.0]


def test_the_oldest_target_too_has_frames_on_both_sides() -> None:
    window: FrameWindow[str] = FrameWindow(4, 0.5)
    window.add(0, "a")
    window.add(17 * SECOND // 10, "b")
    assert ages(window) == [1.7, 0.0]


def test_a_camera_as_slow_as_min_spacing_loses_no_frame() -> None:
    assert ages(filled(2, 5, min_spacing=0.5)) == [1.5, 1.0, 0.5, 0.0]
