"""What was made of earlier embeddings, for those that mean the same."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import InputError

T = TypeVar("T")


class Memory(Generic[T]):
    """Keeps an item for each of the newest meanings; a meaning that is recalled is new again.

    Most shifts lead back to what was told before, that nothing is happening above all, and a
    text that is known need not be decoded again.

    Args:
        within: distance (1 - cosine) up to which two embeddings mean the same, in [0, 2].
        size: how many meanings are kept.

    Raises:
        InputError: for an argument outside its range.
    """

    def __init__(self, within: float, size: int = 64) -> None:
        if not 0 <= within <= 2:
            raise InputError(f"within must be in [0, 2], got {within}")
        if size < 1:
            raise InputError(f"size must be at least 1, got {size}")
        self._least = 1 - within
        self._size = size
        self._next = 0
        self._held: OrderedDict[int, tuple[NDArray[Any], T]] = OrderedDict()

    def recall(self, embedding: NDArray[Any]) -> T | None:
        """The item of the nearest meaning within the distance, or None.

        Args:
            embedding: (D,), L2-normalised.
        """
        if not self._held:
            return None
        keys = list(self._held)
        cosines = np.stack([row for row, _ in self._held.values()]) @ embedding
        best = int(cosines.argmax())
        if cosines[best] < self._least:
            return None
        self._held.move_to_end(keys[best])
        return self._held[keys[best]][1]

    def keep(self, embedding: NDArray[Any], item: T) -> None:
        """Keep an item under its embedding (D,), L2-normalised; the oldest gives way."""
        self._held[self._next] = embedding, item
        self._next += 1
        if len(self._held) > self._size:
            self._held.popitem(last=False)
