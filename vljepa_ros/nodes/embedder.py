"""Embedder node: images in; embeddings, label scores and the model's identity out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rclpy.parameter import Parameter

from vljepa_ros.errors import InputError
from vljepa_ros.msg import LabelScores, SemanticEmbedding
from vljepa_ros.nodes.camera import (
    ImageSubscription,
    camera_topics,
    declare_camera,
    declare_cameras,
)
from vljepa_ros.nodes.conversions import to_embedding, to_header, to_label_scores, to_nanoseconds
from vljepa_ros.nodes.images import to_rgb
from vljepa_ros.nodes.model_node import ModelNode
from vljepa_ros.nodes.parameters import declare, declare_texts, on_change, texts
from vljepa_ros.nodes.process import run
from vljepa_ros.nodes.qos import RESULTS
from vljepa_ros.nodes.tokens import shared_tokens
from vljepa_ros.nodes.worker import Worker
from vljepa_ros.runtime.engine import LABEL_QUERY, MAX_RATE, STREAM_QUERY, TEXT_CACHE, check_text
from vljepa_ros.streaming import FrameWindow, RateLimit


@dataclass(frozen=True)
class _Asked:
    """What every window is asked; replaced as a whole, so that a frame sees one or the other."""

    queries: tuple[str, ...]
    labels: tuple[str, ...]
    label_query: str
    label_rows: Any = None  # (L, D), once they are embedded


@dataclass
class _Stream:
    """A camera, and what is published of it."""

    name: str  # "" for the only one
    camera: ImageSubscription
    window: FrameWindow[Any]
    embeddings: Any
    labels: Any
    limit: RateLimit
    encoded: int = 0  # frames


_Frame = tuple[_Stream, Any]  # with its message
_LEAST_RATE = 0.001  # Hz

_LABELS_AT_ONCE = 16  # embedded; a change or the end waits for no more
_PARTS = ("x_encoder", "predictor", "y_encoder")  # of the model; labels are embedded
_CHANGEABLE = ("queries", "labels", "label_query", "max_rate_hz", "stride")


class Embedder(ModelNode):
    """Publishes one embedding for each processed frame and standing query.

    A frame that nobody hears about is not even encoded; the window of one who comes later fills
    within its length.

    Subscribes: `image` (sensor_msgs/Image, or CompressedImage on `image/compressed`), or the
    topics of the cameras. Frames of several cameras that wait together are encoded together.
    Publishes: `embedding` (SemanticEmbedding), `labels` (LabelScores, when there are labels),
    with cameras both of each, as `<name>/embedding` and `<name>/labels`; and `model_info`.
    Parameters: queries, labels, label_query, max_rate_hz, stride (all changeable while it runs),
    and those of `declare_cameras`, `declare_camera` and `ModelNode`.
    """

    def __init__(self, *, parts: tuple[str, ...] = _PARTS, arguments: Sequence[str] = ()) -> None:
        super().__init__("embedder", "model_info", parts, arguments)
        queries = f"standing queries, at most {RESULTS.depth}"
        declare_texts(self, "queries", [STREAM_QUERY], queries)
        declare_texts(self, "labels", [], "labels to classify each window into; none: off")
        declare(self, "label_query", LABEL_QUERY, "query of the classification")
        declare(
            self, "max_rate_hz", MAX_RATE, "frames processed a second; 0: all", span=(0.0, 1000.0)
        )
        stride = "n: predict at every nth processed frame; all of them enter the window"
        declare(self, "stride", 1, stride, span=(1, 1000))
        declare_cameras(self)
        declare_camera(self)
        on_change(self, _CHANGEABLE, self._change)
        self._streams: dict[str, _Stream] = {}
        self._worker: Worker[_Frame] | None = None
        self._labeller: Worker[_Asked] | None = None  # while there is an engine
        self._asked_lock = threading.Lock()

    def configure(self) -> None:
        self._change({p.name: p for p in self.get_parameters(list(_CHANGEABLE))})()
        cameras = {
            name: ImageSubscription(self, partial(self._receive, name), topic)
            for name, topic in camera_topics(self).items()
        }
        super().configure()
        # Here and now, so that the first frame has its labels.
        self._asked = self._embedded(self._wanted)
        self._labeller = Worker(self._embed_labels, "labels")
        self._streams = {name: self._make(name, camera) for name, camera in cameras.items()}
        self._tokens = shared_tokens(self._loaded())

    def activate(self) -> None:
        self._worker = Worker(self._process, "embedder")
        for stream in self._streams.values():
            stream.window.clear()
            stream.camera.open()

    def deactivate(self) -> None:
        if self._worker is None:
            return
        for stream in self._streams.values():
            stream.camera.close()
        self._worker.stop()
        for stream in self._streams.values():
            self._tokens.forget(stream.camera.topic)
        self._worker = None

    def cleanup(self) -> None:
        labeller, self._labeller = self._labeller, None
        if labeller is not None:
            labeller.stop()
        for stream in self._streams.values():
            self.dispose(self.destroy_lifecycle_publisher, stream.embeddings)
            self.dispose(self.destroy_lifecycle_publisher, stream.labels)
        self._streams = {}
        super().cleanup()

    def details(self) -> Mapping[str, str]:
        missing = self._missing() if self.active else ""
        return {**super().details(), **({"waits for": missing} if missing else {})}

    def _missing(self) -> str:
        """What is missing before all images are of use; "" where nothing is."""
        asked = self._asked
        if not asked.queries and not asked.labels:
            return "a text in queries or labels"
        unheard = [
            output.topic_name
            for stream in self._streams.values()
            if not self._heard(stream)
            for wanted, output in (
                (asked.queries, stream.embeddings),
                (asked.labels, stream.labels),
            )
            if wanted
        ]
        return f"a subscriber of {', '.join(unheard)}" if unheard else ""

    def _loaded(self) -> Any:
        assert self.engine is not None
        return self.engine

    def _make(self, name: str, camera: ImageSubscription) -> _Stream:
        info, prefix = self._loaded().info, f"{name}/" if name else ""
        return _Stream(
            name,
            camera,
            FrameWindow(info.window_frames, info.window_period),
            self.create_lifecycle_publisher(SemanticEmbedding, f"{prefix}embedding", RESULTS),
            self.create_lifecycle_publisher(LabelScores, f"{prefix}labels", RESULTS),
            RateLimit(self._rate),
        )

    def _receive(self, name: str, message: Any) -> None:
        self.statistics.count("frames received")
        worker, stream = self._worker, self._streams[name]
        if worker is None or not stream.limit.accept(to_nanoseconds(message.header.stamp)):
            return
        if not worker.offer(name, (stream, message)):
            self.statistics.count("frames skipped")

    def _process(self, frames: list[_Frame]) -> None:
        """One frame of each camera that has one, in the worker's thread."""
        started, engine = time.perf_counter(), self._loaded()
        pictures, ready = [], []
        for stream, message in frames:
            if not self._heard(stream):
                self.statistics.count("frames unheard")
                continue
            with self.surviving("image", stream.camera.topic):
                pictures.append(to_rgb(message, engine.info.input_width))
                ready.append((stream, message))
        if not ready:
            return
        with self.surviving("image"):
            for frame, tokens in zip(ready, engine.encode_frames(pictures), strict=True):
                self._embed(*frame, tokens)
                self._note(*frame, started)

    def _note(self, stream: _Stream, message: Any, started: float) -> None:
        self.statistics.count("frames processed")
        if stream.name:
            self.statistics.count(f"frames processed of {stream.name}")
        self.statistics.time("inference", time.perf_counter() - started)
        age = self.get_clock().now().nanoseconds - to_nanoseconds(message.header.stamp)
        self.statistics.time("age of processed frame", age / 1e9)

    def _heard(self, stream: _Stream) -> _Asked | None:
        """What is asked, as far as somebody hears the answers."""
        asked = self._asked
        queries = asked.queries if stream.embeddings.get_subscription_count() else ()
        labels = asked.labels if stream.labels.get_subscription_count() else ()
        return replace(asked, queries=queries, labels=labels) if queries or labels else None

    def _embed(self, stream: _Stream, message: Any, tokens: Any) -> None:
        """Put tokens (N, C) into the window; every stride-th time, ask the window."""
        stamp, topic = to_nanoseconds(message.header.stamp), stream.camera.topic
        if stream.window.add(stamp, tokens):
            self.statistics.count("windows cleared")
            self._tokens.forget(topic)
        self._tokens.add(topic, stamp, tokens)
        asked = self._heard(stream)
        due = stream.encoded % self._stride == 0
        stream.encoded += 1
        if asked is not None and due:
            self._predict(stream, message, asked)

    def _predict(self, stream: _Stream, message: Any, asked: _Asked) -> None:
        engine, header, window = self._loaded(), to_header(message.header), stream.window.sample()
        queries: Sequence[str] = (*asked.queries, *([asked.label_query] if asked.labels else []))
        rows = engine.predict([item for _, item in window], queries)  # (Q, D)
        if not self.active:
            return
        start, model_id = window[0][0], engine.info.model_id
        for query, row in zip(asked.queries, rows, strict=False):
            stream.embeddings.publish(
                to_embedding(header, start, len(window), model_id, query, row)
            )
            self.statistics.count("embeddings")
        if asked.labels:
            ranking = engine.rank(rows[-1], asked.label_rows)
            stream.labels.publish(
                to_label_scores(header, asked.label_query, asked.labels, ranking, model_id)
            )

    def _change(self, wanted: dict[str, Parameter]) -> Callable[[], None]:
        queries, labels = texts(wanted["queries"]), texts(wanted["labels"])
        for text in (*queries, *labels):
            check_text(text, "query or label")
        if len(queries) > RESULTS.depth:
            raise InputError(
                f"there are {len(queries)} queries; give at most {RESULTS.depth}: of more, some "
                "embeddings of a frame, which come all at once, would be lost"
            )
        if len(labels) > TEXT_CACHE:
            raise InputError(f"there are {len(labels)} labels; give at most {TEXT_CACHE}")
        asked = _Asked(queries, labels, check_text(wanted["label_query"].value, "label_query"))
        rate = wanted["max_rate_hz"].value
        if 0 < rate < _LEAST_RATE:
            raise InputError(f"max_rate_hz is {rate:g}; give 0 for all, or at least {_LEAST_RATE}")
        return partial(self._apply, asked, rate, wanted["stride"].value)

    def _apply(self, asked: _Asked, rate: float, stride: int) -> None:
        self._rate, self._stride, self._wanted = rate, stride, asked
        for stream in self._streams.values():
            stream.limit = RateLimit(rate)
        if self._labeller is None:
            return  # configuring embeds them
        before = self._asked
        if not asked.labels or asked.labels == before.labels:
            self._ask(replace(asked, label_rows=before.label_rows), asked)
        else:
            self._ask(replace(before, queries=asked.queries), asked)
            self._labeller.offer("", asked)

    def _ask(self, asked: _Asked, wanted: _Asked) -> None:
        """Have frames asked something from now on, unless what is wanted has changed meanwhile."""
        with self._asked_lock:
            if wanted is self._wanted:
                self._asked = asked
                for stream in self._streams.values():
                    stream.encoded = 0  # what is asked anew is answered with the next frame

    def _embed_labels(self, newest: list[_Asked]) -> None:
        """Embed labels in their own thread; meanwhile frames go on with the ones before."""
        (wanted,) = newest
        with self.surviving("label"):
            for begin in range(0, len(wanted.labels), _LABELS_AT_ONCE):
                if wanted is not self._wanted or self._labeller is None:
                    return
                self._loaded().encode_text(wanted.labels[begin : begin + _LABELS_AT_ONCE])
            self._ask(self._embedded(wanted), wanted)

    def _embedded(self, asked: _Asked) -> _Asked:
        rows = self._loaded().encode_text(asked.labels) if asked.labels else None
        return replace(asked, label_rows=rows)


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(lambda: [Embedder()], args)
