"""All nodes with simulated time: before there is a clock, while it runs, and after a jump back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from vljepa_ros.msg import Description, SemanticEmbedding
from vljepa_ros.srv import Ask

from vljepa_ros.nodes.conversions import to_time

NODES = ("embedder", "gate", "decoder", "vqa")


@pytest.fixture(scope="module")
def pipeline(bench: Any, model: str) -> Any:
    """A bench with the active pipeline and no /clock yet, and its messages."""
    bench.start("pipeline", model=model, use_sim_time=True, max_rate_hz=0.0)
    bench.embeddings = bench.collect(SemanticEmbedding, "embedding")
    bench.descriptions = bench.collect(Description, "description")
    for name in NODES:
        bench.wait_active(name)
    bench.open_camera("image", Image, readers=2)
    # Time stands still; diagnostics come nevertheless.
    for name in NODES:
        bench.until(
            lambda name=name: bench.diagnostics(name).get("state") == "active", "diagnostics"
        )
    bench.clock = bench.node.create_publisher(Clock, "/clock", 1)
    return bench


@pytest.mark.parametrize("clock", [None, 100.0, 20.0])
def test_images_are_embedded_described_and_asked_about_by_their_stamps(
    pipeline: Any,
    scene: Callable[..., Any],
    image: Callable[..., Image],
    clock: float | None,
) -> None:
    begin = clock or 50.0
    pipeline.embeddings.clear()
    pipeline.descriptions.clear()
    for index in range(6):
        sent = image(scene(), begin + index / 4)
        if clock is not None:
            pipeline.clock.publish(Clock(clock=sent.header.stamp))
        pipeline.publish("image", sent)
        pipeline.until(
            lambda sent=sent: sent.header.stamp in [e.header.stamp for e in pipeline.embeddings],
            f"the embedding of image {index}",
        )
    told = pipeline.until(lambda: pipeline.descriptions, "a description")[0]
    assert begin <= told.header.stamp.sec < begin + 2
    answer = pipeline.call("ask", Ask, question="What is there?")
    assert answer.success and answer.header.stamp == to_time(round((begin + 1.25) * 1e9))
