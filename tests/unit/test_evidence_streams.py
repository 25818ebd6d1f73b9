"""The long streams: what happens in them is what is annotated."""

from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

for needed in ("pycocoevalcap", "ruptures", "sklearn", "bayesian_changepoint_detection"):
    pytest.importorskip(needed, reason="needs the extra evidence")

from evidence import drawing, streams
from evidence.drawing import (
    KINDS,
    PERIOD,
    facts_of,
    plan_disturbance,
    plan_stream,
    stream_seed,
)
from evidence.kept import code_of
from evidence.streams import worded
from rich.progress import Progress

import vljepa_ros
from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.training.shards import SPLITS
from vljepa_ros.training.tabletop.generation import episode_seed


@pytest.mark.parametrize("index", range(4))
def test_annotations_agree_with_the_script(index):
    episode = plan_stream(stream_seed(0, "test", index), 120.0, still=False)
    found = worded(facts_of(episode, 0))
    assert len(found) == len(episode.script.events) > 0
    for entry, event in zip(found, episode.script.events, strict=True):
        assert (entry["start"], entry["end"]) == (event.start, event.end)
        assert 2.0 <= event.start <= event.end < 120.0
        assert len(entry["wordings"]) >= 3
        said = " ".join(entry["wordings"])
        if event.object is not None:
            thing = episode.layout.things[event.object]
            assert f"{thing.color} {thing.name}" in said
        for part in ("drawer", "lamp"):
            assert (part in said) == event.type.startswith(part)
        if event.direction is not None:
            assert event.direction in said


def test_annotations_have_the_wordings_of_today():
    facts = facts_of(plan_stream(7, 60.0, still=False), 0)
    stored = facts | {"annotations": [a | {"wordings": ["old"]} for a in facts["annotations"]]}
    assert worded(stored) == worded(facts)


def test_streams_are_the_same_each_time_and_apart_from_the_episodes():
    one, two = (plan_stream(7, 60.0, still=False) for _ in range(2))
    assert one.facts(PERIOD) == two.facts(PERIOD)
    numbers = [stream_seed(s, kind, i) for s in range(3) for kind in KINDS for i in range(60)]
    episodes = {episode_seed(0, split, i) for split in SPLITS for i in range(2400)}
    assert len({*numbers}) == len(numbers)
    assert not episodes & {*numbers}


def test_nothing_happens_in_a_still_stream_but_it_is_disturbed():
    episode = plan_stream(3, 120.0, still=True)
    assert worded(facts_of(episode, 0)) == []
    disturbances = [plan_disturbance(seed, 120.0) for seed in range(12)]
    camera = episode.layout.room.camera
    moved = [{repr(d.camera(camera, t)) for t in np.arange(0, 120, 2.0)} for d in disturbances]
    assert any(len(m) == 1 for m in moved) and any(len(m) > 10 for m in moved)
    for disturbance in disturbances:
        gains = np.stack([disturbance.light.at(t) for t in np.arange(0, 120, PERIOD)])
        assert np.ptp(gains) > 0.02 and gains.min() > 0.75 and gains.max() < 1.25
        assert np.abs(np.diff(gains, axis=0)).max() < 0.06  # slow, unlike a lamp


def test_streams_are_drawn_anew_by_other_code(tmp_path, monkeypatch):
    drawn = []

    def write(path, kind, index, seed, seconds):
        drawn.append(path)
        with drawing.ShardWriter(path) as writer:
            frames = round(seconds / PERIOD)
            writer.add(f"{kind}-{index}", {"frames": frames}, [b""] * frames)

    class Pool:
        """Does at once what it is given."""

        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, call, *arguments):
            done = Future()
            done.set_result(call(*arguments))
            return done

    monkeypatch.setattr(streams, "write_stream", write)
    monkeypatch.setattr(streams, "ProcessPoolExecutor", Pool)

    def make():
        streams.make_streams(tmp_path, {"test": 2}, 1, 1.0, Progress(disable=True))

    make()
    make()
    assert len(drawn) == 2 and streams.stored(tmp_path, "test") == drawn
    monkeypatch.setattr(streams, "drawn_by", lambda: "other code")
    assert streams.stored(tmp_path, "test") == []
    make()
    assert len({*drawn}) == 4 and streams.stored(tmp_path, "test") == drawn[2:]


def test_what_draws_streams_decides_where_they_are_kept(tmp_path):
    source = Path(drawing.__file__)
    changed = tmp_path / source.name
    changed.write_text(source.read_text("utf-8").replace("(2.0, 8.0)", "(2.0, 9.0)"), "utf-8")
    assert code_of([changed]) != code_of([source])
    assert code_of([source]) in drawing.drawn_by()
    for part in drawing._DRAWN:
        assert (Path(vljepa_ros.__file__).parent / part).exists()


@pytest.mark.parametrize("name", ["STREAM_QUERY", "drawn_by"])
def test_embeddings_are_kept_for_what_made_them(monkeypatch, name):
    info = Engine.load(config=FASTEST).info
    before = streams.embedded_by(info)
    assert streams.embedded_by(info) == before
    monkeypatch.setattr(streams, name, (lambda: "other") if name == "drawn_by" else "other")
    assert streams.embedded_by(info) != before
