"""TokenStore, and windows that take what is encoded already before what is not."""

from __future__ import annotations

from vljepa_ros.streaming import FrameWindow, TokenStore

SECOND = 1_000_000_000  # ns


def test_tokens_are_found_by_stream_and_stamp_and_old_ones_go() -> None:
    store: TokenStore[str] = TokenStore(2.0)
    for second in range(1, 6):
        store.add("front", second * SECOND, f"t{second}")
    store.add("left", SECOND, "other")
    assert store.get("front") == {3 * SECOND: "t3", 4 * SECOND: "t4", 5 * SECOND: "t5"}
    assert store.get("left") == {SECOND: "other"}
    store.forget("front")
    assert store.get("front") == {}
    assert store.get("left")


def test_a_frame_without_a_stamp_is_not_kept() -> None:
    store: TokenStore[str] = TokenStore(2.0)
    store.add("front", 0, "whichever frame it was")
    assert store.get("front") == {}


def test_what_is_given_is_a_copy() -> None:
    store: TokenStore[str] = TokenStore(2.0)
    store.add("front", 1, "t")
    store.get("front").clear()
    assert store.get("front") == {1: "t"}


def window_of(stamps: list[float]) -> FrameWindow[str]:
    window: FrameWindow[str] = FrameWindow(4, 0.5)
    for stamp in stamps:
        window.add(round(stamp * SECOND), "own")
    return window


def sample(window: FrameWindow[str], preferred: list[float]) -> list[tuple[float, str]]:
    items = {round(stamp * SECOND): "preferred" for stamp in preferred}
    return [(stamp / SECOND, item) for stamp, item in window.sample(items)]


def test_a_preferred_frame_serves_a_target_even_when_another_is_nearer() -> None:
    window = window_of([8.5, 9.0, 9.5, 10.0])
    assert sample(window, [9.1, 9.4]) == [
        (8.5, "own"),
        (9.1, "preferred"),
        (9.4, "preferred"),
        (10.0, "own"),
    ]


def test_preferred_frames_far_from_a_target_or_newer_do_not_serve() -> None:
    window = window_of([8.5, 9.0, 9.5, 10.0])
    own = window.sample()
    assert window.sample({round(11.0 * SECOND): "newer", round(5.0 * SECOND): "older"}) == own
    assert window.sample({}) == own


def test_a_gap_of_the_window_is_filled() -> None:
    assert sample(window_of([10.0]), [8.4, 9.0, 9.6]) == [
        (8.4, "preferred"),
        (9.0, "preferred"),
        (9.6, "preferred"),
        (10.0, "own"),
    ]


def test_tokens_that_come_late_and_are_too_old_are_not_kept() -> None:
    store: TokenStore[str] = TokenStore(2.0)
    store.add("front", 9 * SECOND, "new")
    store.add("front", 8 * SECOND, "late")
    store.add("front", SECOND, "old")
    assert store.get("front") == {9 * SECOND: "new", 8 * SECOND: "late"}
