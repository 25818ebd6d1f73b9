"""The picture of claim 4: cosines of paraphrases and of changes, and the map of the lamp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evidence.lamp import CHANGE, OFF, PARAPHRASE, TEXTS

_SAME, _OTHER, _INK = "#1f6091", "#c8373f", "#222222"
_TITLES = {
    "before": "Before training (MiniLM as published)",
    "after": "After training (the Y-Encoder)",
}


def draw(result: dict[str, Any], path: Path) -> None:
    """Write the picture as PNG: histograms above, maps below; before training on the left."""
    figure = Figure(figsize=(14, 11), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        "Do texts that mean the same lie closer together than texts that differ in one thing?",
        fontsize=16,
    )
    axes = figure.subplots(2, 2, sharey="row", height_ratios=(2, 3))
    for column, (when, title) in enumerate(_TITLES.items()):
        _draw_cosines(axes[0, column], result["histograms"][when])
        _draw_map(axes[1, column], result["lamp"][when])
        axes[0, column].set_title(title, fontsize=14)
    figure.savefig(path, dpi=110)


def _draw_cosines(axes: Axes, histograms: dict[str, Any]) -> None:
    edges = np.array(histograms["edges"])
    for kind, color, label in (
        ("paraphrase", _SAME, "two wordings of the same"),
        ("change", _OTHER, "one thing changed (color, object, event, ...)"),
    ):
        axes.stairs(histograms[kind], edges, fill=True, alpha=0.55, color=color, label=label)
    axes.set_xlim(_least(histograms), 1)
    axes.set_xlabel("cosine of two captions; further right: nearer")
    axes.set_ylabel("share of the pairs")
    axes.legend(loc="upper left", frameon=False, fontsize=11)
    right, triplets = histograms["right"], histograms["triplets"]
    axes.text(
        *(0.02, 0.7),
        f"the wordings are nearest to each other\nin {right:.1%} of {triplets:,} triplets",
        transform=axes.transAxes,
        fontsize=12,
        color=_INK,
    )


def _least(histograms: dict[str, Any]) -> float:
    """Where the axis begins: below all but a thousandth of the pairs."""
    both = np.array(histograms["paraphrase"]) + np.array(histograms["change"])
    first = int(np.searchsorted(np.cumsum(both) / 2, 1e-3))
    return min(float(histograms["edges"][first]), 0.3)


def _draw_map(axes: Axes, lamp: dict[str, Any]) -> None:
    points = np.array(lamp["points"])
    where = dict(zip(TEXTS, points, strict=True))
    for pair, color in ((PARAPHRASE, _SAME), (CHANGE, _OTHER)):
        one, two = (where[text] for text in pair)
        away = lamp["distances"][TEXTS.index(pair[0])][TEXTS.index(pair[1])]
        axes.plot(*zip(one, two, strict=True), color=color, linewidth=2, zorder=1)
        axes.annotate(
            f"{away:.2f}",
            (one + two) / 2,
            ha="center",
            va="center",
            fontsize=13,
            color="white",
            bbox={"boxstyle": "round", "facecolor": color, "edgecolor": "none"},
            zorder=4,
        )
    for text, (x, y) in where.items():
        off = text in OFF
        axes.scatter(x, y, s=70, color="#333333" if off else "#f2b705", edgecolors=_INK, zorder=3)
        axes.annotate(text, (x, y), (0, 8), textcoords="offset points", ha="center", fontsize=11)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.25, 0.15)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(
        "map of texts about a lamp (dark dots: off, yellow: on); numbers: distance 1 - cosine\n"
        f"blue: two wordings, red: one word changed; "
        f"the map shows {lamp['shown']:.0%} of the variance"
    )
