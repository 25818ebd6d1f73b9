"""Synthetic streams of embeddings, and a gate that hears them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.streaming import ChangeGate, GateConfig, Shift

SECOND = 1_000_000_000
DIMENSION = 64
CONFIG = GateConfig(  # at ten embeddings a second: averages three, lets a change hold for three
    threshold=0.25, hysteresis=0.6, smoothing=0.25, settle=0.15, min_interval=0, max_silence=0
)
Stream = NDArray[np.float64]  # (T, D)


def axis(index: int) -> Stream:
    """Return a (1, D) stream: one of D meanings that have nothing in common."""
    return np.eye(1, DIMENSION, index)


def hold(index: int, count: int) -> Stream:
    return np.repeat(axis(index), count, axis=0)


def noisy(stream: Stream, cosine: float, seed: int = 0) -> Stream:
    """Add noise such that each embedding has about this cosine with the clean one."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(stream.shape) / np.sqrt(stream.shape[1])
    worse: Stream = stream + np.sqrt(1 / cosine**2 - 1) * noise
    return worse


def arc(angle: float, count: int) -> Stream:
    """Turn steadily from meaning 0 through `angle` (radians; several quarter turns go on)."""
    turned = np.linspace(0, angle, count)
    quarter = np.minimum((turned // (np.pi / 2)).astype(int), DIMENSION - 2)
    rest = turned - quarter * np.pi / 2
    stream = np.zeros((count, DIMENSION))
    stream[np.arange(count), quarter] = np.cos(rest)
    stream[np.arange(count), quarter + 1] = np.sin(rest)
    return stream


def run(gate: ChangeGate, stream: Stream, rate: float = 10, start: int = 0) -> list[Shift]:
    """Feed the stream at `rate` embeddings a second and return what the gate sent."""
    sent = []
    for index, embedding in enumerate(stream):
        shift = gate.update(start + round(index / rate * SECOND), embedding)
        if shift is not None:
            sent.append(shift)
    return sent
