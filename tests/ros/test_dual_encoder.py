"""CLIP in the pipeline: what needs no text of its own works, the rest is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vljepa_ros.msg import Description, LabelScores, ModelInfo, SemanticEmbedding
from vljepa_ros.srv import Ask

from tests.dual_encoders import write
from vljepa_ros.nodes.qos import LATCHED


@pytest.fixture(scope="module")
def pipeline(
    bench: Any,
    tmp_path_factory: pytest.TempPathFactory,
    scene: Callable[..., np.ndarray],
    image: Callable[..., Image],
) -> Any:
    """A bench with an active pipeline that has embedded an image."""
    folder = tmp_path_factory.mktemp("clip")
    write("clip", folder)
    bench.start("pipeline", model=str(folder), labels=["a mug", "a ball"], max_rate_hz=0.0)
    bench.info = bench.collect(ModelInfo, "model_info", LATCHED)
    bench.embeddings = bench.collect(SemanticEmbedding, "embedding")
    bench.labels = bench.collect(LabelScores, "labels")
    bench.descriptions = bench.collect(Description, "description")
    bench.wait_active("vqa")
    bench.open_camera("image", Image, readers=2)
    bench.publish("image", image(scene(), 10.0))
    bench.until(lambda: bench.embeddings and bench.labels, "an embedding and labels")
    return bench


def test_it_embeds_and_labels_what_it_sees(pipeline: Any) -> None:
    (info,) = pipeline.until(lambda: pipeline.info, "model_info")
    assert not info.conditioned and not info.decodes
    assert len(pipeline.embeddings[0].data) == info.embedding_dim == 24
    assert list(pipeline.labels[0].labels) == ["a mug", "a ball"]


def test_it_chooses_among_candidates_and_writes_nothing(pipeline: Any) -> None:
    answer = pipeline.call("ask", Ask, question="What?", candidates=["a mug", "a ball"])
    assert answer.success and answer.answer in ("a mug", "a ball")
    answer = pipeline.call("ask", Ask, question="What?")
    assert not answer.success and "cannot write text" in answer.message


def test_the_decoder_says_once_that_there_is_no_text_and_rests(pipeline: Any) -> None:
    # Somebody waits for descriptions, and the decoder would listen for them.
    answer = pipeline.call("request_shift", Trigger)
    assert not answer.success and "nobody hears shift" in answer.message
    (process,) = pipeline.processes
    assert process.log().count("writes no text") == 1
    assert "bad shift" not in process.log() and not pipeline.descriptions


def test_torch_runs_it_without_a_word_about_onnx(pipeline: Any) -> None:
    (info,) = pipeline.until(lambda: pipeline.info, "model_info")
    assert (info.backend, info.fallback) == ("torch", "")
    assert "export" not in pipeline.processes[0].log()
