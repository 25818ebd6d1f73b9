"""Which kind of change tells two captions of ours apart, in SugarCrepe++'s terms."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from vljepa_ros.training.phrases import COLORS, LAMP_STATES

Thing = tuple[str, str]  # color, "" where none is told, and noun

ATTRIBUTE = "replace attribute"  # the color of a thing, the lamp's state
OBJECT = "replace object"
RELATION = "replace relation"  # what happens, or to which side
SWAP = "swap"  # two things exchange their colors or nouns
PRESENCE = "add or remove object"
SEVERAL = "replace object and attribute"
KINDS = (ATTRIBUTE, OBJECT, RELATION, SWAP, PRESENCE, SEVERAL)

_LAMP = {wording: state for state, wordings in LAMP_STATES.items() for wording in wordings}


class Reader:
    """Finds the things that a caption names.

    Args:
        nouns: all that its scenes may hold.
    """

    def __init__(self, nouns: Iterable[str]) -> None:
        # The longest first: "paint brush" is not a brush with something before it.
        longest = sorted(set(nouns), key=lambda noun: (-len(noun), noun))
        names = "|".join(map(re.escape, longest))
        self._thing = re.compile(rf"\b(?:({'|'.join(COLORS)}) )?({names})\b")

    def things(self, text: str) -> list[Thing]:
        """What the text names, in its order."""
        return [(found[1] or "", found[2]) for found in self._thing.finditer(text)]

    def kind(self, text: str, other: str) -> str:
        """One of KINDS: what makes `other` differ from `text` in meaning."""
        before, after = self.things(text), self.things(other)
        if Counter(before) == Counter(after):
            lamps = _lamp(text), _lamp(other)
            return ATTRIBUTE if None not in lamps and lamps[0] != lamps[1] else RELATION
        if len(before) != len(after):
            return PRESENCE
        colors, nouns = (_same(before, after, part) for part in (0, 1))
        if colors and nouns:
            return SWAP
        if nouns:
            return ATTRIBUTE
        return OBJECT if colors else SEVERAL


def _same(before: Sequence[Thing], after: Sequence[Thing], part: int) -> bool:
    return Counter(t[part] for t in before) == Counter(t[part] for t in after)


def _lamp(text: str) -> str | None:
    """The state of the lamp that the caption ends with, if it does."""
    return _LAMP.get(text.rpartition("; ")[2])
