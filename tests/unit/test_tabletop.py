"""Simulated episodes: the facts fit each other, the arm reaches, and pictures come out."""

import json
import shutil
import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from vljepa_ros.errors import InputError
from vljepa_ros.training.phrases import COLORS, SHAPES
from vljepa_ros.training.shards import (
    FRAME_PERIOD,
    ShardWriter,
    decode_jpeg,
    encode_jpeg,
    list_shards,
    read_shards,
)
from vljepa_ros.training.tabletop import arm, generate, moments, palette
from vljepa_ros.training.tabletop.clip import FPS, plan_clip
from vljepa_ros.training.tabletop.episode import plan
from vljepa_ros.training.tabletop.generation import episode_seed
from vljepa_ros.training.tabletop.layout import draw_layout
from vljepa_ros.training.tabletop.timeline import Track

SEEDS = range(80)


def state_at(facts, frame):
    return [state for state in facts["states"] if state["start"] <= frame][-1]


def seen(state):
    return {entry["id"]: entry for entry in state["visible"]}


def follows(event, before, after):
    """Whether the state after an event is what the event says."""
    kind, thing = event["type"], event["object"]
    if kind == "appear":
        return thing not in seen(before) and thing in seen(after)
    if kind == "remove":
        return thing in seen(before) and thing not in seen(after)
    if kind == "stack":
        return seen(after)[thing]["on"] == event["onto"]
    if kind in ("move", "push"):
        return thing in seen(after) and event["direction"] in ("left", "right")
    if kind in ("approach", "grasp", "lift", "place"):
        arm_is = "near" if kind == "approach" else "holding"
        return after["arm"] == arm_is and after["target"] == thing
    part, word = kind.split("_")
    now = {"open": "open", "close": "closed", "on": "on", "off": "off"}[word]
    return after[part] == now != before[part]


@pytest.mark.parametrize("seed", SEEDS)
def test_states_follow_the_events(seed):
    facts = plan(seed).facts(FRAME_PERIOD)
    last = 0
    for event in facts["events"]:
        assert last < event["start"] <= event["end"] < facts["frames"]
        before, after = state_at(facts, event["start"] - 1), state_at(facts, event["end"])
        assert follows(event, before, after), event
        last = event["end"]


@pytest.mark.parametrize("seed", SEEDS)
def test_places_are_where_the_objects_are_seen(seed):
    episode = plan(seed)
    camera = episode.layout.room.camera
    for time, state in episode.script.states:
        values = episode.timeline.at(time)
        for entry in state.visible:
            x, y, z, _, visible = values[5 * entry.id : 5 * entry.id + 5]
            u, v, _ = camera.project(np.array([x, y, z]))
            assert visible == 1 and 0 < v < 1
            assert entry.place == ("left" if u < 1 / 3 else "middle" if u < 2 / 3 else "right")


@pytest.mark.parametrize("seed", SEEDS)
def test_moves_go_the_way_they_are_said_to(seed):
    episode = plan(seed)
    camera = episode.layout.room.camera
    for event in episode.script.events:
        if event.direction:
            ends = [
                camera.project(episode.timeline.objects[event.object].at(time)[:3])[0]
                for time in (event.start, event.end)
            ]
            assert (ends[1] > ends[0]) == (event.direction == "right")


@pytest.mark.parametrize("seed", SEEDS)
def test_objects_can_be_told_apart(seed):
    pairs = [
        (thing["color"], thing["name"]) for thing in plan(seed).facts(FRAME_PERIOD)["objects"]
    ]
    assert len(set(pairs)) == len(pairs)


def test_the_palette_has_exactly_the_colors_and_shapes_of_the_texts():
    assert sorted(palette.COLORS) == sorted(COLORS)
    assert sorted(palette.SHAPES) == sorted(SHAPES)


def test_every_shape_comes_in_every_color():
    found = {
        (thing.color, thing.name)
        for seed in range(400)
        for thing in draw_layout(np.random.default_rng(seed), 4).things
    }
    assert found == set(product(COLORS, SHAPES))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_arm_reaches_everything_that_is_planned(seed):
    episode = plan(seed)
    if episode.layout.arm is None:
        return
    for time in np.arange(0, episode.duration, 0.1):
        tip = episode.timeline.arm.at(time)
        arm.solve(episode.layout.arm_base, tip[:3], tip[3])


def test_every_kind_of_event_comes_up():
    kinds = {event.type for seed in SEEDS for event in plan(seed).script.events}
    assert len(kinds) == 15


def test_a_seed_always_gives_the_same_episode():
    one, two = plan(7), plan(7)
    assert one.facts(FRAME_PERIOD) == two.facts(FRAME_PERIOD)
    times = np.arange(0, one.duration, 0.2)
    assert all(np.array_equal(one.timeline.at(t), two.timeline.at(t)) for t in times)
    assert json.loads(json.dumps(one.facts(FRAME_PERIOD))) == one.facts(FRAME_PERIOD)


