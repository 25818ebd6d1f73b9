"""The embedder as a process: what it publishes, what it survives, what can be changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from vljepa_ros.msg import LabelScores, ModelInfo, SemanticEmbedding

from vljepa_ros.nodes.conversions import to_nanoseconds

QUERIES = ["What is happening?", "Is there a ball?"]
LABELS = ["a red ball", "an empty table"]


@pytest.fixture(scope="module")
def embedder(bench: Any, model: str) -> Any:
    """A bench with an active embedder and all that it publishes."""
    bench.start("embedder", model=model, queries=QUERIES, labels=LABELS, max_rate_hz=0.0)
    bench.embeddings = bench.collect(SemanticEmbedding, "embedding")
    bench.labels = bench.collect(LabelScores, "labels")
    bench.wait_active("embedder")
    bench.open_camera("image", Image)
    return bench


@pytest.fixture
def show(
    embedder: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> Callable[..., list[SemanticEmbedding]]:
    """Publishes a picture with a stamp in s and returns the embeddings of that stamp."""

    def show(stamp: float, width: int = 320, encoding: str = "rgb8") -> list[SemanticEmbedding]:
        sent = image(scene(width, width * 3 // 4), stamp, encoding)
        embedder.embeddings.clear()
        embedder.publish("image", sent)

        def answered() -> list[SemanticEmbedding]:
            got = [e for e in embedder.embeddings if e.header.stamp == sent.header.stamp]
            return got if len(got) == len(QUERIES) else []

        return embedder.until(answered, f"embeddings of the image at {stamp} s")

    return show


def seconds(stamp: Any) -> float:
    return to_nanoseconds(stamp) / 1e9


def test_one_embedding_for_each_query_with_the_header_of_the_image(
    show: Callable[..., list[SemanticEmbedding]],
) -> None:
    got = show(10.123456789)
    assert [e.query for e in got] == QUERIES
    for embedding in got:
        assert embedding.header.frame_id == "camera_optical"
        assert (embedding.header.stamp.sec, embedding.header.stamp.nanosec) == (10, 123456789)
        assert np.linalg.norm(embedding.data) == pytest.approx(1, abs=1e-4)
        assert embedding.window_frames == 1
        assert embedding.window_start == embedding.header.stamp


def test_model_info_reaches_those_who_come_late(
    embedder: Any, show: Callable[..., list[SemanticEmbedding]]
) -> None:
    (embedding, _) = show(20.0)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    received = embedder.collect(ModelInfo, "model_info", latched)
    (info,) = embedder.until(lambda: received, "model_info")
    assert info.model_id == embedding.model_id
    assert info.model_id.startswith(info.name) and info.weights_sha256[:12] in info.model_id
    assert info.embedding_dim == len(embedding.data) and info.normalized


def test_a_window_is_sampled_by_stamp(show: Callable[..., list[SemanticEmbedding]]) -> None:
    # 10 Hz, one frame in five belongs to a window with half a second between its frames.
    for index in range(17):
        got = show(30 + index / 10)
    assert got[0].window_frames == 4
    assert seconds(got[0].window_start) == pytest.approx(30.1)


def test_time_that_runs_backwards_clears_the_window(
    embedder: Any, show: Callable[..., list[SemanticEmbedding]]
) -> None:
    before = embedder.counted("embedder", "windows cleared")
    show(50.0)
    assert show(50.5)[0].window_frames == 2
    assert show(40.0)[0].window_frames == 1
    embedder.until(
        lambda: embedder.counted("embedder", "windows cleared") > before, "the clearing in counts"
    )


def test_resolution_and_encoding_may_change_in_mid_stream(
    show: Callable[..., list[SemanticEmbedding]],
) -> None:
    small, large, swapped = show(60), show(70, width=640), show(80, encoding="bgr8")
    assert np.dot(small[0].data, large[0].data) > 0.95
    assert np.dot(small[0].data, swapped[0].data) > 0.9999


def test_labels_are_ranked(embedder: Any, show: Callable[..., list[SemanticEmbedding]]) -> None:
    embedder.labels.clear()
    show(90)
    scores = embedder.until(lambda: embedder.labels, "labels")[0]
    assert list(scores.labels) == LABELS and scores.query == "What is shown?"
    assert sum(scores.scores) == pytest.approx(1, abs=1e-4)
    assert all(-1 <= similarity <= 1 for similarity in scores.similarities)
    assert scores.header.frame_id == "camera_optical"


def test_bad_images_are_counted_and_the_next_good_one_works(
    embedder: Any, show: Callable[..., list[SemanticEmbedding]]
) -> None:
    """Each has a stamp of its own: one that stands still would be a bad image by itself."""
    show(100)
    bad = [
        Image(encoding="rgb8", width=320, height=240, step=960, data=bytes(100)),
        Image(encoding="rgb8"),
        Image(encoding="hologram", width=1, height=1, step=1, data=bytes(1)),
        Image(encoding="16UC1", width=1, height=1, step=2, data=bytes(2)),
    ]
    before = embedder.counted("embedder", "bad image")
    for number, message in enumerate(bad, 1):
        message.header.stamp.sec, message.header.stamp.nanosec = 100, number * 100_000_000
        embedder.publish("image", message)
        embedder.until(
            lambda number=number: embedder.counted("embedder", "bad image") == before + number,
            f"bad image {number} in the counts",
        )
    # The newest of several that come at once wins, so each was waited for.
    assert len(show(101)) == len(QUERIES)
    log = embedder.processes[0].log()
    assert "truncated" in log and "same stamp" not in log


def test_diagnostics_tell_what_runs_and_how_fast(
    embedder: Any, show: Callable[..., list[SemanticEmbedding]]
) -> None:
    (embedding, _) = show(110)
    embedder.until(
        lambda: embedder.diagnostics("embedder").get("model") == embedding.model_id, "diagnostics"
    )
    values = embedder.diagnostics("embedder")
    assert {"backend", "device", "precision", "frames received", "frames processed"} <= set(values)
    assert {"inference p50 (ms)", "age of processed frame p95 (ms)"} <= set(values)
    assert {"frames received (Hz)", "frames processed (Hz)"} <= set(values)
    assert values["state"] == "active"


def test_queries_and_labels_change_while_it_runs(
    embedder: Any, show: Callable[..., list[SemanticEmbedding]], scene: Any, image: Any
) -> None:
    try:
        assert embedder.set("embedder", queries=["Is it dark?"], labels=[""]).successful
        embedder.embeddings.clear()
        embedder.labels.clear()
        embedder.publish("image", image(scene(), 120))
        (got,) = embedder.until(lambda: embedder.embeddings, "an embedding of the new query")
        assert got.query == "Is it dark?"
        # Labels of the first image would have been sent before the second is embedded.
        embedder.publish("image", image(scene(), 120.5))
        embedder.until(lambda: len(embedder.embeddings) == 2, "another one")
        assert not embedder.labels
    finally:
        assert embedder.set("embedder", queries=QUERIES, labels=LABELS).successful
    assert len(show(121)) == len(QUERIES)


def test_the_query_of_the_labels_changes_while_it_runs(
    embedder: Any, show: Callable[..., list[SemanticEmbedding]]
) -> None:
    asked = ["What is shown?", "Is it day?"]
    for stamp, query in enumerate(reversed(asked), start=130):
        assert embedder.set("embedder", label_query=query).successful
        embedder.labels.clear()
        show(stamp)
        (got,) = embedder.until(lambda: embedder.labels, "labels")
        assert got.query == query


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"queries": "What is happening?"}, "list of texts"),
        ({"queries": ["x" * 3000]}, "3000 characters"),
        ({"queries": [f"Is it {n}?" for n in range(101)]}, "101 queries; give at most 100"),
        ({"labels": [1, 2]}, "list of texts"),
        ({"labels": None}, "cannot be deleted"),
        ({"labels": [f"thing {n}" for n in range(5000)]}, "at most 4096"),
        ({"label_query": " "}, "empty"),
        ({"max_rate_hz": -1.0}, "range"),
        ({"max_rate_hz": 1e-300}, "at least 0.001"),
        ({"model": "other"}, "read-only"),
    ],
)
def test_a_bad_value_is_refused_with_a_reason(
    embedder: Any, parameters: dict[str, Any], reason: str
) -> None:
    result = embedder.set("embedder", **parameters)
    assert not result.successful and reason in result.reason


def test_no_more_frames_are_processed_than_the_rate_allows(
    embedder: Any, show: Callable[..., list[SemanticEmbedding]], scene: Any, image: Any
) -> None:
    show(140)  # the next ones are counted by their stamps from here
    try:
        assert embedder.set("embedder", max_rate_hz=4.0).successful
        embedder.embeddings.clear()
        for index in range(1, 7):  # 0.6 s at 10 Hz
            before = embedder.counted("embedder", "frames received")
            embedder.publish("image", image(scene(), 140 + index / 10))
            embedder.until(
                lambda before=before: embedder.counted("embedder", "frames received") > before,
                "the image in the counts",
            )
        stamps = embedder.until(
            lambda: len(got := {seconds(e.header.stamp) for e in embedder.embeddings}) > 1 and got,
            "what the rate allows",
        )
        assert len(stamps) <= 3
    finally:
        assert embedder.set("embedder", max_rate_hz=0.0).successful
    assert len(show(142)) == len(show(142.01)) == len(QUERIES)


def test_it_works_only_while_active(
    embedder: Any, show: Callable[..., list[SemanticEmbedding]]
) -> None:
    for transition, state in [("deactivate", "inactive"), ("cleanup", "unconfigured")]:
        assert embedder.change("embedder", transition)
        assert embedder.state("embedder") == state
        embedder.until(
            lambda state=state: embedder.diagnostics("embedder")["state"] == state, "it there too"
        )
        embedder.until(
            lambda: embedder.node.count_subscribers("image") == 0, "the subscription to go"
        )
    assert embedder.change("embedder", "configure")
    assert embedder.change("embedder", "activate")
    assert len(show(150)) == len(QUERIES)


def test_what_was_seen_before_a_rest_is_forgotten(
    embedder: Any, show: Callable[..., list[SemanticEmbedding]]
) -> None:
    show(160)
    assert show(160.5)[0].window_frames == 2
    assert embedder.change("embedder", "deactivate") and embedder.change("embedder", "activate")
    assert show(161)[0].window_frames == 1
