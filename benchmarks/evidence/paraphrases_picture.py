"""The picture of claim 4: cosines of paraphrases and of changes, and the map of the lamp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evidence.lamp import CHANGE, NAMED, OFF, PARAPHRASE, TEXTS, distance

_SAME, _OTHER, _INK, _QUIET = "#1f6091", "#c8373f", "#222222", "#888888"
_DARK, _LIGHT = "#333333", "#f2b705"
_LEAST_SHARE = 1e-3  # of the pairs, which may lie outside of the histograms
_SHAPE = 1.25  # width of a map over its height
_MIDDLE = 0.34  # share of its width that the dots may take
_TITLES = {
    "before": "Before training (MiniLM as published)",
    "after": "After training (the Y-Encoder)",
}


def draw(result: dict[str, Any], path: Path) -> None:
    """Write the picture as PNG: histograms above, maps below; before training on the left."""
    figure = Figure(figsize=(15, 12), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        "Do texts that mean the same lie closer together than texts that differ in one thing?",
        fontsize=16,
    )
    axes = figure.subplots(2, 2, height_ratios=(2, 3))
    maps = {when: np.array(lamp["points"]) for when, lamp in result["lamp"].items()}
    reach = max(map(_reach, maps.values()))
    for column, (when, title) in enumerate(_TITLES.items()):
        _draw_cosines(axes[0, column], result["histograms"][when])
        _draw_map(axes[1, column], result["lamp"][when])
        _set_limits(axes[1, column], maps[when], reach)
        axes[0, column].set_title(title, fontsize=14)
        axes[0, column].sharey(axes[0, 0])
        axes[0, column].set_xlim(min(map(_least, result["histograms"].values())), 1)
    figure.savefig(path, dpi=100)


def _draw_cosines(axes: Axes, histograms: dict[str, Any]) -> None:
    edges = np.array(histograms["edges"])
    for kind, color, label in (
        ("paraphrase", _SAME, "two wordings of the same"),
        ("change", _OTHER, "one thing changed (color, object, event, ...)"),
    ):
        axes.stairs(histograms[kind], edges, fill=True, alpha=0.55, color=color, label=label)
    axes.set_xlabel("cosine of two captions (further right: nearer to each other)")
    axes.set_ylabel("share of the pairs")
    axes.legend(loc="upper left", frameon=False, fontsize=11)
    right, triplets = histograms["right"], histograms["triplets"]
    text = f"The wordings are nearest to each other\nin {right:.1%} of {triplets:,} triplets."
    axes.text(0.02, 0.66, text, transform=axes.transAxes, fontsize=12, color=_INK)


def _least(histograms: dict[str, Any]) -> float:
    """Where the axis begins."""
    both = np.array(histograms["paraphrase"]) + np.array(histograms["change"])
    return float(histograms["edges"][int(np.searchsorted(np.cumsum(both) / 2, _LEAST_SHARE))])


def _draw_map(axes: Axes, lamp: dict[str, Any]) -> None:
    points = dict(zip(TEXTS, np.array(lamp["points"]), strict=True))
    for pair, color in ((PARAPHRASE, _SAME), (CHANGE, _OTHER)):
        one, two = (points[text] for text in pair)
        axes.plot(*zip(one, two, strict=True), color=color, linewidth=2.5, zorder=2)
        axes.annotate(
            f"{distance(lamp, pair):.2f}",
            (one + two) / 2,
            ha="center",
            va="center",
            fontsize=13,
            color="white",
            bbox={"boxstyle": "round", "facecolor": color, "edgecolor": "none"},
            zorder=4,
        )
    for text, point in points.items():
        color = _DARK if text in OFF else _LIGHT
        size = 110 if text in NAMED else 50
        axes.scatter(*point, s=size, color=color, edgecolors=_INK, zorder=5)
    _label(axes, points)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(
        f"{lamp['nearest']} of {len(TEXTS)} texts about a lamp have one of the same meaning as "
        "nearest neighbor",
        fontsize=12,
    )
    axes.set_xlabel(
        "Dark dots: the lamp is off, yellow dots: it is on. Distances 1 - cosine; those of the\n"
        "three large dots are to scale, the others are projected onto their plane.\n"
        "Blue: two wordings of the same. Red: one word changed, and with it the meaning."
    )


def _label(axes: Axes, points: dict[str, NDArray[np.float64]]) -> None:
    """Write the texts in a column at either side, from which lines lead to the dots."""
    across = sorted(points, key=lambda text: (points[text][0], text))
    half = len(across) // 2
    for texts, x, side in ((across[:half], 0.02, "left"), (across[half:], 0.98, "right")):
        upwards = sorted(texts, key=lambda text: (points[text][1], text))
        for text, y in zip(upwards, np.linspace(0.06, 0.94, len(upwards)), strict=True):
            axes.annotate(
                text,
                points[text],
                (x, y),
                textcoords="axes fraction",
                ha=side,
                va="center",
                fontsize=13 if text in NAMED else 11,
                fontweight="bold" if text in NAMED else "normal",
                arrowprops={"arrowstyle": "-", "color": _QUIET, "linewidth": 0.8},
                zorder=3,
            )


def _reach(points: NDArray[np.float64]) -> float:
    """Half the height of a map whose sides have room for the texts."""
    across, up = np.ptp(points, axis=0) / 2
    return float(max(across / _MIDDLE / _SHAPE, up / 0.85))


def _set_limits(axes: Axes, points: NDArray[np.float64], reach: float) -> None:
    """Centre the map; the same `reach` gives both the same scale."""
    x, y = (points.min(0) + points.max(0)) / 2
    axes.set_xlim(x - _SHAPE * reach, x + _SHAPE * reach)
    axes.set_ylim(y - reach, y + reach)
    axes.set_aspect("equal", adjustable="box")
