"""One store of tokens for all nodes of a process that share an engine."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakKeyDictionary

from vljepa_ros.runtime import Engine
from vljepa_ros.streaming import TokenStore

_lock = threading.Lock()
_stores: WeakKeyDictionary[Engine, TokenStore[Any]] = WeakKeyDictionary()


def shared_tokens(engine: Engine) -> TokenStore[Any]:
    """The tokens that this engine made of the newest frames, by resolved topic."""
    with _lock:
        store = _stores.get(engine)
        if store is None:
            info = engine.info
            store = _stores[engine] = TokenStore(info.window_frames * info.window_period)
        return store
