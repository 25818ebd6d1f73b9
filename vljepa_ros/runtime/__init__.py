"""Loads a checkpoint and runs it. Importing this needs no torch; `Engine.load` does."""

from vljepa_ros.runtime.backend import FASTEST, PARTS, EngineConfig, EngineInfo
from vljepa_ros.runtime.engine import Decoded, Engine, Ranking
from vljepa_ros.runtime.images import to_input_size

__all__ = [
    "FASTEST",
    "PARTS",
    "Decoded",
    "Engine",
    "EngineConfig",
    "EngineInfo",
    "Ranking",
    "to_input_size",
]
