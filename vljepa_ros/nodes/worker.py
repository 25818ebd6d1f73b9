"""Takes work off the callbacks; the newest item of each source always wins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """One thread with a place for each source: an item not begun yet is replaced by a newer one.

    Args:
        work: is called in the thread with all items that wait, one of a source; must not raise.
        name: of the thread.
    """

    def __init__(self, work: Callable[[list[T]], None], name: str) -> None:
        self._work = work
        self._condition = threading.Condition()
        self._items: dict[Hashable, T] = {}
        self._running = True
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, source: Hashable, item: T) -> bool:
        """Hand over an item; False when it replaced one that nobody had begun."""
        with self._condition:
            free = source not in self._items
            self._items[source] = item
            self._condition.notify()
        return free

    def stop(self) -> None:
        """End the thread after the items in work; items not begun are dropped."""
        with self._condition:
            self._running = False
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._items or not self._running)
                if not self._running:
                    return
                items = list(self._items.values())
                self._items.clear()
            self._work(items)
