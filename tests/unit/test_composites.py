"""Composite clips: the facts agree with the pixels, and a run can be repeated and resumed."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vljepa_ros.errors import InputError
from vljepa_ros.training.clip_plan import PLACE_CENTRES
from vljepa_ros.training.composites import SOURCE, generate, make_clip
from vljepa_ros.training.pictures import BACKGROUNDS, Cutout, split_of
from vljepa_ros.training.shards import (
    FRAME_SIZE,
    count_episodes,
    decode_jpeg,
    list_shards,
    read_shards,
)

PAINTS = {"brick": (250, 20, 20), "leaf": (20, 250, 20), "ink": (20, 20, 250)}
GREY = [np.full((300, 400, 3), 120, np.uint8)]


def made_up_cutouts() -> list[Cutout]:
    """Squares of one pure color each, which no background has."""
    squares = []
    for noun, paint in PAINTS.items():
        rgba = np.full((60, 60, 4), 255, np.uint8)
        rgba[..., :3] = paint
        squares.append(Cutout(noun, None, rgba))
    return squares


def places_of(frame: np.ndarray, noun: str) -> float | None:
    """Middle of the thing's pixels as a share of the width; None where there are none."""
    channel = list(PAINTS).index(noun)
    rest = np.delete(frame, channel, axis=2).max(axis=2)
    mask = frame[..., channel].astype(int) - rest > 90
    return float(np.nonzero(mask)[1].mean() / FRAME_SIZE) if mask.sum() > 40 else None


def quiet_frames(facts: dict[str, Any]) -> list[int]:
    """Frames in which no event goes on: its `end` already shows the outcome."""
    busy = {n for event in facts["events"] for n in range(event["start"], event["end"])}
    return [number for number in range(facts["frames"]) if number not in busy]


@pytest.fixture(scope="module")
def clips() -> list[tuple[dict[str, Any], list[np.ndarray]]]:
    """Clips over a grey wall; without a wall, a colorful gradient could pass for a thing."""
    made = [make_clip(seed, made_up_cutouts(), GREY) for seed in range(90)]
    return [(facts, frames) for facts, frames in made if is_grey(frames[0])]


def is_grey(frame: np.ndarray) -> bool:
    corners = cv2.resize(frame, (28, 28), interpolation=cv2.INTER_AREA)[::27, ::27].astype(int)
    return bool(np.ptp(corners, axis=2).max() < 25)


def test_things_are_seen_where_the_state_says(clips: list[Any]) -> None:
    assert len(clips) > 45
    seen = 0
    for facts, frames in clips:
        nouns = {thing["id"]: thing["name"] for thing in facts["objects"]}
        for number in quiet_frames(facts):
            state = [s for s in facts["states"] if s["start"] <= number][-1]
            places = {nouns[view["id"]]: view["place"] for view in state["visible"]}
            for noun in PAINTS:
                x = places_of(frames[number], noun)
                if noun not in places:
                    assert x is None, (facts, number, noun)
                    continue
                low, high = PLACE_CENTRES[places[noun]]
                assert x is not None and low - 0.06 < x < high + 0.06, (facts, number, noun)
                seen += 1
    assert seen > 1000


def test_events_agree_with_the_states(clips: list[Any]) -> None:
    kinds = set()
    for facts, frames in clips:
        assert facts["frames"] == len(frames)
        assert 8 <= facts["frames"] * facts["frame_period"] <= 10
        starts = [state["start"] for state in facts["states"]]
        assert starts[0] == 0 and starts == sorted(set(starts))
        assert starts[1:] == [event["end"] for event in facts["events"]]
        for event, before, after in zip(
            facts["events"], facts["states"], facts["states"][1:], strict=False
        ):
            was = {view["id"]: view["place"] for view in before["visible"]}
            now = {view["id"]: view["place"] for view in after["visible"]}
            thing = event["object"]
            kind = {(False, True): "appear", (True, False): "remove", (True, True): "move"}
            assert event["type"] == kind[thing in was, thing in now]
            assert {k: v for k, v in was.items() if k != thing} == {
                k: v for k, v in now.items() if k != thing
            }
            if event["type"] == "move":
                order = list(PLACE_CENTRES)
                right = order.index(now[thing]) > order.index(was[thing])
                assert event["direction"] == ("right" if right else "left")
            kinds.add(event["type"])
    assert kinds == {"appear", "remove", "move"}


def test_a_clip_is_still_before_its_first_event(clips: list[Any]) -> None:
    still = 0
    for facts, frames in clips:
        first = facts["events"][0]["start"]
        change = [
            np.abs(frames[n].astype(int) - frames[n - 1]).mean() for n in range(1, first + 1)
        ]
        still += max(change[:-1], default=0) < change[-1]
    assert still > 0.9 * len(clips)


def write_pictures(root: Path) -> None:
    """A made-up cache of sources, with things and a background for every split."""
    rng = np.random.default_rng(3)
    for number in range(30):
        path = root / "sources" / "stamps" / "food" / f"thing{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        rgba = rng.integers(0, 256, (64, 64, 4), dtype=np.uint8)
        rgba[..., 3] = 255
        assert cv2.imwrite(str(path), rgba)
        path.with_suffix(".txt").write_text(f"A thing{number}.\n")
    for source in BACKGROUNDS:
        (root / "sources" / source / source).mkdir(parents=True)
    wall = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
    assert cv2.imwrite(str(root / "sources" / "gnome" / "gnome" / "wood-l.webp"), wall)


def test_runs_are_repeatable_and_resumable(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_pictures(tmp_path / name)
    told: list[tuple[int, int]] = []
    generate(tmp_path / "first", "val", 53, 5, 2, lambda *counts: told.append(counts))
    assert told == [(done, 53) for done in range(54)]
    shards = list_shards(tmp_path / "first", SOURCE, "val")
    assert [count_episodes(shard) for shard in shards] == [50, 3]

    generate(tmp_path / "second", "val", 3, seed=5, workers=1)
    few = list(read_shards(list_shards(tmp_path / "second", SOURCE, "val")))
    many = list(read_shards(shards))
    assert few == many[:3] and len(many) == 53
    facts, frames = many[0]
    assert len(frames) == facts["frames"]
    assert decode_jpeg(frames[0]).shape == (FRAME_SIZE, FRAME_SIZE, 3)
    assert all(split_of(thing["name"]) == "val" for facts, _ in many for thing in facts["objects"])

    untouched = shards[0].stat().st_mtime_ns
    shards[1].unlink()
    generate(tmp_path / "first", "val", 53, seed=5, workers=1)
    assert shards[0].stat().st_mtime_ns == untouched
    assert list(read_shards([shards[1]])) == many[50:]


@pytest.mark.parametrize("asked", [("dev", 1, 0, 1), ("val", -1, 0, 1), ("val", 1, 0, 0)])
def test_what_makes_no_sense_is_refused(tmp_path: Path, asked: tuple[str, int, int, int]) -> None:
    with pytest.raises(InputError, match="take one of train, val, test"):
        generate(tmp_path, *asked)


def test_no_clips_need_no_pictures(tmp_path: Path) -> None:
    generate(tmp_path, "val", 0, seed=0)
    assert not list(tmp_path.iterdir())
