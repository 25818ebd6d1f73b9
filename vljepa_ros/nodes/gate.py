"""Gate node: embeddings in, shifts of meaning out. Never looks at an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from rclpy.parameter import Parameter
from std_srvs.srv import Trigger as TriggerService

from vljepa_ros.msg import SemanticEmbedding, SemanticShift
from vljepa_ros.nodes.conversions import to_nanoseconds, to_shift, to_vector
from vljepa_ros.nodes.lazy import LazySubscription
from vljepa_ros.nodes.lifecycle import ManagedNode
from vljepa_ros.nodes.parameters import declare, on_change
from vljepa_ros.nodes.process import run
from vljepa_ros.nodes.qos import RESULTS
from vljepa_ros.streaming import ChangeGate, GateConfig, Shift

_SETTINGS = tuple(field.name for field in fields(GateConfig))
# Frames without an embedding of a query: it is no longer asked, and not long after forgotten.
_PAUSED, _FORGOTTEN = 2, 20


@dataclass
class _Stream:
    """The embeddings of one query."""

    gate: ChangeGate
    newest: SemanticEmbedding
    others: int = 0  # embeddings of other queries since


class Gate(ManagedNode):
    """Publishes a shift when the meaning of a query's embeddings changes.

    Subscribes: `embedding` (SemanticEmbedding), while somebody hears `shift`.
    Publishes: `shift` (SemanticShift).
    Services: `request_shift` (std_srvs/Trigger) sends the running segments now; it is there as
    long as the node, and says so where that is not active.
    Parameters: below, all changeable while it runs, and those of `ManagedNode`.
    """

    def __init__(self, *, arguments: Sequence[str] = ()) -> None:
        super().__init__("gate", arguments)
        default = GateConfig()
        declare(
            self,
            "threshold",
            default.threshold,
            "distance (1 - cosine) at which a change begins",
            span=(0.001, 2.0),
        )
        declare(
            self,
            "hysteresis",
            default.hysteresis,
            "share of the threshold below which a change is over",
            span=(0.0, 1.0),
        )
        declare(
            self,
            "smoothing",
            default.smoothing,
            "s over which the recent embeddings are averaged; 0: the newest alone",
            span=(0.0, 60.0),
        )
        declare(
            self,
            "settle",
            default.settle,
            "s that a change must hold; 0: told at once",
            span=(0.0, 60.0),
        )
        declare(self, "min_interval", default.min_interval, "s between shifts", span=(0.0, 3600.0))
        declare(
            self,
            "max_silence",
            default.max_silence,
            "s until the running segment is sent again; 0: never",
            span=(0.0, 86400.0),
        )
        on_change(self, _SETTINGS, self._change)
        self._streams: dict[str, _Stream] = {}  # by query
        # Of queries that were forgotten, that a segment of one asked again gets an id of its own.
        self._next_ids: dict[str, int] = {}
        self._embeddings: LazySubscription | None = None
        self.create_service(TriggerService, "request_shift", self._request)

    def configure(self) -> None:
        self._change({p.name: p for p in self.get_parameters(list(_SETTINGS))})()
        self._publisher = self.create_lifecycle_publisher(SemanticShift, "shift", RESULTS)
        self._embeddings = LazySubscription(
            self,
            SemanticEmbedding,
            "embedding",
            self._receive,
            RESULTS,
            self._publisher,
            self._reset,
        )

    def activate(self) -> None:
        self._reset()
        assert self._embeddings is not None
        self._embeddings.check()

    def _reset(self) -> None:
        for stream in self._streams.values():
            stream.gate.reset()

    def cleanup(self) -> None:
        if self._embeddings is not None:
            self._embeddings.close()
            self._embeddings = None
            self.dispose(self.destroy_lifecycle_publisher, self._publisher)

    def details(self) -> Mapping[str, str]:
        if self._embeddings is None:
            return {}
        # Without an ear, the last scores would pass for the present ones.
        streams = self._streams.items() if self._embeddings.hears else ()
        scores = {f"score of {query!r}": f"{stream.gate.score:.3f}" for query, stream in streams}
        return {**self._embeddings.waits_for, **scores}

    def _receive(self, message: SemanticEmbedding) -> None:
        if self.active:
            self.statistics.count("embeddings")
            with self.surviving("embedding"):
                self._update(message)

    def _update(self, message: SemanticEmbedding) -> None:
        stream = self._streams.get(message.query)
        if stream is None:
            gate = ChangeGate(self._config, self._next_ids.get(message.query, 0))
        else:
            gate = stream.gate
            if stream.newest.model_id != message.model_id:
                gate.reset()  # embeddings of two models cannot be compared
        shift = gate.update(to_nanoseconds(message.header.stamp), to_vector(message.data))
        self._forget(message.query)
        self._streams[message.query] = _Stream(gate, message)
        if shift is not None:
            self._publish(shift, message)

    def _forget(self, asked: str) -> None:
        """Drop the queries that are no longer asked, while an embedding of another comes."""
        count = len(self._streams)
        for query, stream in list(self._streams.items()):
            if query == asked:
                continue
            stream.others += 1
            if stream.others > _FORGOTTEN * count:
                stream.gate.reset()
                self._next_ids[query] = stream.gate.segment_id
                del self._streams[query]

    def _publish(self, shift: Shift, newest: SemanticEmbedding) -> None:
        self.statistics.count("shifts")
        self._publisher.publish(to_shift(shift, newest))

    def _request(
        self, request: TriggerService.Request, response: TriggerService.Response
    ) -> TriggerService.Response:
        if not self.active or self._embeddings is None:
            response.message = "not active"
        elif not self._embeddings.hears:
            response.message = "nobody hears shift; subscribe to it or to description first"
        else:
            paused = _PAUSED * len(self._streams)
            for stream in self._streams.values():
                shift = stream.gate.request() if stream.others <= paused else None
                if shift is not None:
                    self._publish(shift, stream.newest)
                    response.success = True
            if not response.success:
                response.message = "no embedding has come yet"
        return response

    def _change(self, wanted: dict[str, Parameter]) -> Callable[[], None]:
        config = GateConfig(**{name: wanted[name].value for name in _SETTINGS})

        def apply() -> None:
            self._config = config
            for stream in self._streams.values():
                stream.gate.config = config

        return apply


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(lambda: [Gate()], args)
