"""Several cameras in one process: each has its own outputs, gate, decoder and questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from vljepa_ros.msg import Description, LabelScores, SemanticEmbedding
from vljepa_ros.srv import Ask

NAMES = ("front", "left")
NODES = ("gate", "decoder", "vqa")


@pytest.fixture(scope="module")
def cameras(bench: Any, model: str) -> Any:
    """A bench with an active pipeline of two cameras, and all that it says of them."""
    bench.start(
        "pipeline",
        model=model,
        cameras="['front:=front/image_raw','left:=left/image_raw']",
        labels=["a red ball"],
        queries=["What do you see?"],  # nothing happens in either picture
        max_rate_hz=0.0,
    )
    bench.heard = {name: bench.collect(SemanticEmbedding, f"{name}/embedding") for name in NAMES}
    bench.labels = {name: bench.collect(LabelScores, f"{name}/labels") for name in NAMES}
    bench.said = {name: bench.collect(Description, f"{name}/description") for name in NAMES}
    bench.wait_active("embedder")
    for name in NAMES:
        for node in NODES:
            bench.wait_active(f"{name}/{node}")
        bench.open_camera(f"{name}/image_raw", Image, readers=2)
    return bench


@pytest.fixture(scope="module")
def played(cameras: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]) -> Any:
    """The same after 8 images of each: the front camera sees a scene, the left one nothing."""
    pictures = {"front": scene(), "left": np.full((240, 320, 3), 5, np.uint8)}
    for index in range(8):
        for name, stamp in (("front", 100 + index / 4), ("left", 200 + index / 4)):
            cameras.publish(f"{name}/image_raw", image(pictures[name], stamp))
        cameras.until(
            lambda index=index: all(len(got) > index for got in cameras.heard.values()),
            f"the embeddings of image {index}",
        )
    return cameras


def test_each_camera_has_a_window_and_outputs_of_its_own(played: Any) -> None:
    for name, first in (("front", 100), ("left", 200)):
        got = played.heard[name]
        assert [e.header.stamp.sec for e in got] == [first] * 4 + [first + 1] * 4
        assert [e.window_frames for e in got] == [1, 2, 2, 3, 3, 4, 4, 4]
        played.until(lambda name=name: len(played.labels[name]) == 8, "labels")
    front, left = (np.array(played.heard[name][-1].data) for name in NAMES)
    assert front @ left < 0.9


def test_each_camera_is_described(played: Any) -> None:
    for name, first in (("front", 100), ("left", 200)):
        played.until(lambda name=name: played.said[name], f"a description of {name}")
        assert played.said[name][0].header.stamp.sec in (first, first + 1)


def test_each_camera_is_asked_by_its_name(played: Any) -> None:
    for name, last in (("front", 101), ("left", 201)):
        answer = played.call(f"{name}/ask", Ask, question="?", candidates=["yes", "no"])
        assert answer.success, answer.message
        assert answer.header.stamp.sec == last


def test_a_bad_image_of_one_camera_does_not_touch_the_other(
    played: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> None:
    before = played.counted("embedder", "bad image")
    broken = image(scene(), 110)
    broken.data = broken.data[:100]
    played.publish("front/image_raw", broken)
    played.publish("left/image_raw", image(scene(), 210))
    played.until(
        lambda: played.heard["left"][-1].header.stamp.sec == 210, "the embedding of the good one"
    )
    played.until(
        lambda: played.counted("embedder", "bad image") == before + 1, "the other in the counts"
    )


def test_bad_cameras_end_the_pipeline_with_one_line(bench: Any) -> None:
    for value, reason in (
        ("['front']", "name:=topic"),
        ("['2nd:=image']", "name:=topic"),
        ("['a:=/bad topic']", "no topic's name"),
        ("['cam__left:=x']", "two underscores"),
        ("['a:=/rig__0/image']", "two underscores"),
        ("['a:=x', 'a:=y']", "two cameras"),
        (f"['a:=x', 'b:={bench.namespace}/x']", "two cameras"),
        ("front:=x", "list of texts"),
    ):
        process = bench.start("pipeline", cameras=value)
        assert process.wait() == 1
        assert reason in process.log() and "Traceback" not in process.log()
        bench.processes.remove(process)
