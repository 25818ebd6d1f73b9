"""A longer scene as a video, with its facts: something that no training episode shows."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vljepa_ros.errors import InputError
from vljepa_ros.training.tabletop import actions
from vljepa_ros.training.tabletop.episode import Episode
from vljepa_ros.training.tabletop.layout import draw_layout
from vljepa_ros.training.tabletop.script import Script

SIZE = (640, 480)  # px, width and height
OVERSIZE = 1.5  # drawn larger and shrunk, as the episodes are, which smooths the edges
FPS = 12


def _act(script: Script) -> bool:
    """A robot's half minute or so; False where one of the steps has no room in this scene."""
    if not all(actions.set_up(script, index) for index in range(2)):
        return False
    actions.set_up_part(script, "lamp")
    quiet = (3.2, 4.0)  # s
    script.pause(*quiet)
    if not actions.appear(script, 2):
        return False
    script.pause(*quiet)
    near = script.within_reach()
    if not near or not actions.push(script, near[0]):
        return False
    script.pause(0.6, 0.8)
    actions.retract(script)
    for part in ("lamp", "drawer"):
        script.pause(*quiet)
        actions.switch(script, part)
    script.pause(*quiet)
    held = [index for index in script.within_reach() if index != near[0]]
    if not held:
        return False
    for step in (actions.approach, actions.grasp, actions.lift):
        step(script, held[0])
        script.pause(1.0, 1.2)
    script.pause(1.5, 2.0)
    actions.place(script, held[0])
    script.pause(0.6, 0.8)
    actions.retract(script)
    script.pause(*quiet)
    gone = [index for index in script.free_to_move() if index not in (near[0], held[0])]
    if not gone:
        return False
    actions.remove(script, gone[0])
    script.pause(4.0, 4.5)
    return True


def plan_clip(seed: int) -> Episode:
    """The scene of `seed`: push, lamp off, drawer open, grasp, lift, place, remove, with rests."""
    for attempt in itertools.count():
        rng = np.random.default_rng([seed, attempt])
        layout = draw_layout(rng, 3)
        if None in (layout.cabinet, layout.lamp, layout.arm):
            continue
        # Noise would be most of the file, and a still camera shows best what is happening.
        layout.room = replace(layout.room, noise=0.0, drift=(0.0, 0.0, 0.0))
        script = Script(layout, rng)
        if _act(script):
            break
    return Episode(seed, layout, script.timeline, script, script.now)


def render_clip(path: Path, seed: int) -> None:
    """Write the scene of `seed` to `path` (an .mp4) and its facts beside it, as .json.

    640 x 480 px, 12 frames/s, about 45 s. Raises InputError where OpenCV cannot write it.
    """
    # Imported here: planning, and the tests of it, need no graphics.
    from vljepa_ros.training.tabletop.render import draw_episode

    episode = plan_clip(seed)
    facts = episode.facts(1 / FPS)
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    if not video.isOpened():
        raise InputError(f"cannot write a video to {path}; its name must end in .mp4")
    drawn = (round(SIZE[0] * OVERSIZE), round(SIZE[1] * OVERSIZE))
    times = [frame / FPS for frame in range(facts["frames"])]
    try:
        for image in draw_episode(episode.layout, episode.timeline, times, *drawn):
            small = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
            video.write(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    finally:
        video.release()
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
