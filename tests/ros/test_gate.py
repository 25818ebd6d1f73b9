"""The gate as a process, on embeddings that the test makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from std_srvs.srv import Trigger
from vljepa_ros.msg import SemanticEmbedding, SemanticShift

from vljepa_ros.streaming import GateConfig

DIM = 8
SETTLED = 8  # embeddings of one meaning that the gate's defaults need, and some more


@pytest.fixture(scope="module")
def gate(bench: Any) -> Any:
    """A bench with an active gate and its shifts."""
    process = bench.start("gate")
    bench.pid = process.pid
    bench.shifts = bench.collect(SemanticShift, "shift")
    bench.wait_active("gate")
    return bench


class Stream:
    """A stream of embeddings of one query, five a second."""

    def __init__(self, bench: Any, query: str) -> None:
        self._bench = bench
        self._query = query
        self.score = f"score of {query!r}"  # in diagnostics
        self.stamp = 100.0  # s
        self.model_id = "model@1"

    def send(self, data: list[float], count: int = 1) -> None:
        for _ in range(count):
            self.stamp += 0.2
            message = SemanticEmbedding(query=self._query, model_id=self.model_id, data=data)
            message.header.frame_id = "camera_optical"
            message.header.stamp.sec = int(self.stamp)
            message.header.stamp.nanosec = int(self.stamp % 1 * 1e9)
            self._bench.publish("embedding", message)

    def shifts(self) -> list[SemanticShift]:
        return [s for s in self._bench.shifts if s.embedding.query == self._query]

    def wait(self, count: int) -> SemanticShift:
        return self._bench.until(lambda: self.shifts()[count - 1 :], f"{count} shifts")[0]


@pytest.fixture
def stream(gate: Any, request: Any) -> Iterator[Stream]:
    """A stream with a query of its own, so that tests do not hear one another."""
    yield Stream(gate, request.node.name)


def axis(index: int) -> list[float]:
    return list(np.eye(DIM, dtype=np.float32)[index])


def test_a_change_of_meaning_is_one_shift(stream: Stream) -> None:
    stream.send(axis(0), SETTLED)
    first = stream.wait(1)
    assert first.trigger == SemanticShift.FIRST and first.segment_id == 0
    stream.send(axis(1), SETTLED)
    shift = stream.wait(2)
    assert shift.trigger == SemanticShift.SHIFT and shift.segment_id == 1
    assert shift.score > shift.threshold > 0
    assert shift.header == shift.embedding.header
    assert shift.header.frame_id == "camera_optical"
    assert shift.segment_end == shift.header.stamp
    assert np.dot(shift.embedding.data, axis(1)) > 0.9
    assert np.linalg.norm(shift.embedding.data) == pytest.approx(1, abs=1e-5)
    assert len(stream.shifts()) == 2


def test_bad_embeddings_are_counted_and_the_stream_goes_on(gate: Any, stream: Stream) -> None:
    stream.send(axis(0), SETTLED)
    stream.wait(1)
    before = gate.counted("gate", "bad embedding")
    bad: list[list[float]] = [[float("nan")] * DIM, [1.0, 0.0], [0.0] * DIM, []]
    for data in bad:
        stream.send(data)
    gate.until(
        lambda: gate.counted("gate", "bad embedding") == before + len(bad), "them in the counts"
    )
    stream.send(axis(1), SETTLED)
    assert stream.wait(2).trigger == SemanticShift.SHIFT


def test_another_model_starts_anew(stream: Stream) -> None:
    stream.send(axis(0), SETTLED)
    stream.wait(1)
    stream.model_id = "model@2"
    stream.send([*axis(0), 0.0], SETTLED)  # of another dimension, too
    again = stream.wait(2)
    assert again.trigger == SemanticShift.FIRST and again.embedding.model_id == "model@2"
    assert again.segment_id == 1, "an equal id would be the same segment"


def test_a_shift_comes_on_request(gate: Any, stream: Stream) -> None:
    stream.send(axis(2), SETTLED)
    stream.wait(1)
    assert gate.call("request_shift", Trigger).success
    requested = stream.wait(2)
    assert requested.trigger == SemanticShift.REQUEST and requested.segment_id == 0


def test_what_is_sent_on_request_is_about_the_segment(gate: Any, stream: Stream) -> None:
    stream.send(axis(0), SETTLED)
    stream.wait(1)
    before = stream.stamp
    stream.send(axis(1))  # a change has begun, which may not last
    gate.until(lambda: gate.diagnostics("gate").get(stream.score, "0.0") > "0.2", "the change")
    assert gate.call("request_shift", Trigger).success
    requested = stream.wait(2)
    assert requested.header.stamp == requested.segment_end
    ended = requested.segment_end.sec + requested.segment_end.nanosec / 1e9
    assert ended == pytest.approx(before, abs=1e-6)


def test_queries_that_are_no_longer_asked_are_forgotten(gate: Any, stream: Stream) -> None:
    stream.send(axis(0), SETTLED)
    gate.until(lambda: stream.score in gate.diagnostics("gate"), "its score")
    other = Stream(gate, "what the embedder asks instead")
    gate.until(
        lambda: (other.send(axis(0), 10), stream.score not in gate.diagnostics("gate"))[1],
        "the query to be forgotten",
    )
    assert other.score in gate.diagnostics("gate")
    (first,) = stream.shifts()
    stream.send(axis(0), SETTLED)  # asked again
    assert (first.segment_id, stream.wait(2).segment_id) == (0, 1)


def test_the_threshold_changes_while_it_runs(gate: Any, stream: Stream) -> None:
    try:
        assert gate.set("gate", threshold=1.5).successful
        stream.send(axis(0), SETTLED)
        stream.wait(1)
        stream.send(axis(1), SETTLED)  # a distance of 1
        later = Stream(gate, "sent later, so heard after all of the above")
        later.send(axis(0), SETTLED)
        later.wait(1)
        assert len(stream.shifts()) == 1
        assert gate.set("gate", threshold=0.3).successful
        stream.send(axis(2), SETTLED)
        assert stream.wait(2).threshold == pytest.approx(0.3)
    finally:
        assert gate.set("gate", threshold=GateConfig().threshold).successful


@pytest.mark.parametrize(
    "parameters",
    [
        {"threshold": 0.0},
        {"threshold": 3.0},
        {"settle": -0.1},
        {"smoothing": 3},  # embeddings, as it once was: seconds are no integer
        {"hysteresis": 2.0},
    ],
)
def test_a_bad_value_is_refused_with_a_reason(gate: Any, parameters: dict[str, Any]) -> None:
    result = gate.set("gate", **parameters)
    assert not result.successful and result.reason


def test_it_needs_no_torch(gate: Any, maps: Callable[[int], str]) -> None:
    assert "libtorch" not in maps(gate.pid)


@pytest.fixture
def maps() -> Callable[[int], str]:
    """The libraries that a process has loaded."""
    return lambda pid: Path(f"/proc/{pid}/maps").read_text()


def test_a_gate_that_is_not_active_says_so(gate: Any) -> None:
    for transition in ("deactivate", "cleanup"):
        assert gate.change("gate", transition)
        answer = gate.call("request_shift", Trigger)
        assert not answer.success and answer.message == "not active"
    assert gate.change("gate", "configure") and gate.change("gate", "activate")
    # The subscribers of shift may be found only now.
    answer = gate.until(
        lambda: "nobody hears" not in (got := gate.call("request_shift", Trigger)).message and got,
        "the gate to listen",
    )
    assert not answer.success and answer.message == "no embedding has come yet"
