"""The paper's figures (arXiv 2512.10942), row by row beside ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evidence.document import table


@dataclass(frozen=True)
class Row:
    """A figure of the paper.

    Attributes:
        claim: whose result holds ours.
        what: is measured.
        paper: its figure, with where it stands.
        ours: finds ours in the result.
        differs: why the two cannot be compared, beyond scale and data.
    """

    claim: str
    what: str
    paper: str
    ours: Callable[[Any], str]
    differs: str = ""


def _right(name: str, when: str) -> Callable[[Any], str]:
    """Share of right triplets of a set, in %."""

    def find(result: Any) -> str:
        (found,) = (s for s in result["sets"] if s["name"] == name)
        return "{:.1f} ({:.1f} to {:.1f})".format(*(100 * v for v in found[when]["right"]))

    return find


def _kind(kind: str) -> Callable[[Any], str]:
    """Right triplets of a kind of change after training, in %, for each set that has it."""

    def find(result: Any) -> str:
        return ", ".join(
            f"{s['name']} {100 * s['kinds'][kind]['after']['right'][0]:.1f}"
            for s in result["sets"]
            if kind in s.get("kinds", {})
        )

    return find


_OWN = "our captions, in the patterns of training"
ROWS = (
    Row(
        "replay",
        "CIDEr of the nodes over DDS minus offline",
        "",
        lambda r: "{:+.1f} ({:+.1f} to {:+.1f})".format(*r["difference"]),
        "the paper has no robot",
    ),
    Row(
        "paraphrases",
        "text triplets, trained, % right",
        "SugarCrepe++ 63.9, VISLA 42.9 (table 6, base)",
        _right("by hand", "after"),
        "40 triplets by hand",
    ),
    Row(
        "paraphrases",
        "text triplets, the encoder before training, % right",
        "",
        _right("by hand", "before"),
        "the paper does not report it",
    ),
    Row("paraphrases", "replace attribute, % right", "72.2", _kind("replace attribute"), _OWN),
    Row("paraphrases", "replace object, % right", "90.1", _kind("replace object"), _OWN),
    Row("paraphrases", "replace relation, % right", "52.2", _kind("replace relation"), _OWN),
    Row("paraphrases", "swap, % right", "attributes 62.9, objects 42.0", _kind("swap"), _OWN),
)


def beside(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of ROWS.

    Args:
        entries: by claim, each with its `result`; what is missing leaves its cells empty.
    """
    rows = [
        (
            row.claim,
            row.what,
            row.paper,
            row.ours(entries[row.claim]["result"]) if row.claim in entries else "",
            row.differs,
        )
        for row in ROWS
    ]
    return table(("claim", "figure", "paper", "ours", "what differs beside scale and data"), rows)
