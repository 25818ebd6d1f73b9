"""Decoder node: shifts of meaning in, sentences out. Idle between shifts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

from vljepa_ros.errors import InputError
from vljepa_ros.msg import Description, SemanticShift
from vljepa_ros.nodes.conversions import to_description, to_nanoseconds, to_vector
from vljepa_ros.nodes.lazy import LazySubscription
from vljepa_ros.nodes.model_node import ModelNode, declare_min_confidence
from vljepa_ros.nodes.parameters import declare
from vljepa_ros.nodes.process import run
from vljepa_ros.nodes.qos import RESULTS
from vljepa_ros.runtime.describer import RECALL_WITHIN, Describer

_MANY = 5  # shifts that wait for their sentence


class Decoder(ModelNode):
    """Says what each segment means.

    Subscribes: `shift` (SemanticShift), while somebody hears `description`.
    Publishes: `description` (Description), if its model writes text; `~/model_info`, as
    `ModelNode`, if it announces.
    Parameters: min_confidence (changeable while it runs), recall_within, and those of `ModelNode`.
    """

    def __init__(
        self,
        *,
        announces: bool = True,
        parts: tuple[str, ...] = ("y_decoder",),
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__("decoder", "~/model_info" if announces else None, parts, arguments)
        declare_min_confidence(self)
        description = "distance (1 - cosine) up to which a segment gets an earlier one's text"
        declare(self, "recall_within", RECALL_WITHIN, description, span=(0.0, 2.0), read_only=True)
        self._describer: Describer | None = None
        self._shifts: LazySubscription | None = None
        self._waiting: set[Future[None]] = set()
        self._made = ExitStack()  # ends what `configure` made, the last first

    def configure(self) -> None:
        super().configure()
        assert self.engine is not None
        info = self.engine.info
        if not info.decodes:
            self.get_logger().warning(
                f"{info.model_id} writes no text, so that there will be no description; for that "
                "take a VL-JEPA with a Y-Decoder"
            )
            return
        self._describer = Describer(self.engine, self.get_parameter("recall_within").value)
        self._publisher = self.create_lifecycle_publisher(Description, "description", RESULTS)
        self._made.callback(self.dispose, self.destroy_lifecycle_publisher, self._publisher)
        # Its own, so that a sentence holds up no other callback; each shift gets its turn.
        self._thread = ThreadPoolExecutor(1, "decoder")
        self._made.callback(self._thread.shutdown, cancel_futures=True)
        self._shifts = LazySubscription(
            self, SemanticShift, "shift", self._receive, RESULTS, self._publisher
        )
        self._made.callback(self._shifts.close)

    def activate(self) -> None:
        if self._shifts is not None:
            self._shifts.check()

    def deactivate(self) -> None:
        wait(set(self._waiting))  # the sentence in work is still published, the others dropped

    def cleanup(self) -> None:
        self._made.close()
        self._describer = self._shifts = None  # the first holds the engine
        super().cleanup()

    def _receive(self, message: SemanticShift) -> None:
        self.statistics.count("shifts received")
        waiting = self._thread.submit(self._decode, message)
        self._waiting.add(waiting)
        waiting.add_done_callback(self._finish)
        self._warn_if_late()

    def _finish(self, described: Future[None]) -> None:
        self._waiting.discard(described)
        self._warn_if_late()

    def _warn_if_late(self) -> None:
        late = (
            f"{len(self._waiting)} shifts wait for their sentences, which come ever later; raise "
            "the gate's threshold or min_interval, or ask fewer queries"
        )
        self.diagnostics.warn(late if len(self._waiting) > _MANY else "", "shifts waiting")

    def details(self) -> Mapping[str, str]:
        waits = self._shifts.waits_for if self._shifts is not None else {}
        return {**super().details(), **waits, "shifts waiting": str(len(self._waiting))}

    def _decode(self, message: SemanticShift) -> None:
        if not self.active:
            self.statistics.count("shifts dropped")
            return
        with self.surviving("shift"):
            self._describe(message)

    def _describe(self, message: SemanticShift) -> None:
        assert self.engine is not None and self._describer is not None
        started, model_id = time.perf_counter(), self.engine.info.model_id
        if message.embedding.model_id != model_id:
            raise InputError(
                f"it comes from the model {message.embedding.model_id!r} and this decoder is of "
                f"{model_id!r}; give the embedder and the decoder the same model"
            )
        data = to_vector(message.embedding.data)
        told, is_new = self._describer.describe(data)
        if is_new:
            self.statistics.count("decodes")
            self.statistics.time("decoding", time.perf_counter() - started)
        least = self.get_parameter("min_confidence").value
        self._publisher.publish(to_description(message, told.if_sure(least)))
        self.statistics.count("descriptions")
        age = self.get_clock().now().nanoseconds - to_nanoseconds(message.header.stamp)
        self.statistics.time("age of described shift", age / 1e9)


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(lambda: [Decoder()], args)
