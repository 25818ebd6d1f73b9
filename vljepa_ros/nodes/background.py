"""Takes what lasts off the thread that spins, so that it answers others meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future as Work
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rclpy.task import Future

from vljepa_ros.errors import InputError
from vljepa_ros.nodes.lifecycle import ManagedNode

T = TypeVar("T")


class Background:
    """Threads for a node's services; all but their work is for the thread that spins.

    Args:
        node: whose executor waits for the results.
        threads: how many things may be done at once.
        most: how many may be unfinished.
    """

    def __init__(self, node: ManagedNode, threads: int, most: int) -> None:
        self._node = node
        self._most = most
        self._works: set[Work[Any]] = set()
        self._lock = threading.Lock()  # a result must not wake an executor that is just ending
        self._closed = False
        self._pool = ThreadPoolExecutor(threads, f"{node.get_name()} service")

    @property
    def unfinished(self) -> int:
        """How many calls have not returned yet."""
        return len(self._works)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Result of a call in another thread; only for callbacks of the node's executor.

        Raises:
            InputError: too many are unfinished. They would come ever later, and the executor looks
                at each of them whenever it wakes.
        """
        if self.unfinished >= self._most:
            raise InputError(
                f"{self.unfinished} requests are unfinished already; wait for the answer before "
                "asking again"
            )
        ready = Future(executor=self._node.executor)

        def finish(_: Work[T]) -> None:
            with self._lock:
                if self._closed:
                    return
                ready.set_result(True)
                # rclpy looks at what is pending only when something wakes it.
                if self._node.executor is not None:
                    self._node.executor.wake()

        done = self._pool.submit(work, *arguments)
        self._works.add(done)
        done.add_done_callback(finish)
        await ready
        self._works.discard(done)
        return done.result()

    def close(self) -> bool:
        """Drop what has not begun, and answer nobody any more; whether something is in work.

        That goes on: the libraries that it runs in cannot be interrupted.
        """
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        return any(work.running() for work in self._works)
