"""Claim 2 through the nodes: how what they tell is compared with the gate offline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from evidence import replay
from evidence.streams import Stream
from evidence.told import Told

from vljepa_ros.runtime import FASTEST, Engine

PERIOD = 250_000_000  # ns
SPAN = 1.5  # s


def stream(offline: Told, nodes: Told) -> dict[str, Any]:
    """Two events, at 2 s and at 6 s."""
    annotations = [
        {"start": 2.0, "end": 2.5, "wordings": ["the lamp goes on", "somebody lights the lamp"]},
        {"start": 6.0, "end": 6.5, "wordings": ["the red ball is gone", "a ball is taken away"]},
    ]
    told = {"offline": vars(offline), "nodes": vars(nodes)}
    return {"annotations": annotations, "frames": 40, "processed": 39, **told}


def told(*pairs: tuple[float, str]) -> Told:
    return Told([round(at * 1e9) for at, _ in pairs], [text for _, text in pairs])


@pytest.mark.parametrize(
    ("one", "two", "pairs"),
    [
        ([0, 8], [0, 8], [(0, 0), (1, 1)]),
        ([0, 8], [1, 9], [(0, 0), (1, 1)]),
        ([0, 8], [2, 10], []),
        ([0, 4, 8], [8], [(2, 0)]),
        ([8], [0, 4, 9], [(0, 2)]),
        ([3, 4], [4], [(0, 0)]),  # each is used once
        ([], [1], []),
    ],
)
def test_stamps_match_within_one_period(
    one: list[int], two: list[int], pairs: list[tuple[int, int]]
) -> None:
    scaled = ([number * PERIOD for number in stamps] for stamps in (one, two))
    assert replay.matches(*scaled) == pairs


def test_a_sentence_stands_for_the_middle_of_its_window() -> None:
    annotations = stream(Told(), Told())["annotations"]
    sentences = told((1.0, "before"), (3.0, "lamp"), (5.9, "early"), (7.0, "ball"))
    assert replay.told_about(sentences, annotations, SPAN) == ["lamp", "ball"]
    assert replay.told_about(sentences, annotations, 0.0) == ["lamp", "early"]
    assert replay.told_about(Told(), annotations, SPAN) == ["", ""]


def test_nodes_that_tell_the_same_agree_wholly() -> None:
    sentences = told((3.0, "the lamp goes on"), (7.0, "the red ball is gone"))
    found = replay.summary([stream(sentences, sentences)] * 2, SPAN)
    assert found["same_time"] == found["same_text"] == 1.0
    assert found["difference"] == [0.0, 0.0, 0.0]
    assert found["offline"] == found["nodes"]
    assert found["offline"]["decodes"] == 4 and found["offline"]["cider"][0] > 100
    assert (found["frames"], found["processed"], found["annotations"]) == (80, 78, 4)


def test_what_the_nodes_miss_counts_against_them() -> None:
    offline = told((3.0, "the lamp goes on"), (7.0, "the red ball is gone"))
    found = replay.summary([stream(offline, told((3.25, "the lamp is on")))], SPAN)
    assert found["same_time"] == 0.5 and found["same_text"] == 0.0
    assert found["difference"][0] < 0
    assert found["difference"][0] == pytest.approx(
        found["nodes"]["cider"][0] - found["offline"]["cider"][0]
    )
    extra = told((1.0, "all is quiet"), *zip((3.0, 7.0), offline.texts, strict=True))
    assert replay.summary([stream(offline, extra)], SPAN)["same_time"] == pytest.approx(2 / 3)


def test_the_offline_run_tells_the_changes_of_a_stream() -> None:
    engine = Engine.load(config=FASTEST)
    quiet, lamp = engine.encode_text(["nothing is happening", "the lamp goes on"])
    sentences = replay.follow(engine, np.stack([quiet] * 8 + [lamp] * 8))
    assert sentences.texts == ["nothing is happening", "the lamp goes on"]
    first, second = (stamp / PERIOD for stamp in sentences.stamps)
    assert first < 8 <= second < 12
    assert sentences.changes == sentences.stamps[1:]


def test_a_change_is_late_from_the_start_of_its_event() -> None:
    annotations = stream(Told(), Told())["annotations"]
    recorded = Stream({"annotations": annotations}, np.ones((40, 2), np.float32))
    found = replay.detected([recorded], [[round(2.75e9), round(4.5e9)]], SPAN)
    assert found["delay"] == pytest.approx(0.75)
    assert found["missed"] == 0.5
    assert replay.detected([recorded], [[]], SPAN)["delay"] is None
