"""Worker: under load the newest item of each source is what is worked on next."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from vljepa_ros.nodes.worker import Worker

LIMIT = 10.0  # s


class Held:
    """Work that lasts until it is let go; it notes what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self._begun = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

    def __call__(self, items: list[str]) -> None:
        self.batches.append(items)
        self._begun.release()
        self._go.acquire(timeout=LIMIT)

    def wait(self) -> None:
        assert self._begun.acquire(timeout=LIMIT)

    def let_go(self) -> None:
        self._go.release()


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def worker(held: Held) -> Iterator[Worker[str]]:
    worker: Worker[str] = Worker(held, "test")
    yield worker
    for _ in range(10):
        held.let_go()
    worker.stop()


def test_the_newest_wins_and_the_others_are_told(worker: Worker[str], held: Held) -> None:
    assert worker.offer("front", "0")
    held.wait()
    assert worker.offer("front", "1")
    assert not worker.offer("front", "2")
    assert not worker.offer("front", "3")
    held.let_go()
    held.wait()
    assert held.batches == [["0"], ["3"]]


def test_items_of_several_sources_wait_together(worker: Worker[str], held: Held) -> None:
    worker.offer("front", "f0")
    held.wait()
    assert worker.offer("left", "l0")
    assert worker.offer("front", "f1")
    assert not worker.offer("left", "l1")
    held.let_go()
    held.wait()
    assert held.batches[1:] == [["l1", "f1"]]


def test_what_nobody_has_begun_is_dropped_at_the_end(held: Held) -> None:
    worker: Worker[str] = Worker(held, "test")
    worker.offer("front", "0")
    held.wait()
    worker.offer("front", "1")
    end = threading.Thread(target=worker.stop)
    end.start()
    deadline = time.monotonic() + LIMIT
    while worker._running:  # until it waits for the first item, which is in work
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert end.is_alive()
    held.let_go()
    end.join(LIMIT)
    assert not end.is_alive() and held.batches == [["0"]]
