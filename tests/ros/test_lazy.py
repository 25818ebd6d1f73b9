"""What nobody hears is not made; who comes late hears it whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vljepa_ros.msg import Description, LabelScores, SemanticEmbedding

from vljepa_ros.nodes.qos import RESULTS

PERIOD = 0.25  # s between the stamps of two images


@pytest.fixture(scope="module")
def pipeline(bench: Any, model: str) -> Any:
    """A bench with an active pipeline of which nobody hears anything."""
    bench.start("pipeline", model=model, labels=["a red ball"], max_rate_hz=0.0)
    bench.wait_active("vqa")
    bench.open_camera("image", Image, readers=2)
    return bench


@pytest.fixture
def show(
    pipeline: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> Callable[[int], None]:
    """Publishes an image by its number and waits until the embedder has dealt with it."""

    def show(number: int) -> None:
        before = dealt_with(pipeline)
        pipeline.publish("image", image(scene(), 100 + number * PERIOD))
        pipeline.until(lambda: dealt_with(pipeline) > before, "the image in the counts")

    return show


def dealt_with(bench: Any) -> int:
    return bench.counted("embedder", "frames processed") + unheard(bench)


def unheard(bench: Any) -> int:
    return bench.counted("embedder", "frames unheard")


def test_without_readers_nothing_is_encoded(pipeline: Any, show: Callable[[int], None]) -> None:
    show(0)
    show(1)
    assert unheard(pipeline) == 2
    assert not pipeline.counted("embedder", "frames processed")
    assert [pipeline.node.count_subscribers(t) for t in ("embedding", "shift")] == [0, 0]


def test_a_reader_of_descriptions_wakes_the_whole_chain(
    pipeline: Any, show: Callable[[int], None]
) -> None:
    reader = pipeline.node.create_subscription(Description, "description", lambda _: None, RESULTS)
    pipeline.until(lambda: pipeline.node.count_subscribers("embedding"), "the gate to listen")
    # The embedder may learn of it later than this test does.
    numbers = count(10)
    pipeline.until(
        lambda: (show(next(numbers)), pipeline.counted("embedder", "embeddings"))[1],
        "an embedding",
    )
    pipeline.until(lambda: pipeline.counted("gate", "embeddings"), "it at the gate")
    assert pipeline.call("request_shift", Trigger).success
    pipeline.until(lambda: pipeline.counted("decoder", "decodes"), "a description")
    pipeline.node.destroy_subscription(reader)
    pipeline.until(lambda: not pipeline.node.count_subscribers("embedding"), "the gate to rest")
    before = unheard(pipeline)
    pipeline.until(
        lambda: (show(next(numbers)), unheard(pipeline) > before)[1], "the embedder to rest"
    )
    answer = pipeline.call("request_shift", Trigger)
    assert not answer.success and "nobody hears shift" in answer.message


def test_a_node_that_is_not_active_hears_nothing(pipeline: Any) -> None:
    reader = pipeline.node.create_subscription(Description, "description", lambda _: None, RESULTS)
    pipeline.until(lambda: pipeline.node.count_subscribers("embedding"), "the gate to listen")
    # What it heard before it rested is old.
    answer = pipeline.call("request_shift", Trigger)
    assert not answer.success and answer.message == "no embedding has come yet"
    assert pipeline.change("decoder", "deactivate")
    pipeline.until(lambda: not pipeline.node.count_subscribers("embedding"), "the gate to rest")
    assert pipeline.change("decoder", "activate")
    pipeline.until(lambda: pipeline.node.count_subscribers("embedding"), "the gate to listen")
    pipeline.node.destroy_subscription(reader)
    pipeline.until(lambda: not pipeline.node.count_subscribers("embedding"), "the gate to rest")


def test_only_what_is_heard_is_predicted(pipeline: Any, show: Callable[[int], None]) -> None:
    before = pipeline.counted("embedder", "embeddings")
    labels, numbers = pipeline.collect(LabelScores, "labels"), count(200)
    pipeline.until(lambda: (show(next(numbers)), labels)[1], "labels")
    assert pipeline.counted("embedder", "embeddings") == before


def test_the_window_of_a_late_reader_fills_within_its_length(
    pipeline: Any, show: Callable[[int], None]
) -> None:
    embeddings, numbers = pipeline.collect(SemanticEmbedding, "embedding"), count(400)
    pipeline.until(lambda: (show(next(numbers)), embeddings)[1], "an embedding")
    for _ in range(7):
        show(next(numbers))
    pipeline.until(lambda: len(embeddings) >= 8, "all embeddings")
    assert [e.window_frames for e in embeddings][:8] == [1, 2, 2, 3, 3, 4, 4, 4]
