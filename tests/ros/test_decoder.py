"""The decoder as a process."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from vljepa_ros.msg import Description, ModelInfo, SemanticShift

from vljepa_ros.nodes.conversions import to_floats
from vljepa_ros.nodes.qos import LATCHED, RESULTS
from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.runtime.engine import UNSURE

_BURST = 500  # shifts, whose sentences take some seconds


@pytest.fixture(scope="module")
def decoder(bench: Any, model: str) -> Any:
    """A bench with an active decoder and its descriptions."""
    bench.start("decoder", model=model, min_confidence=0.0)
    bench.descriptions = bench.collect(Description, "description")
    bench.wait_active("decoder")
    return bench


@pytest.fixture(scope="module")
def engine(model: str) -> Engine:
    return Engine.load(model, FASTEST)


def shift_of(engine: Engine, data: np.ndarray) -> SemanticShift:
    shift = SemanticShift(segment_id=7, embeddings=5)
    shift.header.frame_id = "camera_optical"
    shift.header.stamp.sec = 12
    shift.segment_start.sec, shift.segment_end.sec = 10, 12
    shift.embedding.header = shift.header
    shift.embedding.query = "What is happening?"
    shift.embedding.model_id = engine.info.model_id
    shift.embedding.data = to_floats(data)
    return shift


def test_a_shift_becomes_the_sentence_that_the_engine_decodes(
    decoder: Any, engine: Engine
) -> None:
    (data,) = engine.encode_text(["a red ball lies on the table"])
    (expected,) = engine.decode(data[None])
    shift = shift_of(engine, data)
    decoder.publish("shift", shift)
    (got,) = decoder.until(lambda: decoder.descriptions, "a description")
    assert got.text == expected.text
    assert got.confidence == pytest.approx(expected.confidence, abs=1e-4)
    assert got.header == shift.header and got.model_id == engine.info.model_id
    assert (got.segment_id, got.segment_start.sec, got.segment_end.sec) == (7, 10, 12)
    assert got.query == "What is happening?"


def test_an_unsure_sentence_is_not_said(decoder: Any, engine: Engine) -> None:
    assert decoder.set("decoder", min_confidence=1.0).successful
    decoder.descriptions.clear()
    (data,) = engine.encode_text(["a red ball lies on the table"])
    decoder.publish("shift", shift_of(engine, data))
    (got,) = decoder.until(lambda: decoder.descriptions, "a description")
    assert got.text == Description.UNSURE == UNSURE
    assert decoder.set("decoder", min_confidence=0.0).successful


def test_what_means_the_same_is_not_decoded_again(decoder: Any, engine: Engine) -> None:
    ball, mug = engine.encode_text(["a red ball appears", "a red mug appears"])
    near = ball + 0.8 * mug  # at a distance of 0.062
    (expected,), (other,) = (engine.decode(one[None]) for one in (ball, near))
    assert other.confidence < expected.confidence - 0.1
    decoder.descriptions.clear()
    for number, data in enumerate([ball, near]):
        decoder.publish("shift", shift_of(engine, data))
        decoder.until(lambda n=number: len(decoder.descriptions) > n, "its description")
    first, second = decoder.descriptions
    assert first.confidence == pytest.approx(expected.confidence, abs=1e-4)
    assert (second.text, second.confidence) == (first.text, first.confidence)


def test_what_it_cannot_decode_is_counted_and_the_next_one_works(
    decoder: Any, engine: Engine
) -> None:
    (data,) = engine.encode_text(["the lamp is off"])
    other_model = shift_of(engine, data)
    other_model.embedding.model_id = "other@0123"
    bad = [
        other_model,
        shift_of(engine, np.full_like(data, np.nan)),
        shift_of(engine, data[:10]),
        shift_of(engine, data[:0]),
    ]
    before = decoder.counted("decoder", "bad shift")
    decoder.descriptions.clear()
    for shift in bad:
        decoder.publish("shift", shift)
    decoder.until(
        lambda: decoder.counted("decoder", "bad shift") == before + len(bad), "them in the counts"
    )
    assert "the same model" in decoder.processes[0].log()
    assert decoder.processes[0].log().count("bad shift:") == 1, "the log would fill the disk"
    assert not decoder.descriptions
    decoder.publish("shift", shift_of(engine, data))
    decoder.until(lambda: decoder.descriptions, "a description")


def test_it_leaves_the_topic_model_info_to_the_embedder(decoder: Any, engine: Engine) -> None:
    received = decoder.collect(ModelInfo, "decoder/model_info", LATCHED)
    (info,) = decoder.until(lambda: received, "its own")
    assert info.model_id == engine.info.model_id
    assert decoder.node.count_publishers("model_info") == 0


def test_shifts_that_come_too_fast_are_warned_of_and_all_described(
    decoder: Any, engine: Engine
) -> None:
    before = decoder.counted("decoder", "shifts received")
    shifts = decoder.node.create_publisher(SemanticShift, "shift", RESULTS)
    decoder.until(shifts.get_subscription_count, "the decoder")
    random = np.random.default_rng(0)
    for number, data in enumerate(random.normal(size=(_BURST, engine.info.embedding_dim))):
        shifts.publish(shift_of(engine, data))
        if number % 50 == 49:
            time.sleep(0.05)  # that none is lost between the processes

    def told() -> str:
        return decoder.diagnostics("decoder").get("message", "")

    decoder.until(lambda: "wait for their sentences" in told(), "a warning")
    decoder.until(lambda: "wait" not in told(), "the end of the warning")
    values = decoder.until(
        lambda: (now := decoder.diagnostics("decoder"))["shifts waiting"] == "0" and now, "the end"
    )
    received = int(values["shifts received"])
    assert received == int(values["descriptions"]) + int(values.get("bad shift", 0))
    assert received > before + _BURST / 2


def test_deactivating_waits_for_the_sentence_in_work_and_drops_the_others(
    decoder: Any, engine: Engine
) -> None:
    def counts() -> dict[str, int]:
        told = decoder.diagnostics("decoder")
        names = ("shifts received", "descriptions", "bad shift", "shifts dropped")
        return {name: int(told.get(name, 0)) for name in names}

    def balanced() -> dict[str, int]:
        """The counts, once each shift is among the described, the bad or the dropped."""
        now = counts()
        return now if now["shifts received"] * 2 == sum(now.values()) else {}

    before = decoder.until(balanced, "what came before to be done")
    decoder.descriptions.clear()
    shifts = decoder.node.create_publisher(SemanticShift, "shift", RESULTS)
    decoder.until(shifts.get_subscription_count, "the decoder")
    for data in np.random.default_rng(1).normal(size=(40, engine.info.embedding_dim)):
        shifts.publish(shift_of(engine, data))
    decoder.until(lambda: decoder.descriptions, "the first description")
    assert decoder.change("decoder", "deactivate")
    now = decoder.until(
        lambda: (now := balanced()) and now["shifts dropped"] > before["shifts dropped"] and now,
        "the shifts to be dropped",
    )
    described = now["descriptions"] - before["descriptions"]
    decoder.until(lambda: len(decoder.descriptions) == described, "all that was counted")
    assert decoder.change("decoder", "activate")


def test_it_can_be_cleaned_up_and_configured_again(decoder: Any, engine: Engine) -> None:
    for transition in ("deactivate", "cleanup", "configure", "activate"):
        assert decoder.change("decoder", transition)
    decoder.descriptions.clear()
    (data,) = engine.encode_text(["the lamp is off"])
    decoder.publish("shift", shift_of(engine, data))
    decoder.until(lambda: decoder.descriptions, "a description")
