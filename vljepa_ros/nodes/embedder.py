"""Embedder node: images in; embeddings, label scores and the model's identity out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rclpy.parameter import Parameter

from vljepa_ros.msg import LabelScores, SemanticEmbedding
from vljepa_ros.nodes.camera import Camera, declare_camera
from vljepa_ros.nodes.conversions import (
    to_embedding,
    to_header,
    to_label_scores,
    to_nanoseconds,
)
from vljepa_ros.nodes.images import to_rgb
from vljepa_ros.nodes.lifecycle import run
from vljepa_ros.nodes.model_node import ModelNode
from vljepa_ros.nodes.parameters import declare, declare_texts, on_change, texts
from vljepa_ros.nodes.qos import RESULTS
from vljepa_ros.nodes.worker import Worker
from vljepa_ros.runtime.engine import check_text
from vljepa_ros.streaming import FrameWindow, RateLimit


@dataclass(frozen=True)
class _Asked:
    """What every window is asked; replaced as a whole, so that a frame sees one or the other."""

    queries: tuple[str, ...]
    labels: tuple[str, ...]
    label_query: str


_CHANGEABLE = ("queries", "labels", "label_query", "max_rate_hz")


class Embedder(ModelNode):
    """Publishes one embedding for each processed frame and standing query.

    A frame that nobody hears about is not even encoded; the window of one who comes later fills
    within its length.

    Subscribes: `image` (sensor_msgs/Image, or CompressedImage on `image/compressed`).
    Publishes: `embedding` (SemanticEmbedding), `labels` (LabelScores, when there are labels),
    and as `ModelNode`.
    Parameters: queries, labels, label_query, max_rate_hz (all changeable while it runs), and
    those of `declare_camera` and `ModelNode`.
    """

    def __init__(self, announces: bool = True) -> None:
        super().__init__("embedder", announces)
        declare_texts(self, "queries", ["What is happening?"], "standing queries")
        declare_texts(self, "labels", [], "labels to classify each window into; none: off")
        declare(self, "label_query", "What is shown?", "query of the classification")
        declare(self, "max_rate_hz", 4.0, "frames processed a second; 0: all", span=(0.0, 1000.0))
        declare_camera(self)
        on_change(self, _CHANGEABLE, self._change)
        self._worker: Worker[Any] | None = None

    def configure(self) -> None:
        self._change({p.name: p for p in self.get_parameters(list(_CHANGEABLE))})()
        self._camera = Camera(self, self._receive)
        super().configure()
        assert self.engine is not None
        info = self.engine.info
        self._window: FrameWindow[Any] = FrameWindow(info.window_frames, info.window_period)
        self._embeddings = self.create_lifecycle_publisher(SemanticEmbedding, "embedding", RESULTS)
        self._labels = self.create_lifecycle_publisher(LabelScores, "labels", RESULTS)

    def activate(self) -> None:
        self._window.clear()
        self._worker = Worker(self._process, "embedder")
        self._camera.open()

    def deactivate(self) -> None:
        if self._worker is not None:
            self._camera.close()
            self._worker.stop()
        self._worker = None

    def cleanup(self) -> None:
        if self.engine is not None:
            self.dispose(self.destroy_lifecycle_publisher, self._embeddings)
            self.dispose(self.destroy_lifecycle_publisher, self._labels)
        super().cleanup()

    def _receive(self, message: Any) -> None:
        self.statistics.count("frames received")
        worker = self._worker
        if worker is None or not self._limit.accept(to_nanoseconds(message.header.stamp)):
            return
        if not worker.offer(message):
            self.statistics.count("frames skipped")

    def _process(self, message: Any) -> None:
        """One frame, in the worker's thread."""
        with self.surviving("image"):
            asked = self._heard()
            if not asked:
                self.statistics.count("frames unheard")
                return
            started = time.perf_counter()
            self._embed(message, asked)
            self.statistics.count("frames processed")
            self.statistics.time("inference", time.perf_counter() - started)
            age = self.get_clock().now().nanoseconds - to_nanoseconds(message.header.stamp)
            self.statistics.time("age of processed frame", age / 1e9)

    def _heard(self) -> _Asked | None:
        """What is asked, as far as somebody hears the answers."""
        queries = self._asked.queries if self._embeddings.get_subscription_count() else ()
        labels = self._asked.labels if self._labels.get_subscription_count() else ()
        if not queries and not labels:
            return None
        return replace(self._asked, queries=queries, labels=labels)

    def _embed(self, message: Any, asked: _Asked) -> None:
        assert self.engine is not None
        engine, model_id = self.engine, self.engine.info.model_id
        header, rgb = to_header(message.header), to_rgb(message, engine.info.input_width)
        tokens = engine.encode_frames([rgb])[0]  # (N, C)
        if self._window.add(to_nanoseconds(header.stamp), tokens):
            self.statistics.count("windows cleared")
        window = self._window.sample()
        queries = [*asked.queries, *([asked.label_query] if asked.labels else [])]
        rows = engine.predict([item for _, item in window], queries)  # (Q, D)
        if not self.active:
            return
        start = window[0][0]
        for query, row in zip(asked.queries, rows, strict=False):
            self._embeddings.publish(
                to_embedding(header, start, len(window), model_id, query, row)
            )
            self.statistics.count("embeddings")
        if asked.labels:
            ranking = engine.rank(rows[-1], asked.labels)
            self._labels.publish(
                to_label_scores(header, asked.label_query, asked.labels, ranking, model_id)
            )

    def _change(self, wanted: dict[str, Parameter]) -> Callable[[], None]:
        queries, labels = texts(wanted["queries"]), texts(wanted["labels"])
        for text in (*queries, *labels):
            check_text(text, "query or label")
        asked = _Asked(queries, labels, check_text(wanted["label_query"].value, "label_query"))
        limit = RateLimit(wanted["max_rate_hz"].value)

        def apply() -> None:
            self._asked = asked
            self._limit = limit

        return apply


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run([Embedder], args)
