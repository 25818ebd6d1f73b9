"""One copy of the weights for all nodes of a process."""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary

from vljepa_ros.runtime import Engine

_lock = threading.Lock()
_engines: WeakValueDictionary[tuple[str, str], Engine] = WeakValueDictionary()


def shared_engine(model: str, device: str) -> Engine:
    """The engine of this model and device, loaded once while any node holds it.

    Raises:
        CheckpointError: the model is missing or damaged.
    """
    with _lock:
        engine = _engines.get((model, device))
        if engine is None:
            engine = _engines[(model, device)] = Engine.load(model, device)
        return engine
