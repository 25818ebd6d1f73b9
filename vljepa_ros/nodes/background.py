"""Takes what lasts off the thread that spins, so that it answers others meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future as Work
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rclpy.task import Future

from vljepa_ros.errors import InputError
from vljepa_ros.nodes.lifecycle import ManagedNode

T = TypeVar("T")


class Background:
    """Threads for a node's services.

    Args:
        node: whose executor waits for the results.
        threads: how many things may be done at once.
        most: how many may be unfinished.
    """

    def __init__(self, node: ManagedNode, threads: int, most: int) -> None:
        self._node = node
        self._most = most
        self.unfinished = 0  # changed by the thread that spins alone
        self._pool = ThreadPoolExecutor(threads, f"{node.get_name()} service")

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
            ready.set_result(True)
            # rclpy looks at what is pending only when something wakes it.
            if self._node.executor is not None:
                self._node.executor.wake()

        done = self._pool.submit(work, *arguments)
        done.add_done_callback(finish)
        self.unfinished += 1
        await ready
        self.unfinished -= 1
        return done.result()
