"""The picture of selective decoding: CIDEr against the time between decodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from evidence.names import GATE, MEMORY, TUNED, UNIFORM_MEMORY, WARD, WARD_HEIGHT
from evidence.scoring import frontier

_INK, _QUIET, _GRID = "#222222", "#777777", "#e6e6e6"
_OURS, _WITH_MEMORY = "#1f6091", "#2a9d8f"
# Color, width and dashes of each line; what is not here is not drawn.
LINES: dict[str, tuple[str, float, str]] = {
    MEMORY: (_WITH_MEMORY, 3.2, "-"),
    GATE: (_OURS, 3.2, "-"),
    TUNED: (_OURS, 1.4, "--"),
    "CUSUM": ("#c8575f", 1.2, "-"),
    "EWMA": ("#a56eb3", 1.2, "-"),
    "Bayesian": ("#7a8f3c", 1.2, "-"),
    "kernel change points, averaged": ("#b9a26a", 1.2, "-."),
    WARD: ("#d98e32", 2.2, "-"),
    f"{WARD}, averaged": ("#d98e32", 1.4, ":"),
    WARD_HEIGHT: ("#8c564b", 1.4, "-"),
    f"{WARD_HEIGHT}, averaged": ("#8c564b", 1.4, ":"),
    UNIFORM_MEMORY[0]: ("#8a8a8a", 1.4, "--"),
    "uniform": ("#8a8a8a", 2.2, "-"),
    "uniform, averaged": ("#8a8a8a", 1.4, ":"),
}
_TICKS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)


def draw(result: dict[str, Any], path: Path) -> None:
    """Write the picture of `selection.run`'s result as PNG."""
    figure = Figure(figsize=(13, 6.4), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    title = "Decoding only when the meaning changes"
    figure.text(0.045, 0.945, title, fontsize=19, weight="bold", color=_INK)
    streams = result["streams"]
    about = (
        f"{streams['counts']['test']} held-out streams of {streams['seconds'] / 60:g} min, "
        f"{streams['annotations']} events, each compared with the decoded text nearest in time"
    )
    figure.text(0.045, 0.9, about, fontsize=12, color=_QUIET)
    _draw_curves(figure.add_axes((0.06, 0.28, 0.59, 0.57)), result)
    rows = result["detection"]
    delays = figure.add_axes((0.765, 0.535, 0.215, 0.25))
    _head(delays, "Delay", "after an event began: median to 90th percentile")
    _draw_delays(delays, rows)
    alarms = figure.add_axes((0.765, 0.105, 0.215, 0.25))
    _head(alarms, "False alarms", "per hour, in streams where nothing happens")
    _draw_alarms(alarms, rows)
    figure.savefig(path, facecolor="white")


def _draw_curves(axes: Axes, result: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in result["ways"]}
    for name, (color, width, dashes) in LINES.items():
        points = [(p["interval"], p["cider"]) for p in result["curves"][name]["points"]]
        axes.plot(
            *zip(*frontier(points, lambda at: at), strict=True),
            color=color,
            linewidth=width,
            linestyle=dashes,
            label=f"{name} (online)" if rows[name]["causal"] else name,
            zorder=3 if name in (GATE, MEMORY) else 2,
            solid_capstyle="round",
        )
    top = max(p["cider"] for curve in result["curves"].values() for p in curve["points"])
    axes.set_xscale("log")
    axes.set_xlim(0.23, 110)
    axes.set_ylim(0, top * 1.42)
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("seconds between decodes, mean (fewer decodes to the right)", fontsize=12)
    axes.set_ylabel("CIDEr of the events' texts (higher is better)", fontsize=12)
    for name, color, height in ((GATE, _OURS, 1.1), (MEMORY, _WITH_MEMORY, 1.29)):
        told = "fewer decodes, same CIDEr"
        if name == MEMORY:
            both = result["saving_with_recall_on_both"]["saving"]
            told = f"with recall\n({both:.1f}x if uniform recalls too)"
        told = f"{rows[name]['saving']:.1f}x {told}"
        _draw_saving(axes, rows[name], color, top * height, told)
    _plain(axes)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=3,
        fontsize=9,
        frameon=False,
        columnspacing=1.2,
        handlelength=1.8,
    )


def _draw_saving(axes: Axes, row: dict[str, Any], color: str, height: float, told: str) -> None:
    """An arrow above the curves, from the interval that uniform decoding needs to the gate's."""
    near, far, value = row["uniform_interval"], row["interval"], row["cider"]
    for interval in (near, far):
        axes.plot([interval] * 2, [value, height], color=color, linewidth=1, linestyle=":")
    axes.plot([near, far], [value] * 2, "o", color=color, markersize=8, mec="white", zorder=5)
    arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (far, height), (near, height), arrowprops=arrow, zorder=4)
    style = {"fontsize": 13, "weight": "bold", "va": "center", "zorder": 6}
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    axes.text(far * 1.05, height, told, color=color, bbox=box, **style)


def _draw_delays(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Median and 90th percentile of the delay for each causal detector."""
    shown = [row for row in rows if row["delay_median"] is not None]
    for place, row in enumerate(shown):
        color = LINES[row["name"]][0]
        axes.plot([row["delay_median"], row["delay_90"]], [place] * 2, color=color, linewidth=3)
        axes.plot(row["delay_median"], place, "o", color=color, markersize=9)
        axes.text(row["delay_90"] * 1.04, place, f"{row['delay_median']:.2f} s", **_beside())
    _label_rows(axes, shown)
    axes.set_xlim(0, 1.45 * max([0.1, *(row["delay_90"] for row in shown)]))


def _draw_alarms(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """False alarms an hour where nothing happens."""
    values = [row["false_alarms_per_hour_still"] for row in rows]
    for place, (row, value) in enumerate(zip(rows, values, strict=True)):
        axes.barh(place, value, color=LINES[row["name"]][0], height=0.6)
        axes.text(value, place, f" {value:.1f}", **_beside())
    _label_rows(axes, rows)
    axes.set_xlim(0, 1.3 * max(1.0, *values))


def _beside() -> dict[str, Any]:
    return {"va": "center", "fontsize": 10.5, "color": _INK}


def _head(axes: Axes, title: str, about: str) -> None:
    """Write above the axes, from where its labels begin."""
    place = axes.get_position()
    figure = axes.get_figure()
    assert figure is not None
    figure.text(0.69, place.y1 + 0.058, title, fontsize=13, weight="bold", color=_INK)
    figure.text(0.69, place.y1 + 0.02, about, fontsize=10.5, color=_QUIET)


def _label_rows(axes: Axes, rows: list[dict[str, Any]]) -> None:
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=10.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _plain(axes)
    axes.tick_params(axis="y", length=0)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_QUIET)
    axes.tick_params(colors=_INK)
