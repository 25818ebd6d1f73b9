"""The question node as a process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from vljepa_ros.msg import ModelInfo
from vljepa_ros.srv import Ask, EmbedText

from vljepa_ros.nodes.diagnostics import PERIOD
from vljepa_ros.nodes.qos import LATCHED
from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.runtime.engine import UNSURE

CANDIDATES = ["yes", "no", "a red ball"]
MANY = 1000  # candidates, for a question that takes long


@pytest.fixture(scope="module")
def vqa(bench: Any, model: str) -> Any:
    """A bench with an active vqa node."""
    bench.start("vqa", model=model)
    bench.wait_active("vqa")
    bench.open_camera("image", Image)
    return bench


@pytest.fixture(scope="module")
def engine(model: str) -> Engine:
    return Engine.load(model, FASTEST)


@pytest.fixture(scope="module")
def filled(vqa: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]) -> Any:
    """The same with a window of four images, half a second apart, and some between them."""
    for index in range(16):
        stamp = 10 + index / 8
        before = vqa.counted("vqa", "frames received")
        vqa.publish("image", image(scene(), stamp))
        if index % 4 == 3:  # the newest image wins: these must not overtake one another
            vqa.until(
                lambda before=before: vqa.counted("vqa", "frames received") > before, "the image"
            )
    vqa.until(lambda: vqa.call("ask", Ask, question="?").header.stamp.nanosec == 875000000, "all")
    return vqa


def test_before_any_image_it_says_that_there_is_none(vqa: Any) -> None:
    answer = vqa.call("ask", Ask, question="What is there?")
    assert not answer.success and "no image has come on" in answer.message


def test_in_a_process_of_its_own_it_says_what_it_runs_on(vqa: Any, engine: Engine) -> None:
    received = vqa.collect(ModelInfo, "vqa/model_info", LATCHED)
    (info,) = vqa.until(lambda: received, "its own")
    assert info.model_id == engine.info.model_id
    assert vqa.node.count_publishers("model_info") == 0


def test_texts_are_embedded_before_any_image(vqa: Any, engine: Engine) -> None:
    answer = vqa.call("embed_text", EmbedText, text="a red ball")
    assert answer.success and answer.model_id == engine.info.model_id
    (expected,) = engine.encode_text(["a red ball"])
    np.testing.assert_allclose(answer.data, expected, atol=1e-5)


def test_a_question_is_answered_in_words_from_the_window(filled: Any, engine: Engine) -> None:
    answer = filled.call("ask", Ask, question="What is there?")
    assert answer.success, answer.message
    assert 0 <= answer.confidence <= 1 and not answer.scores
    assert answer.model_id == engine.info.model_id
    assert answer.header.frame_id == "camera_optical"
    assert answer.header.stamp.sec == 11 and answer.window_start.sec == 10


def test_with_candidates_the_nearest_is_the_answer(filled: Any) -> None:
    answer = filled.call("ask", Ask, question="What is there?", candidates=CANDIDATES)
    assert answer.success, answer.message
    assert len(answer.scores) == len(CANDIDATES)
    assert sum(answer.scores) == pytest.approx(1, abs=1e-4)
    assert answer.answer == CANDIDATES[int(np.argmax(answer.scores))]
    assert answer.confidence == pytest.approx(max(answer.scores))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"question": ""}, "question is empty"),
        ({"question": "  \n"}, "question is empty"),
        ({"question": "why " * 2500}, "at most 2000"),
        ({"question": "What?", "candidates": ["yes", ""]}, "candidate is empty"),
        ({"question": "What?", "candidates": ["x" * 3000]}, "at most 2000"),
        ({"question": "What?", "candidates": ["x"] * 4097}, "at most 4096"),
    ],
)
def test_a_question_that_cannot_be_answered_gets_a_reason(
    filled: Any, fields: dict[str, Any], reason: str
) -> None:
    answer = filled.call("ask", Ask, **fields)
    assert not answer.success and reason in answer.message and not answer.answer


def test_bad_texts_get_a_reason_and_are_counted(filled: Any) -> None:
    before = filled.counted("vqa", "bad text")
    for text in ("", "x" * 10_000):
        answer = filled.call("embed_text", EmbedText, text=text)
        assert not answer.success and answer.message and not len(answer.data)
    filled.until(lambda: filled.counted("vqa", "bad text") == before + 2, "them in the counts")


def test_a_bad_image_spoils_only_the_questions_about_it(
    filled: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> None:
    broken = image(scene(), 12.1)
    broken.data = broken.data[:100]
    filled.publish("image", broken)
    answer = filled.until(
        lambda: not (got := filled.call("ask", Ask, question="What?")).success and got,
        "the broken image to be asked about",
    )
    assert "truncated" in answer.message
    # The broken one is its second frame: that of 11.875 s, whose tokens are at hand, is too far.
    before = filled.counted("vqa", "bad image")
    filled.publish("image", image(scene(), 12.8))
    answer = filled.until(
        lambda: (got := filled.call("ask", Ask, question="What?")).success and got, "a good answer"
    )
    assert answer.header.stamp.sec == 12 and answer.header.stamp.nanosec == 800_000_000
    filled.until(lambda: filled.counted("vqa", "bad image") > before, "the broken one in counts")


def test_a_stamp_that_stands_still_is_a_bad_image(
    filled: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> None:
    before = filled.counted("vqa", "bad image")
    still = image(scene(), 21)
    filled.until(
        lambda: (filled.publish("image", still), filled.counted("vqa", "bad image") > before)[1],
        "it in the counts",
    )
    # The answer is about the first of them, however many come.
    answer = filled.until(
        lambda: (
            filled.publish("image", still),
            (got := filled.call("ask", Ask, question="What?")).message and got,
        )[1],
        "the age in an answer",
    )
    assert answer.success and "no new image has come for" in answer.message
    assert "have the camera's driver set header.stamp" in filled.processes[0].log()


def test_an_unsure_answer_is_not_said(filled: Any) -> None:
    try:
        assert filled.set("vqa", min_confidence=1.0).successful
        answer = filled.call("ask", Ask, question="What is there?").answer
        assert answer == Ask.Response.UNSURE == UNSURE
    finally:
        assert filled.set("vqa", min_confidence=0.5).successful


def test_time_that_runs_backwards_clears_the_window(
    filled: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> None:
    filled.publish("image", image(scene(), 5))
    answer = filled.until(
        lambda: (got := filled.call("ask", Ask, question="What?")).header.stamp.sec == 5 and got,
        "an answer about the earlier time",
    )
    assert answer.success and answer.window_start == answer.header.stamp


def test_an_inactive_node_says_so(filled: Any) -> None:
    assert filled.change("vqa", "deactivate")
    answer = filled.call("ask", Ask, question="What is there?")
    assert not answer.success and "not active" in answer.message
    assert not filled.call("embed_text", EmbedText, text="a red ball").success
    assert filled.change("vqa", "activate")
    # Images from before are forgotten.
    assert "no image" in filled.call("ask", Ask, question="What is there?").message


def test_after_a_restart_in_an_earlier_time_frames_are_encoded_once(
    filled: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> None:
    filled.publish("image", image(scene(), 40))
    filled.until(lambda: filled.call("ask", Ask, question="What?").success, "a later time")
    assert filled.change("vqa", "deactivate") and filled.change("vqa", "activate")
    filled.publish("image", image(scene(), 3))
    filled.until(lambda: filled.call("ask", Ask, question="What?").success, "an answer")

    def counts() -> tuple[int, int]:
        passed = time.monotonic() + 2.5 * PERIOD
        filled.until(lambda: time.monotonic() > passed, "newer diagnostics")
        return filled.counted("vqa", "questions answered"), filled.counted("vqa", "frames encoded")

    answered, encoded = counts()
    assert encoded
    answer = filled.call("ask", Ask, question="What is there?")
    assert answer.header.stamp.sec == 3
    assert counts() == (answered + 1, encoded)


@pytest.fixture
def long_question(
    vqa: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> Callable[[str], Any]:
    """Asks a question that takes long, by its many candidates; returns the future answer."""
    vqa.publish("image", image(scene(), 30))
    vqa.until(lambda: vqa.call("ask", Ask, question="?", candidates=["yes"]).success, "an image")
    client = vqa.node.create_client(Ask, "ask")
    vqa.until(client.service_is_ready, "ask")

    def ask(word: str) -> Any:
        candidates = [f"{word} {number}" for number in range(MANY)]
        return client.call_async(Ask.Request(question="Which?", candidates=candidates))

    return ask


def test_other_services_answer_while_a_question_is_answered(
    vqa: Any, long_question: Callable[[str], Any]
) -> None:
    assert vqa.set("vqa", min_confidence=0.3).successful  # so that this client is known
    answer = long_question("thing")
    assert vqa.state("vqa") == "active"
    assert vqa.call("embed_text", EmbedText, text="a red ball").success
    assert not answer.done(), "it was to take longer than two others together"
    vqa.until(answer.done, "the answer")
    assert answer.result().success and len(answer.result().scores) == MANY


def test_a_node_may_be_cleaned_up_while_it_answers(
    vqa: Any, long_question: Callable[[str], Any]
) -> None:
    answer = long_question("object")
    assert vqa.change("vqa", "deactivate") and vqa.change("vqa", "cleanup")
    vqa.until(answer.done, "the answer, or why there is none")
    assert "not active" in vqa.call("embed_text", EmbedText, text="a red ball").message
    assert answer.result().success or "not active" in answer.result().message
    assert vqa.change("vqa", "configure") and vqa.change("vqa", "activate")
    assert vqa.call("embed_text", EmbedText, text="a red ball").success