def test_splits_have_seeds_of_their_own():
    seeds = [episode_seed(0, s, i) for s in ("train", "val", "test") for i in range(1000)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("arguments", [("nope", 1, 0, 1), ("val", -1, 0, 1), ("val", 1, 0, 0)])
def test_generate_refuses_what_makes_no_sense(tmp_path, arguments):
    with pytest.raises(InputError, match="take one of"):
        generate(tmp_path, *arguments)


def test_no_episodes_are_nothing_to_do(tmp_path):
    calls = []
    generate(tmp_path, "val", 0, 0, 1, lambda *counts: calls.append(counts))
    assert calls == [(0, 0)] and not list(tmp_path.iterdir())


def test_the_arm_refuses_what_is_too_far():
    with pytest.raises(InputError, match="cannot reach"):
        arm.solve((0.0, 0.5), np.array([0.0, -2.0, 0.1]), 0.05)


@pytest.mark.parametrize("tip", [(0.3, -0.2, 0.05), (-0.4, 0.0, 0.3), (0.0, 0.2, 0.4)])
def test_inverse_kinematics_puts_the_fingertips_at_the_target(tip):
    """Checked with the links' geometry alone, independent of MuJoCo."""
    pose = arm.solve((0.1, 0.5), np.array(tip), 0.05)
    upper, fore = -pose.shoulder, -pose.shoulder - pose.elbow
    assert fore - pose.wrist == pytest.approx(-np.pi / 2)
    out = arm.UPPER * np.cos(upper) + arm.FORE * np.cos(fore)
    up = arm.SHOULDER + arm.UPPER * np.sin(upper) + arm.FORE * np.sin(fore) - arm.GRIPPER
    reached = (0.1 + out * np.cos(pose.yaw), 0.5 + out * np.sin(pose.yaw), up)
    assert reached == pytest.approx(tip, abs=1e-9)


def test_a_track_rests_steps_and_moves():
    track = Track([0.0])
    track.move(1.0, 1.0, [1.0])
    track.move(2.0, 3.0, [3.0])
    values = [track.at(time)[0] for time in (0.0, 0.99, 1.0, 2.0, 2.5, 3.0, 9.0)]
    assert values == [0, 0, 1, 1, 2, 3, 3]


def test_the_clip_tells_its_story():
    facts = plan_clip(1).facts(1 / FPS)
    kinds = " ".join(event["type"] for event in facts["events"])
    assert kinds == ("appear approach push lamp_off drawer_open approach grasp lift place remove")
    assert 38 < facts["frames"] / FPS < 52


def test_a_shard_gives_back_what_was_written(tmp_path):
    image = np.full((8, 8, 3), (200, 30, 40), np.uint8)
    path = tmp_path / "shard-0000.tar"
    with ShardWriter(path) as writer:
        writer.add("one", {"frames": 2}, [encode_jpeg(image)] * 2)
        writer.add("two", {"frames": 1}, [encode_jpeg(image)])
        assert not path.exists()
    episodes = list(read_shards([path]))
    assert [len(frames) for _, frames in episodes] == [2, 1]
    assert np.abs(decode_jpeg(episodes[1][1][0]).astype(int) - image).max() < 12


def test_a_shard_that_failed_leaves_nothing(tmp_path):
    with pytest.raises(InputError), ShardWriter(tmp_path / "shard-0000.tar") as writer:
        writer.add("one", {"frames": 3}, [])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def graphics():
    # In a process of its own: a broken graphics driver can take its process with it.
    probe = "import mujoco; mujoco.GLContext(8, 8).make_current()"
    environment = {"MUJOCO_GL": "egl", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", probe]
    if subprocess.run(command, env=environment, capture_output=True, timeout=60).returncode:
        pytest.skip("EGL does not work here: install libegl1 and libgl1 to draw episodes")


@pytest.mark.usefixtures("graphics")
def test_moments_are_drawn(tmp_path):
    moments.generate(tmp_path, "train", 2, 3, 1)
    drawn = list(read_shards(list_shards(tmp_path, "moments", "train")))
    assert [len(frames) for _, frames in drawn] == [facts["frames"] for facts, _ in drawn]
    images = np.stack([decode_jpeg(frames[-1]) for _, frames in drawn])
    assert images.shape == (2, 224, 224, 3) and (images.std((1, 2, 3)) > 10).all()


@pytest.mark.usefixtures("graphics")
def test_episodes_are_drawn(tmp_path):
    calls = []
    generate(tmp_path, "val", 1, 3, 1, lambda *counts: calls.append(counts))
    [shard] = list_shards(tmp_path, "tabletop", "val")
    [(facts, frames)] = read_shards([shard])
    assert calls == [(0, 1), (1, 1)] and len(frames) == facts["frames"]
    image = decode_jpeg(frames[0])
    assert image.shape == (224, 224, 3) and image.std() > 10
    untouched = shard.stat().st_mtime_ns
    generate(tmp_path, "val", 1, 3, 1, lambda *counts: calls.append(counts))
    assert shard.stat().st_mtime_ns == untouched and calls[2:] == [(1, 1)]
    with pytest.raises(InputError, match="are those of seed 3, not 4"):
        generate(tmp_path, "val", 1, 4, 1)
    shutil.copy(shard, shard.with_name("shard-0001.tar"))
    with pytest.raises(InputError, match="has 2 episodes, more than the 1"):
        generate(tmp_path, "val", 1, 3, 1)


@pytest.mark.usefixtures("graphics")
def test_rooms_that_are_drawn_by_turns_do_not_mix():
    from vljepa_ros.training.tabletop.render import Stage, swayed

    rooms = [plan(seed) for seed in (1, 2)]

    def draw(stage, room, time):
        return stage.draw(room.timeline.at(time), swayed(room.layout, time))

    alone = []
    for room in rooms:
        stage = Stage(room.layout, 64, 48)
        alone.append([draw(stage, room, time) for time in (0.0, 3.0)])
        stage.close()
    stages = [Stage(room.layout, 64, 48) for room in rooms]
    for turn, time in enumerate((0.0, 3.0)):
        for stage, room, images in zip(stages, rooms, alone, strict=True):
            np.testing.assert_array_equal(draw(stage, room, time), images[turn])
    assert (alone[0][0] != alone[1][0]).any()
    for stage in stages:
        stage.close()
