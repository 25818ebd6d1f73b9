"""The picture of selective decoding: CIDEr against the time between decodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from evidence.sweeps import GATE, MEMORY

_INK, _QUIET, _GRID = "#222222", "#777777", "#e6e6e6"
_OURS, _WITH_MEMORY = "#1f6091", "#2a9d8f"
# Colour, width and dashes of each line; what is not here is not drawn.
_LINES: dict[str, tuple[str, float, str]] = {
    "uniform": ("#8a8a8a", 2.2, "-"),
    "uniform, averaged": ("#8a8a8a", 1.4, ":"),
    "Ward clustering": ("#d98e32", 2.2, "-"),
    "Ward clustering, averaged": ("#d98e32", 1.4, ":"),
    "kernel change points, averaged": ("#b9a26a", 1.2, "-."),
    "EWMA": ("#a56eb3", 1.2, "-"),
    "CUSUM": ("#c8575f", 1.2, "-"),
    "Bayesian": ("#7a8f3c", 1.2, "-"),
    "uniform, with memory": ("#8a8a8a", 1.4, "--"),
    GATE: (_OURS, 3.2, "-"),
    MEMORY: (_WITH_MEMORY, 3.2, "-"),
}
_NAMES = {
    "uniform": "at even times (uniform)",
    "uniform, averaged": "at even times, averaged",
    "uniform, with memory": "at even times, with memory",
    "Ward clustering": "the paper's clustering, offline",
    "Ward clustering, averaged": "the paper's clustering, averaged",
    "kernel change points, averaged": "best segmentation, offline",
    "Bayesian": "Bayesian change points, online",
    "EWMA": "EWMA, online",
    "CUSUM": "CUSUM, online",
    GATE: "our gate, online",
    MEMORY: "our gate with memory, online",
}
_TICKS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)


def draw(result: dict[str, Any], path: Path) -> None:
    """Write the picture of `selection.run`'s result as PNG."""
    figure = Figure(figsize=(13, 6.4), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    title = "What is told, and how often it must be decoded for that"
    figure.text(0.045, 0.945, title, fontsize=19, weight="bold", color=_INK)
    streams = result["streams"]
    about = (
        f"{streams['counts']['test']} held-out streams of {streams['seconds'] / 60:g} min, "
        f"{streams['annotations']} events; each is compared with the text nearest in time"
    )
    figure.text(0.045, 0.9, about, fontsize=12, color=_QUIET)
    _draw_curves(figure.add_axes((0.06, 0.105, 0.59, 0.745)), result)
    rows = result["detection"]
    upper = figure.add_axes((0.79, 0.535, 0.19, 0.27))
    _draw_delays(upper, rows)
    lower = figure.add_axes((0.79, 0.105, 0.19, 0.27))
    _draw_alarms(lower, rows, streams["counts"]["test-still"])
    figure.savefig(path, facecolor="white")


def _draw_curves(axes: Axes, result: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in result["ways"]}
    for name, (colour, width, dashes) in _LINES.items():
        points = sorted((p["interval"], p["cider"]) for p in result["curves"][name]["points"])
        axes.plot(
            *zip(*points, strict=True),
            color=colour,
            linewidth=width,
            linestyle=dashes,
            label=_NAMES[name],
            zorder=3 if name in (GATE, MEMORY) else 2,
            solid_capstyle="round",
        )
    top = max(p["cider"] for curve in result["curves"].values() for p in curve["points"])
    axes.set_xscale("log")
    axes.set_xlim(0.23, 110)
    axes.set_ylim(0, top * 1.3)
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("seconds between decodes, mean (fewer decodes to the right)", fontsize=12)
    axes.set_ylabel("CIDEr of the events' texts (higher is better)", fontsize=12)
    for name, colour, height in ((GATE, _OURS, 1.09), (MEMORY, _WITH_MEMORY, 1.2)):
        _draw_saving(axes, rows[name], colour, top * height)
    _plain(axes)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.legend(loc="lower left", fontsize=10, frameon=True, facecolor="white", edgecolor="none")


def _draw_saving(axes: Axes, row: dict[str, Any], colour: str, height: float) -> None:
    """An arrow above the curves, from the interval that uniform decoding needs to the gate's."""
    near, far, value = row["uniform_interval"], row["interval"], row["cider"]
    for interval in (near, far):
        axes.plot([interval] * 2, [value, height], color=colour, linewidth=1, linestyle=":")
    axes.plot([near, far], [value] * 2, "o", color=colour, markersize=8, mec="white", zorder=5)
    arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (far, height), (near, height), arrowprops=arrow, zorder=4)
    label = f" {row['saving']:.1f}x fewer decodes, as good"
    axes.text(far, height, label, fontsize=13, weight="bold", color=colour, va="center")


def _draw_delays(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Median and 90th percentile of the delay for each causal detector."""
    shown = [row for row in rows if row["delay_median"] is not None]
    for place, row in enumerate(shown):
        colour = _LINES[row["name"]][0]
        axes.plot([row["delay_median"], row["delay_90"]], [place] * 2, color=colour, linewidth=3)
        axes.plot(row["delay_median"], place, "o", color=colour, markersize=9)
        axes.text(row["delay_90"] * 1.04, place, f"{row['delay_median']:.2f} s", **_beside())
    _label_rows(axes, shown)
    axes.set_xlim(0, 1.45 * max([0.1, *(row["delay_90"] for row in shown)]))
    axes.set_title("Told after an event began", loc="left", fontsize=12, weight="bold", pad=22)
    _subtitle(axes, "s: median, line to the 90th percentile")


def _draw_alarms(axes: Axes, rows: list[dict[str, Any]], streams: int) -> None:
    """False alarms an hour where nothing happens."""
    values = [row["false_alarms_per_hour_still"] for row in rows]
    for place, (row, value) in enumerate(zip(rows, values, strict=True)):
        axes.barh(place, value, color=_LINES[row["name"]][0], height=0.6)
        axes.text(value, place, f" {value:.1f}", **_beside())
    _label_rows(axes, rows)
    axes.set_xlim(0, 1.3 * max(1.0, *values))
    axes.set_title("False alarms per hour", loc="left", fontsize=12, weight="bold", pad=22)
    _subtitle(axes, f"{streams} streams in which nothing happens")


def _beside() -> dict[str, Any]:
    return {"va": "center", "fontsize": 10.5, "color": _INK}


def _subtitle(axes: Axes, text: str) -> None:
    axes.text(0, 1.045, text, transform=axes.transAxes, fontsize=10.5, color=_QUIET)


def _label_rows(axes: Axes, rows: list[dict[str, Any]]) -> None:
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=10.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _plain(axes)
    axes.tick_params(axis="y", length=0)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_QUIET)
    axes.tick_params(colors=_INK)
