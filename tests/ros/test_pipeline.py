"""All nodes in one process: compressed images in; embeddings, shifts, sentences, answers out."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from vljepa_ros.msg import Description, ModelInfo, SemanticEmbedding, SemanticShift
from vljepa_ros.srv import Ask

from vljepa_ros.nodes.conversions import to_nanoseconds, to_time
from vljepa_ros.nodes.images import to_rgb
from vljepa_ros.nodes.qos import LATCHED
from vljepa_ros.runtime import FASTEST, Engine

NODES = ("embedder", "gate", "decoder", "vqa")
PERIOD = 0.25  # s between the stamps of two images
SCENE_LENGTH = 12  # images
DARK = np.full((240, 320, 3), 5, np.uint8)


@pytest.fixture(scope="module")
def pipeline(bench: Any, model: str) -> Any:
    """A bench with the active pipeline, which hears compressed images of a remapped topic."""
    bench.process = bench.start(
        "pipeline",
        remap={"image": "front/image"},
        model=model,
        image_transport="compressed",
        silence_timeout=600.0,
    )
    bench.embeddings = bench.collect(SemanticEmbedding, "embedding")
    bench.shifts = bench.collect(SemanticShift, "shift")
    bench.descriptions = bench.collect(Description, "description")
    for name in NODES:
        bench.wait_active(name)
    bench.open_camera("front/image/compressed", CompressedImage, readers=2)
    return bench


def jpeg(rgb: np.ndarray, index: int) -> CompressedImage:
    data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]))[1]
    message = CompressedImage(format="jpeg", data=array("B", data.tobytes()))
    message.header.frame_id = "camera_optical"
    message.header.stamp = to_time(round((100 + index * PERIOD) * 1e9))
    return message


@pytest.fixture(scope="module")
def played(pipeline: Any, scene: Callable[..., np.ndarray]) -> Any:
    """The same after a scene of a ball and a box, and then darkness."""
    lit = scene()
    for index in range(2 * SCENE_LENGTH):
        message = jpeg(lit if index < SCENE_LENGTH else DARK, index)
        pipeline.publish("front/image/compressed", message)
        pipeline.until(
            lambda message=message: any(
                e.header.stamp == message.header.stamp for e in pipeline.embeddings
            ),
            f"the embedding of image {index}",
        )
    pipeline.until(lambda: len(pipeline.shifts) >= 2, "two shifts")
    pipeline.until(
        lambda: len(pipeline.descriptions) == len(pipeline.shifts), "a description of each"
    )
    return pipeline


def test_each_image_is_embedded_and_few_are_described(played: Any) -> None:
    assert len(played.embeddings) == 2 * SCENE_LENGTH
    assert 2 <= len(played.descriptions) <= SCENE_LENGTH
    assert played.shifts[0].trigger == SemanticShift.FIRST
    assert SemanticShift.SHIFT in [shift.trigger for shift in played.shifts]


def test_stamps_and_model_go_through_the_whole_chain(played: Any) -> None:
    images = {to_nanoseconds(e.header.stamp) for e in played.embeddings}
    for shift, description in zip(played.shifts, played.descriptions, strict=True):
        assert description.header == shift.header
        assert to_nanoseconds(shift.header.stamp) in images
        assert description.header.frame_id == "camera_optical"
        assert description.segment_id == shift.segment_id
        assert description.model_id == played.embeddings[0].model_id
        assert description.text and 0 <= description.confidence <= 1


def test_the_model_is_announced_once(played: Any) -> None:
    infos = played.collect(ModelInfo, "model_info", LATCHED)
    played.until(lambda: infos, "model_info")
    assert infos[0].model_id == played.embeddings[0].model_id
    topics = ("model_info", "decoder/model_info", "vqa/model_info")
    assert [played.node.count_publishers(topic) for topic in topics] == [1, 0, 0]


def test_questions_are_answered_beside_the_stream(played: Any) -> None:
    answer = played.call("ask", Ask, question="Is it dark?", candidates=["yes", "no"])
    assert answer.success, answer.message
    assert answer.answer in ("yes", "no")
    assert answer.header == played.embeddings[-1].header


def test_a_question_uses_what_the_embedder_has_encoded(played: Any, model: str) -> None:
    def counts() -> tuple[int, int]:
        return tuple(played.counted("vqa", c) for c in ("questions answered", "frames encoded"))

    asked = {"question": "Is it dark?", "candidates": ["yes", "no"]}
    answer = played.call("ask", Ask, **asked)
    assert answer.success, answer.message
    answered = played.until(lambda: counts()[0] and counts(), "the question in the counts")
    assert answered[1] == 0, "all frames of its window had been encoded"
    assert answer.header == played.embeddings[-1].header
    window = to_nanoseconds(answer.header.stamp) - to_nanoseconds(answer.window_start)
    assert window / 1e9 == pytest.approx(1.5)
    engine = Engine.load(model, FASTEST)
    tokens = engine.encode_frames([to_rgb(jpeg(DARK, 0))])
    (embedding,) = engine.predict(list(tokens), [asked["question"]])
    expected = engine.rank(embedding, asked["candidates"]).scores
    np.testing.assert_allclose(answer.scores, expected, atol=1e-3)


def test_all_nodes_report_to_diagnostics(played: Any) -> None:
    for name in NODES:
        played.until(
            lambda name=name: played.diagnostics(name).get("level") == "0", f"{name} to be well"
        )
    # Each node reports once a second, so its newest counts may be a second old.
    for name, key, heard in (
        ("decoder", "descriptions", played.descriptions),
        ("gate", "embeddings", played.embeddings),
    ):
        played.until(
            lambda name=name, key=key, heard=heard: played.counted(name, key) == len(heard),
            f"all {key} in the counts of {name}",
        )


def test_one_node_can_be_stopped_and_the_others_go_on(
    played: Any, scene: Callable[..., np.ndarray]
) -> None:
    assert played.change("decoder", "deactivate")
    played.embeddings.clear()
    played.publish("front/image/compressed", jpeg(scene(), 4 * SCENE_LENGTH))
    played.until(lambda: played.embeddings, "an embedding")
    assert played.change("decoder", "activate")
