"""Simulated tabletop robot scenes with events: planned in numpy, drawn by MuJoCo.

Motion is scripted (bodies are posed frame by frame, nothing is integrated), so that the facts
of every frame are exact.
"""

from vljepa_ros.training.tabletop.generation import generate

__all__ = ["generate"]
