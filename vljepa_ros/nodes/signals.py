"""SIGINT and SIGTERM, for processes of nodes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Signals:
    """Python's own handlers in the place of rclpy's, for the main thread.

    Those crash, seldom, when a context ends while they deal with a signal.
    """

    def __init__(self) -> None:
        self._asked = False
        self._interrupts = False
        self._wake: Callable[[], object] = lambda: None
        # Python's handlers run between two of its instructions, which do not come while the main
        # thread waits below; so another thread, which Python tells by a pipe, wakes it.
        self._pipe, told = os.pipe()
        os.set_blocking(told, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        sys.unraisablehook = _without_interrupts
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        threading.Thread(target=self._pass_on, name="signals", daemon=True).start()

    def asked(self) -> bool:
        """Whether the process is to end."""
        return self._asked

    @contextmanager
    def interrupting(self, wake: Callable[[], object]) -> Iterator[None]:
        """Have a signal end the block, wherever it is; `asked` tells of one that came before.

        Args:
            wake: ends a wait below Python; called in another thread.
        """
        self._wake = wake
        try:
            self._interrupts = True
            try:
                yield
            finally:
                self._interrupts = False
        except KeyboardInterrupt:
            pass

    def _handle(self, *_: Any) -> None:
        self._asked = True
        if self._interrupts:  # each time: Python drops what is raised out of a finalizer
            raise KeyboardInterrupt

    def _pass_on(self) -> None:
        while os.read(self._pipe, 1):
            self._wake()


def _without_interrupts(raised: sys.UnraisableHookArgs) -> None:
    """Print what a finalizer raised, but for a signal that came in it: `asked` knows of that."""
    if not issubclass(raised.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(raised)
