"""Claim 4: triplets, kinds of change, and the map of the lamp."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from evidence import changes, lamp, paraphrases
from evidence.intervals import mean_interval
from numpy.typing import NDArray
from rich.progress import Progress

from vljepa_ros.training.phrases import LAMP_STATES

THINGS = changes.Reader(["ball", "mug", "orange", "paint brush", "brush"])


def unit(rows: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("text", "other", "kind"),
    [
        ("a red ball is in view", "I see a blue ball in view", changes.ATTRIBUTE),
        *((f"a red ball is in view; {on}", f"a red ball is in view; {off}", changes.ATTRIBUTE)
          for on in LAMP_STATES["on"] for off in LAMP_STATES["off"]),
        # Only one of them tells of the lamp.
        ("a red ball is in view; it is dark", "a red ball appears", changes.RELATION),
        ("a red ball is in view", "I see a red mug in view", changes.OBJECT),
        ("the red ball moves to the left", "the red ball slides to the right", changes.RELATION),
        ("the red ball is gone", "the robot lifts up the red ball", changes.RELATION),
        ("there are a blue mug and a red ball in view", "I see a blue ball and a red mug in view",
         changes.SWAP),
        ("there are a blue mug and a red ball in view", "I see a red ball in view",
         changes.PRESENCE),
        ("a red ball has appeared", "a blue mug has appeared", changes.SEVERAL),
        ("a paint brush is in view", "a brush is in view", changes.OBJECT),
        ("an orange ball is in view", "an orange is in view", changes.SEVERAL),
        # Two wordings of the same lamp are no change of it.
        ("a red ball is in view; the lamp shines", "a red mug is in view; the lamp is on",
         changes.OBJECT),
    ],
)  # fmt: skip
def test_the_kind_of_a_change_is_told_from_the_things(text: str, other: str, kind: str) -> None:
    assert THINGS.kind(text, other) == kind
    assert THINGS.kind(other, text) == kind


def test_an_interval_holds_its_mean_and_is_always_the_same() -> None:
    values = np.random.default_rng(1).normal(3, 1, 400)
    mean, low, high = mean_interval(values)
    assert mean == pytest.approx(values.mean())
    # Half a width of the normal interval of 95% is 1.96 standard errors.
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)
    assert mean_interval(values) == [mean, low, high]


@pytest.mark.parametrize("seed", range(5))
def test_the_map_shows_the_distances_that_are_written_on_it(seed: int) -> None:
    vectors = unit(np.random.default_rng(seed).normal(size=(len(lamp.TEXTS), 16)))
    found = lamp.lamp_map(lambda texts: vectors)
    points = dict(zip(lamp.TEXTS, np.array(found["points"]), strict=True))
    for pair in (lamp.PARAPHRASE, lamp.CHANGE):
        one, two = (points[text] for text in pair)
        away = lamp.distance(found, pair)
        cosine = np.prod(vectors[[lamp.TEXTS.index(text) for text in pair]], axis=0).sum()
        assert away == pytest.approx(1 - cosine, abs=1e-6)
        assert np.linalg.norm(one - two) == pytest.approx(np.sqrt(2 * away), abs=1e-6)
    off, on = (points[text] for text in lamp.CHANGE)
    assert off == pytest.approx([0, 0]) and on[0] == pytest.approx(0) and on[1] > 0
    assert points[lamp.PARAPHRASE[1]][0] > 0


def test_the_nearest_of_the_same_meaning_are_counted() -> None:
    group = [0.0 if text in lamp.OFF else 2.0 for text in lamp.TEXTS]
    spread = np.linspace(0, 0.5, len(group))
    angles = np.array(group) + spread
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert lamp.lamp_map(lambda texts: vectors)["nearest"] == len(lamp.TEXTS)
    angles[0], angles[len(lamp.OFF)] = angles[len(lamp.OFF)], angles[0]
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert lamp.lamp_map(lambda texts: vectors)["nearest"] == len(lamp.TEXTS) - 2


def test_the_claim_is_measured_drawn_and_told(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real encoders, on made-up episodes."""
    monkeypatch.setattr(paraphrases, "SOURCES", ("composites",))
    monkeypatch.setattr(paraphrases, "_EPISODES", (4, 4))  # as many as there are: none is drawn
    with Progress(disable=True) as progress:
        result = paraphrases.run(shards, tmp_path, True, progress)
    result = json.loads(json.dumps(result))
    by_hand, drawn = result["sets"]
    # Published weights do not change: one word less moves them little, other words much.
    before = result["lamp"]["before"]
    assert lamp.distance(before, lamp.CHANGE) < lamp.distance(before, lamp.PARAPHRASE)
    assert by_hand["before"]["right"][0] == pytest.approx(0.3, abs=0.03)
    for part in (by_hand, drawn):
        (gain, low, high), after, start = part["gain"], part["after"], part["before"]
        assert gain == pytest.approx(after["right"][0] - start["right"][0])
        assert low <= gain <= high
    assert 0 < sum(kind["triplets"] for kind in drawn["kinds"].values()) <= drawn["triplets"]
    assert len(drawn["seeds"]["after"]) == len(paraphrases.SEEDS) >= 3
    paraphrases.draw(result, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    text = paraphrases.markdown(result)
    assert f"| by hand | {by_hand['triplets']} |" in text
