"""Moments cut out of episodes: three seconds around one event, of many more scenes in the time.

Most of an episode's frames show the same things in the same light again. What a model learns of
shapes and colors hangs on the number of scenes, and what it learns of rare events on their share.
And on the camera: each moment has one of its own, from a clean and sharp one to a noisy one whose
images are packed small, where all episodes have a little noise and the same JPEG.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_ros.training.shards import FRAME_PERIOD, SPLITS, Drawn, check_request, write_missing
from vljepa_ros.training.tabletop.episode import plan
from vljepa_ros.training.tabletop.generation import DRAWN_SIZE, draw_frames

SOURCE = "moments"
FRAMES = 12  # of a moment
_MOST_BEFORE = 4  # frames before the event begins
# How likely a kind of event is to be the one that is shown, where an episode has it; others 1.
# These follow on others, so that few episodes get to them.
_WEIGHTS = {"grasp": 3.0, "lift": 4.0, "place": 8.0, "stack": 8.0}
_CLEAN = 0.5  # share of the cameras without noise, and of those whose images lose nothing
_NOISE = 6.0  # grey levels, most of the others' deviation
_QUALITY = (60, 100)  # of the others' JPEG, below the last
_LARGE = 0.25  # share of the cameras with twice the width and height

Facts = Mapping[str, Any]


def generate(
    root: Path,
    split: str,
    moments: int,
    seed: int,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `moments` moments of `split` below `root`/moments; see `write_missing`.

    They are of other scenes than the episodes of `tabletop.generate`, whatever its split.
    The same (seed, split, index) always gives the same moment. `progress` is called with the
    number of moments that are there, and `moments`.
    Raises InputError as `write_missing` does, and for an unknown split, fewer than 0 moments or
    fewer than one worker.
    """
    check_request(split, moments, workers)
    draw_one = partial(draw, split, seed)
    write_missing(root, SOURCE, split, moments, seed, workers, draw_one, progress)


def draw(split: str, seed: int, index: int) -> Drawn:
    """Draw moment `index` of `split`."""
    rng = np.random.default_rng([seed, len(SPLITS) + SPLITS.index(split), index])
    episode = plan(int(rng.integers(2**32)))
    facts = episode.facts(FRAME_PERIOD)
    first = choose(facts, rng)
    noise = 0.0 if rng.random() < _CLEAN else float(rng.uniform(0, _NOISE))
    quality = 100 if rng.random() < _CLEAN else int(rng.integers(*_QUALITY))
    scale = 2 if rng.random() < _LARGE else 1
    episode.layout.room = replace(episode.layout.room, noise=noise)
    width, height = DRAWN_SIZE
    frames = draw_frames(
        episode, range(first, first + FRAMES), (scale * width, scale * height), quality
    )
    return f"{split}-{index:06d}", cut(facts, first), frames


def choose(facts: Facts, rng: np.random.Generator) -> int:
    """The first frame of a moment: shortly before an event, and within none."""
    last = facts["frames"] - FRAMES
    over, found = 0, []  # the frame from which all events are over; the events that can be shown
    for event in facts["events"]:
        if over <= last:
            found.append((event, over))
        over = max(over, event["end"])
    if not found:
        return int(rng.integers(last + 1))
    kinds = sorted({event["type"] for event, _ in found})
    weights = np.array([_WEIGHTS.get(kind, 1.0) for kind in kinds])
    kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
    alike = [(event, over) for event, over in found if event["type"] == kind]
    event, over = alike[rng.integers(len(alike))]
    before = int(rng.integers(1, _MOST_BEFORE + 1))
    return int(np.clip(event["start"] - before, over, last))


def cut(facts: Facts, first: int) -> dict[str, Any]:
    """The facts of the frames from `first`, which is 0 then; what was before is below 0."""

    def shifted(entries: list[dict[str, Any]], *times: str) -> list[dict[str, Any]]:
        moved = [{**entry, **{time: entry[time] - first for time in times}} for entry in entries]
        return [entry for entry in moved if entry["start"] < FRAMES]

    states = shifted(facts["states"], "start")
    events = shifted(facts["events"], "start", "end")
    # What only comes into view when the moment is over is told of, too.
    seen = {view["id"] for state in states for view in state["visible"]}
    seen |= {event["object"] for event in events}
    return {
        **facts,
        "frames": FRAMES,
        "objects": [thing for thing in facts["objects"] if thing["id"] in seen],
        "states": states,
        "events": events,
    }
