"""Takes work off the callback; the newest item always wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """One thread with one place: an item that is not begun yet is replaced by a newer one.

    Args:
        work: is called in the thread for each item; must not raise.
        name: of the thread.
    """

    def __init__(self, work: Callable[[T], None], name: str) -> None:
        self._work = work
        self._condition = threading.Condition()
        self._item: T | None = None
        self._running = True
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: T) -> bool:
        """Hand over an item; False when it replaced one that nobody had begun."""
        with self._condition:
            free = self._item is None
            self._item = item
            self._condition.notify()
        return free

    def stop(self) -> None:
        """End the thread after the item in work; an item not begun is dropped."""
        with self._condition:
            self._running = False
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._item is not None or not self._running)
                if not self._running:
                    return
                item, self._item = self._item, None
            assert item is not None
            self._work(item)
