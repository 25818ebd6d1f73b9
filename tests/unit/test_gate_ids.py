"""No two segments of a gate share an id, whatever comes between them."""

import numpy as np

from vljepa_ros.streaming import ChangeGate, GateConfig, Trigger

SECOND = 1_000_000_000
RED, BLUE = np.eye(2)
CONFIG = GateConfig()


def watch(gate: ChangeGate, meaning: np.ndarray, start: float, count: int = 8) -> list[int]:
    """Ids of what is sent of `count` embeddings, four a second from `start` (s)."""
    stamps = [round((start + index / 4) * SECOND) for index in range(count)]
    return [shift.segment_id for stamp in stamps if (shift := gate.update(stamp, meaning))]


def test_ids_go_on_after_a_reset() -> None:
    gate = ChangeGate(CONFIG)
    assert watch(gate, RED, 0) + watch(gate, BLUE, 2) == [0, 1]
    gate.reset()
    gate.reset()
    assert gate.segment_id == 2
    assert watch(gate, RED, 4) == [2]


def test_a_gate_may_go_on_from_the_ids_of_another() -> None:
    gate = ChangeGate(CONFIG, segment_id=7)
    assert gate.segment_id == 7
    assert watch(gate, RED, 0) + watch(gate, BLUE, 2) == [7, 8]


def test_what_was_sent_on_request_has_taken_its_id() -> None:
    gate = ChangeGate(CONFIG)
    assert watch(gate, RED, 0, count=1) == []  # not settled yet
    asked = gate.request()
    assert asked is not None and (asked.trigger, asked.segment_id) == (Trigger.REQUEST, 0)
    assert watch(gate, RED, 0.25) == [0], "the same segment"
    gate = ChangeGate(CONFIG)
    watch(gate, RED, 0, count=1)
    gate.request()
    assert watch(gate, BLUE, 100) == [1], "another one after a long silence"
    gate = ChangeGate(CONFIG)
    watch(gate, RED, 0, count=1)
    gate.request()
    gate.reset()
    assert watch(gate, BLUE, 1) == [1]
