"""Embedder node: images in; embeddings, label scores and the model's identity out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vljepa_ros.errors import InputError
from vljepa_ros.msg import LabelScores, ModelInfo, SemanticEmbedding
from vljepa_ros.nodes.camera import Camera, declare_camera
from vljepa_ros.nodes.conversions import (
    to_embedding,
    to_label_scores,
    to_model_info,
    to_nanoseconds,
)
from vljepa_ros.nodes.engines import shared_engine
from vljepa_ros.nodes.images import to_rgb
from vljepa_ros.nodes.lifecycle import ManagedNode, run
from vljepa_ros.nodes.parameters import declare, declare_texts, on_change, texts
from vljepa_ros.nodes.qos import LATCHED, RESULTS
from vljepa_ros.nodes.worker import Worker
from vljepa_ros.runtime.engine import Engine, check_text
from vljepa_ros.streaming import FrameWindow


@dataclass(frozen=True)
class _Asked:
    """What every window is asked; replaced as a whole, so that a frame sees one or the other."""

    queries: tuple[str, ...]
    labels: tuple[str, ...]
    label_query: str


class Embedder(ManagedNode):
    """Publishes one embedding for each processed frame and standing query.

    Subscribes: `image` (sensor_msgs/Image, or CompressedImage on `image/compressed`).
    Publishes: `embedding` (SemanticEmbedding), `labels` (LabelScores, when there are labels),
    `model_info` (ModelInfo, latched).
    Parameters: below, and those of `declare_camera` and `ManagedNode`.
    """

    def __init__(self) -> None:
        super().__init__("embedder")
        declare(self, "model", "vljepa-tiny", "shipped name or folder", read_only=True)
        declare(self, "device", "cpu", "torch device, for example cuda:0", read_only=True)
        declare_texts(self, "queries", ["What is happening?"], "standing queries")
        declare_texts(self, "labels", [], "labels to classify each window into; none: off")
        declare(self, "label_query", "What is shown?", "query of the classification")
        declare(self, "max_rate_hz", 0.0, "frames processed a second; 0: all", span=(0.0, 1000.0))
        declare_camera(self)
        self._asked = self._parse({p.name: p for p in self.get_parameters(_ASKED)})
        self._period = 0.0
        on_change(self, self._change)
        self._engine: Engine | None = None
        self._last_stamp = 0

    def configure(self) -> None:
        self._change({p.name: p for p in self.get_parameters([*_ASKED, "max_rate_hz"])})()
        self._engine = shared_engine(
            self.get_parameter("model").value, self.get_parameter("device").value
        )
        info = self._engine.info
        self._window: FrameWindow[Any] = FrameWindow(info.window_frames, info.window_period)
        self._embeddings = self.create_lifecycle_publisher(SemanticEmbedding, "embedding", RESULTS)
        self._labels = self.create_lifecycle_publisher(LabelScores, "labels", RESULTS)
        self._info = self.create_publisher(ModelInfo, "model_info", LATCHED)
        self._info.publish(to_model_info(info))

    def activate(self) -> None:
        self._window.clear()
        self._worker: Worker[Any] | None = Worker(self._process, "embedder")
        self._camera: Camera | None = Camera(self, self._receive)

    def deactivate(self) -> None:
        if camera := getattr(self, "_camera", None):
            camera.close()
        if worker := getattr(self, "_worker", None):
            worker.stop()
        self._camera = self._worker = None

    def cleanup(self) -> None:
        if self._engine is not None:
            for publisher in (self._embeddings, self._labels, self._info):
                self.destroy_publisher(publisher)
        self._engine = None

    def details(self) -> Mapping[str, str]:
        if self._engine is None:
            return {"model": "not loaded"}
        info = self._engine.info
        return {
            "model": info.model_id,
            "backend": f"{info.backend} {info.precision} on {info.device}",
        }

    def _receive(self, message: Any) -> None:
        self.statistics.count("frames received")
        stamp = to_nanoseconds(message.header.stamp)
        if 0 <= stamp - self._last_stamp < self._period * 1e9:
            return
        if self._worker is not None and not self._worker.offer(message):
            self.statistics.count("frames skipped")

    def _process(self, message: Any) -> None:
        """One frame, in the worker's thread."""
        started = time.perf_counter()
        try:
            self._publish(message, to_rgb(message))
        except InputError as error:
            self.bad_input("image", error)
            return
        except Exception as error:
            # The thread must live on: the next image may be good.
            self.statistics.count("bad frames, unexpected")
            self.get_logger().error(f"cannot process an image: {error!r}")
            return
        self.statistics.count("frames processed")
        self.statistics.time("inference", time.perf_counter() - started)
        age = self.get_clock().now().nanoseconds - to_nanoseconds(message.header.stamp)
        self.statistics.time("age of processed frame", age / 1e9)

    def _publish(self, message: Any, rgb: Any) -> None:
        assert self._engine is not None
        engine, asked, header = self._engine, self._asked, message.header
        self._last_stamp = to_nanoseconds(header.stamp)
        if self._window.add(self._last_stamp, engine.encode_frames([rgb])[0]):
            self.statistics.count("windows cleared")
        window = self._window.sample()
        start, tokens = window[0][0], [item for _, item in window]
        queries = [*asked.queries, *([asked.label_query] if asked.labels else [])]
        if not queries:
            return
        rows = engine.predict(tokens, queries)
        if not self.active:
            return
        model_id = engine.info.model_id
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

    def _change(self, wanted: dict[str, Any]) -> Callable[[], None]:
        asked, rate = self._parse(wanted), wanted["max_rate_hz"].value

        def apply() -> None:
            self._asked = asked
            self._period = 1 / rate if rate else 0.0

        return apply

    @staticmethod
    def _parse(wanted: dict[str, Any]) -> _Asked:
        queries, labels = texts(wanted["queries"]), texts(wanted["labels"])
        for query in queries:
            check_text(query, "query")
        for label in labels:
            check_text(label, "label")
        return _Asked(queries, labels, check_text(wanted["label_query"].value, "label_query"))


_ASKED = ["queries", "labels", "label_query"]


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run([Embedder], args)
