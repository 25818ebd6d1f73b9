"""Fills what stands between the marks of a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vljepa_ros.errors import InputError


def fill(text: str, blocks: Mapping[str, str]) -> str:
    """Replace what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`.

    Args:
        text: the document.
        blocks: by name; other blocks stay as they are.

    Raises:
        InputError: the document does not have exactly one block of a name.
    """
    for name, block in blocks.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
            raise InputError(f"the document needs one block from {begin} to {end}; add it")
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{block.strip()}\n{end}{rest.partition(end)[2]}"
    return text


def times(row: Mapping[str, Any]) -> str:
    """What a row says is saved, with its interval; where that is None, without."""
    told = f"{row['saving']:.2f}x"
    if row["saving_95"] is None:
        return told
    return "{} ({:.2f} to {:.2f})".format(told, *row["saving_95"])


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
