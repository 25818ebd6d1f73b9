"""The paper's figures (arXiv 2512.10942), row by row beside ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Any

from evidence.document import table, times
from evidence.names import GATE, MEMORY, WARD


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


def _arms(metric: str, checkpoint: int, factor: float = 1.0) -> Callable[[Any], str]:
    """A metric of both arms of claim 1, mean of the seeds and the sources."""

    def find(result: Any) -> str:
        return " / ".join(
            f"{factor * mean(s[metric] for c in curves for s in c[checkpoint].values()):.1f}"
            for curves in (result["curves"][arm] for arm in _ARMS)
        )

    return find


def _time(*parts: str) -> Callable[[Any], str]:
    """Milliseconds of parts of an answer, together."""
    return lambda result: f"{sum(result['costs']['ms'][part] for part in parts):.0f} ms"


def _saved(name: str) -> Callable[[Any], str]:
    """How many times fewer decodes a way needs than even ones, at equal CIDEr."""
    return lambda result: times(_way(result, name))


def _saved_beyond_recall(result: Any) -> str:
    """How many times fewer decodes the nodes need than even ones that recall too."""
    return times(result["saving_with_recall_on_both"])


def _way(result: Any, name: str) -> Any:
    """A row of claim 2's table."""
    (found,) = (row for row in result["ways"] if row["name"] == name)
    return found


def _task(name: str) -> Callable[[Any], str]:
    """Right answers of the shipped weights, in %, for each source that has the task."""

    def find(result: Any) -> str:
        return ", ".join(
            f"{source} {100 * row['systems']['shipped']['right'][0]:.1f}"
            for row in result["rows"]
            for source, _, task in [row["task"].partition(": ")]
            if task.startswith(name)
        )

    return find


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


_ARMS = ("vl-jepa", "vlm")
_SEEING = ("vl-jepa: query", "vl-jepa: x-encoder", "vl-jepa: predictor")
_WRITTEN = "our decoder learned from texts of ours, the paper's was pretrained"
_OWN = "our captions, in the patterns of training"
ROWS = (
    Row(
        "prediction",
        "parameters trained, VL-JEPA / token VLM",
        "500 M / 1000 M",
        lambda r: " / ".join(f"{r['parameters'][arm] / 1e6:.1f} M" for arm in _ARMS),
    ),
    Row("prediction", "samples seen", "15 M", lambda r: f"{r['samples'][-1]:,}"),
    Row(
        "prediction",
        "CIDEr at the end, VL-JEPA / token VLM",
        "14.8 / 7.1 (text), 18.7 / 9.2 (plot)",
        _arms("cider", -1),
        _WRITTEN,
    ),
    Row(
        "prediction",
        "top-5 at the end, VL-JEPA / token VLM, %",
        "41.0 / 27.2",
        _arms("top5", -1, 100.0),
        "names of things, not of actions",
    ),
    Row(
        "prediction",
        "CIDEr at the first checkpoint, VL-JEPA / token VLM",
        "1.23 / 1.35",
        _arms("cider", 0),
        _WRITTEN,
    ),
    Row(
        "prediction",
        "top-5 at the first checkpoint, VL-JEPA / token VLM, %",
        "14.9 / 14.0",
        _arms("top5", 0, 100.0),
        "names of things, not of actions",
    ),
    Row(
        "prediction",
        "a caption, token VLM",
        "330 ms",
        _time("vlm: x-encoder", "vlm: language model"),
        "GPU and 64 frames against CPU and 4",
    ),
    Row(
        "prediction",
        "a caption, VL-JEPA",
        "345 ms",
        _time(*_SEEING, "vl-jepa: decoding"),
        "the same",
    ),
    Row("prediction", "an embedding without text", "142 ms", _time(*_SEEING), "the same"),
    Row(
        "selection",
        "decodes saved at equal CIDEr, clustering of the finished video",
        "2.85x (0.35 Hz against 1 Hz)",
        _saved(WARD),
        "taken where it decodes as often as our gate",
    ),
    Row(
        "selection",
        "the same, of averaged embeddings",
        "",
        _saved(f"{WARD}, averaged"),
        "the paper shows it in its plot only",
    ),
    Row(
        "selection",
        "decodes saved at equal CIDEr, live",
        "",
        _saved(GATE),
        "the paper sketches it (section 2) and does not measure it",
    ),
    Row(
        "selection",
        "decodes saved at equal CIDEr, live, each meaning decoded once",
        "",
        _saved(MEMORY),
        "not in the paper; even intervals decode each time",
    ),
    Row(
        "selection",
        "the same, if even intervals decode each meaning once too",
        "",
        _saved_beyond_recall,
        "not in the paper",
    ),
    Row(
        "selection",
        "seconds between decodes / between annotations",
        "2.85 / 2.5",
        lambda r: (
            f"{_way(r, GATE)['interval']:.2f} / {r['streams']['seconds_per_annotation']:.1f}"
        ),
    ),
    Row(
        "replay",
        "CIDEr of the nodes over DDS minus offline",
        "",
        lambda r: "{:+.1f} ({:+.1f} to {:+.1f})".format(*r["difference"]),
        "the paper has no robot",
    ),
    Row(
        "tasks",
        "naming, top-1, %",
        "52.5 (mean of 8 sets, base; CLIP L 30.7, PE-Core G 44.7)",
        _task("naming"),
        "ten names, against hundreds of actions",
    ),
    Row(
        "tasks",
        "text-to-video retrieval, recall@1, %",
        "63.7 (mean of 8 sets, base; CLIP L 35.3, PE-Core G 58.1)",
        _task("retrieval"),
        "among a hundred windows, against whole test sets",
    ),
    Row(
        "tasks",
        "questions, % right",
        "GQA 61.5, TallyQA 69.9, POPE 85.7 (fine-tuned)",
        _task("questions"),
        "two to ten candidates",
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


def opening(result: Any) -> str:
    """What the README says about claim 2, next to its picture."""
    streams = result["streams"]
    return (
        f"Writing a sentence at even intervals takes **{_saved(GATE)(result)}** as "
        f"many sentences as the change gate, which decides live, for descriptions of the same "
        f"quality (equal CIDEr, a score of captions; {streams['counts']['test']} held-out streams "
        f"of {streams['seconds']:g} s). The nodes also reuse the sentence of a meaning that they "
        f"have described before; if even intervals do too, they take "
        f"**{_saved_beyond_recall(result)}** as many. The paper reports 2.85x, on other videos, "
        f"choosing the moments after each has ended. [All claims, measured](docs/evidence.md)."
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
