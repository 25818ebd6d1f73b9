"""One copy of the weights for all nodes of a process."""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary

from vljepa_ros.runtime import Engine, EngineConfig

_lock = threading.Lock()
_engines: WeakValueDictionary[tuple[str, EngineConfig], Engine] = WeakValueDictionary()


def shared_engine(model: str, config: EngineConfig) -> Engine:
    """The engine of this model, run in this way, loaded once while any node holds it.

    Raises:
        CheckpointError: the model is missing or damaged.
        EngineError: it cannot be run in this way.
    """
    with _lock:
        engine = _engines.get((model, config))
        if engine is None:
            engine = _engines[(model, config)] = Engine.load(model, config)
        return engine
