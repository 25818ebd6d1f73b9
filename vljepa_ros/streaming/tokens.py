"""What frames were encoded into, kept where a second reader of the stream finds it."""

import threading
from typing import Generic, TypeVar

from vljepa_ros.streaming.stamps import SECOND

T = TypeVar("T")


class TokenStore(Generic[T]):
    """Tokens of the newest frames of some streams; may be used from any thread.

    Args:
        length: seconds before a stream's newest frame for which tokens are kept.
    """

    def __init__(self, length: float) -> None:
        self._length = round(length * SECOND)
        self._lock = threading.Lock()
        self._streams: dict[str, dict[int, T]] = {}

    def add(self, stream: str, stamp: int, tokens: T) -> None:
        """Keep a frame's tokens; `stamp` in ns.

        A stamp of 0 is one that the camera did not set: it names no frame, and is not kept.
        """
        if not stamp:
            return
        with self._lock:
            kept = self._streams.setdefault(stream, {})
            kept[stamp] = tokens
            horizon = max(kept) - self._length
            for old in [stamp for stamp in kept if stamp < horizon]:
                del kept[old]

    def get(self, stream: str) -> dict[int, T]:
        """All tokens of a stream that are kept, by stamp in ns."""
        with self._lock:
            return dict(self._streams.get(stream, {}))

    def forget(self, stream: str) -> None:
        """Drop a stream's tokens: its time ran backwards, or nobody adds to it any more."""
        with self._lock:
            self._streams.pop(stream, None)
