"""Takes what lasts off the thread that spins, so that it answers others meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future as Work
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rclpy.task import Future

from vljepa_ros.nodes.lifecycle import ManagedNode

T = TypeVar("T")


class Background:
    """Threads for a node's services.

    Args:
        node: whose executor waits for the results.
        threads: how many things may be done at once.
    """

    def __init__(self, node: ManagedNode, threads: int) -> None:
        self._node = node
        self._pool = ThreadPoolExecutor(threads, f"{node.get_name()} service")
        self._pending = 0
        self._end: Callable[[], None] | None = None

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Result of a call in another thread; only for callbacks of the node's executor."""
        ready = Future(executor=self._node.executor)
        self._pending += 1

        def finish(_: Work[T]) -> None:
            ready.set_result(True)
            # rclpy looks at what is pending only when something wakes it.
            if self._node.executor is not None:
                self._node.executor.wake()

        done = self._pool.submit(work, *arguments)
        done.add_done_callback(finish)
        try:
            await ready
        finally:
            self._pending -= 1
            if self._end is not None and not self._pending:
                self._end()
        return done.result()

    def close(self, end: Callable[[], None]) -> None:
        """End the threads; then call `end`, as soon as no callback waits for a result."""
        self._pool.shutdown()
        self._end = end
        if not self._pending:
            end()
