"""Streaming without ROS and without torch: which images, and when does the meaning change."""

from vljepa_ros.streaming.gate import ChangeGate, GateConfig, Shift, Trigger
from vljepa_ros.streaming.memory import Memory
from vljepa_ros.streaming.rate import RateLimit
from vljepa_ros.streaming.tokens import TokenStore
from vljepa_ros.streaming.window import FrameWindow

__all__ = [
    "ChangeGate",
    "FrameWindow",
    "GateConfig",
    "Memory",
    "RateLimit",
    "Shift",
    "TokenStore",
    "Trigger",
]
