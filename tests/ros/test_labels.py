"""New labels take their time to be embedded, and hold nothing up meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from vljepa_ros.msg import LabelScores, SemanticEmbedding

FEW = ["a red ball", "an empty table"]
MANY = 2000  # labels, whose embedding takes many times as long as a frame


@pytest.fixture(scope="module")
def embedder(bench: Any, model: str) -> Any:
    """A bench with an active embedder and all that it publishes."""
    bench.start("embedder", model=model, labels=FEW, max_rate_hz=0.0)
    bench.embeddings = bench.collect(SemanticEmbedding, "embedding")
    bench.labels = bench.collect(LabelScores, "labels")
    bench.wait_active("embedder")
    bench.open_camera("image", Image)
    return bench


@pytest.fixture(scope="module")
def show(
    embedder: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> Callable[[], tuple[SemanticEmbedding, LabelScores]]:
    """Publishes the next image, and returns what is published of it."""
    seconds = iter(range(1, 100_000))

    def show() -> tuple[SemanticEmbedding, LabelScores]:
        sent = image(scene(), next(seconds))
        embedder.publish("image", sent)

        def answers() -> list[Any]:
            outputs = (embedder.embeddings, embedder.labels)
            got = [[m for m in out if m.header.stamp == sent.header.stamp] for out in outputs]
            return [one for (one,) in got] if all(got) else []

        embedding, scores = embedder.until(answers, "both of the image")
        return embedding, scores

    return show


@pytest.fixture
def few(embedder: Any, show: Callable[..., Any]) -> Iterator[None]:
    """Begins and ends with the few labels."""
    yield
    assert embedder.set("embedder", labels=FEW).successful
    embedder.until(lambda: list(show()[1].labels) == FEW, "the labels from before")


def things(word: str) -> list[str]:
    return [f"{word} {number}" for number in range(MANY)]


@pytest.mark.usefixtures("few")
def test_frames_go_on_with_the_old_labels_until_the_new_ones_are_embedded(
    embedder: Any, show: Callable[..., tuple[SemanticEmbedding, LabelScores]]
) -> None:
    assert list(show()[1].labels) == FEW, "the first frame has them"
    many = things("thing")
    changed = {"labels": many, "label_query": "Which?", "queries": ["Is it dark?"]}
    assert embedder.set("embedder", **changed).successful
    embedding, scores = show()
    assert embedding.query == "Is it dark?"
    assert (list(scores.labels), scores.query) == (FEW, "What is shown?")
    embedder.until(lambda: list((scores := show()[1]).labels) == many and scores, "the new ones")
    _, scores = show()
    assert scores.query == "Which?" and len(scores.scores) == MANY
    assert sum(scores.scores) == pytest.approx(1, abs=1e-3)
    assert embedder.set("embedder", label_query="What is shown?").successful
    _, scores = show()
    assert (list(scores.labels), scores.query) == (many, "What is shown?")


@pytest.mark.usefixtures("few")
def test_labels_that_change_again_meanwhile_are_never_asked(
    embedder: Any, show: Callable[..., tuple[SemanticEmbedding, LabelScores]]
) -> None:
    embedder.labels.clear()
    assert embedder.set("embedder", labels=things("object")).successful
    show()
    assert embedder.set("embedder", labels=["a cup"]).successful
    embedder.until(lambda: list(show()[1].labels) == ["a cup"], "the last of them")
    for _ in range(5):
        assert list(show()[1].labels) == ["a cup"]
    assert {len(scores.labels) for scores in embedder.labels} <= {1, len(FEW)}
    # Back to those that are still used: the ones in work are dropped.
    assert embedder.set("embedder", labels=things("item")).successful
    assert embedder.set("embedder", labels=["a cup"]).successful
    for _ in range(5):
        assert list(show()[1].labels) == ["a cup"]


def test_transitions_and_the_end_do_not_wait_for_labels(
    embedder: Any, show: Callable[..., tuple[SemanticEmbedding, LabelScores]]
) -> None:
    assert embedder.set("embedder", labels=things("toy")).successful
    assert embedder.change("embedder", "deactivate")
    assert embedder.change("embedder", "cleanup")
    assert embedder.set("embedder", labels=FEW).successful
    assert embedder.change("embedder", "configure") and embedder.change("embedder", "activate")
    embedder.until(lambda: embedder.node.count_subscribers("image"), "the subscription")
    assert list(show()[1].labels) == FEW
    assert "unexpected error" not in embedder.processes[0].log()
    assert embedder.set("embedder", labels=[f"end {n}" for n in range(4096)]).successful
    sent = time.monotonic()
    assert embedder.processes[0].stop() == 0
    assert time.monotonic() - sent < 10, "they take longer"
