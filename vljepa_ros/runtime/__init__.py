"""Loads a checkpoint and runs it. Importing this needs no torch; `Engine.load` does."""

import os

from vljepa_ros.runtime.backend import FASTEST, PARTS, EngineConfig, EngineInfo
from vljepa_ros.runtime.engine import Decoded, Engine, Ranking
from vljepa_ros.runtime.images import to_input_size

# ONNX Runtime sends its maker usage data from 1.29 on, and looks for this when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

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
