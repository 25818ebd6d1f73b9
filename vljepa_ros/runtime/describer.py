"""Texts of a stream's segments, decoded only where no earlier one means the same."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from vljepa_ros.runtime.engine import Decoded, Engine
from vljepa_ros.streaming import Memory

# Chosen on the validation split: docs/evidence.md, claim 2.
RECALL_WITHIN = 0.08


class Describer:
    """Decodes embeddings, and remembers what it told.

    Args:
        engine: which decodes.
        within: distance (1 - cosine) up to which an embedding gets an earlier one's text.

    Raises:
        InputError: `within` is not in [0, 2].
    """

    def __init__(self, engine: Engine, within: float = RECALL_WITHIN) -> None:
        self._engine = engine
        self._told: Memory[Decoded] = Memory(within)

    def describe(self, embedding: NDArray[Any]) -> tuple[Decoded, bool]:
        """Text of an embedding (D,), however unsure, and whether it was decoded just now.

        Raises:
            InputError: another shape, NaN, infinity or a vector of length zero.
        """
        unit = self._engine.unit(embedding[None])
        known = self._told.recall(unit[0])
        if known is not None:
            return known, False
        (decoded,) = self._engine.decode(unit)
        self._told.keep(unit[0], decoded)
        return decoded, True
