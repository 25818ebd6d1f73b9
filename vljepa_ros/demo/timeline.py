"""The demo's story in one picture: frames, the gate's score, and what was said when."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vljepa_ros.demo.story import Story, clock

# Sizes in inches.
_WIDTH, _LEFT, _RIGHT = 16.0, 0.8, 0.3
_INNER = _WIDTH - _LEFT - _RIGHT
_TITLE_HEIGHT, _PLOT_HEIGHT, _AXIS_HEIGHT = 0.8, 2.4, 0.6
_BADGE_WIDTH, _BADGE_HEIGHT = 0.34, 0.3
_HEADING_HEIGHT, _LINE_HEIGHT = 0.38, 0.25
_TEXT_INDENT = 1.05
_CHARACTER = 0.084  # at the text's 11 points, on the wide side

_MOST_THUMBNAILS = 12
_ONE_COLUMN = 10  # sentences; more make two columns

_INK, _QUIET, _ALARM = "#222222", "#777777", "#c8373f"
_SAID, _ASKED = "#1f6091", "#7a5195"
_STYLE: dict[str, Any] = {"fontsize": 11, "color": _INK, "va": "baseline"}


@dataclass(frozen=True)
class _Note:
    """A line of text beneath the plot, and the badge above it that stands at its time."""

    badge: str
    at: float  # s
    time: str
    text: str
    color: str


def draw_timeline(story: Story, path: Path) -> None:
    """Write the picture as PNG.

    From above: pictures of the stream at their times; badges, numbers for sentences and letters
    for questions; the gate's score, its threshold and a line where each segment begins; the
    sentences and the answers in words. The height grows with their number.

    Args:
        story: what happened; without images, scores or sentences their places stay empty.
        path: file to write.
    """
    said, asked = _sentences(story), _answers(story)
    end = max([0.1, story.elapsed, *(note.at for note in [*said, *asked])])
    rows = badge_rows([note.at for note in [*said, *asked]], end * _BADGE_WIDTH / _INNER)
    blocks = [
        _Block("What it said", said, 2 if len(said) > _ONE_COLUMN else 1),
        _Block("What it answered", asked, 1),
    ]
    strip = _strip_height(story)
    badges = _BADGE_HEIGHT * (max(rows, default=0) + 1)
    above = _TITLE_HEIGHT + strip + badges
    height = above + _PLOT_HEIGHT + _AXIS_HEIGHT + sum(block.height for block in blocks) + 0.2

    page = _Page(height)
    page.write(0, 0.35, f"What VL-JEPA made of {story.name}", fontsize=17, weight="bold")
    page.write(0, 0.63, _summary(story), color=_QUIET)
    _draw_thumbnails(page.axes(_TITLE_HEIGHT, strip), story, end, strip)
    plot = page.axes(above, _PLOT_HEIGHT)
    _draw_score(plot, story, end)
    # From above, so that no stem crosses a badge.
    for row, index in sorted(((row, index) for index, row in enumerate(rows)), reverse=True):
        _draw_badge(plot, [*said, *asked][index], row)
    top = above + _PLOT_HEIGHT + _AXIS_HEIGHT
    for block in blocks:
        block.draw(page, top)
        top += block.height
    page.figure.savefig(path, dpi=110)


def badge_rows(times: Sequence[float], width: float) -> list[int]:
    """Return the row for each badge, from 0, such that none covers another.

    Args:
        times: where the badges stand, in any order.
        width: of a badge, in the same unit.
    """
    rows = [0] * len(times)
    free_from: list[float] = []  # for each row
    for index in sorted(range(len(times)), key=lambda index: times[index]):
        at = times[index]
        row = next((k for k, free in enumerate(free_from) if free <= at), len(free_from))
        free_from[row : row + 1] = [at + width]
        rows[index] = row
    return rows


class _Page:
    """A figure whose places are given in inches from its upper left inner corner."""

    def __init__(self, height: float) -> None:
        self._height = height
        self.figure = Figure(figsize=(_WIDTH, height), facecolor="white")

    def axes(self, top: float, height: float) -> Axes:
        place = (_LEFT / _WIDTH, 1 - (top + height) / self._height)
        return self.figure.add_axes((*place, _INNER / _WIDTH, height / self._height))

    def write(self, left: float, top: float, text: str, **style: Any) -> None:
        x, y = (_LEFT + left) / _WIDTH, 1 - top / self._height
        self.figure.text(x, y, text, **{**_STYLE, **style})


class _Block:
    """A heading and notes in one or two columns, wrapped to fit."""

    def __init__(self, heading: str, notes: Sequence[_Note], columns: int) -> None:
        self._heading = heading
        self._column_width = _INNER / columns
        characters = int((self._column_width - _TEXT_INDENT - 0.2) / _CHARACTER)
        wrapped = [(note, textwrap.wrap(note.text, characters) or [""]) for note in notes]
        per_column = -(-len(wrapped) // columns) or 1
        self._columns = [
            wrapped[start : start + per_column] for start in range(0, len(wrapped), per_column)
        ]

    @property
    def height(self) -> float:
        lines = [sum(len(text) for _, text in column) for column in self._columns]
        return _HEADING_HEIGHT + max(lines) * _LINE_HEIGHT + 0.1 if lines else 0.0

    def draw(self, page: _Page, top: float) -> None:
        if not self._columns:
            return
        page.write(0, top + 0.12, self._heading, fontsize=12.5, weight="bold")
        for index, column in enumerate(self._columns):
            left, line = index * self._column_width, top + _HEADING_HEIGHT + 0.08
            for note, text in column:
                page.write(left, line, note.badge, color=note.color, weight="bold")
                page.write(left + 0.42, line, note.time, color=_QUIET)
                for part in text:
                    page.write(left + _TEXT_INDENT, line, part)
                    line += _LINE_HEIGHT


def _sentences(story: Story) -> list[_Note]:
    notes: list[_Note] = []
    for number, sentence in enumerate(story.sentences, start=1):
        # A sentence about a segment that goes on stands where it was said.
        told = any(note.at == sentence.start for note in notes)
        at = max(sentence.spoken if told else sentence.start, 0.0)
        text = f"{sentence.text}  ({sentence.confidence:.2f})"
        notes.append(_Note(str(number), at, clock(at), text, _SAID))
    return notes


def _answers(story: Story) -> list[_Note]:
    notes = []
    for index, answer in enumerate(story.answers):
        sure = "" if answer.confidence is None else f"  ({answer.confidence:.2f})"
        text = f"{answer.question}  →  {answer.text}{sure}"
        badge = chr(ord("A") + index % 26)
        notes.append(_Note(badge, max(answer.at, 0.0), clock(answer.at), text, _ASKED))
    return notes


def _summary(story: Story) -> str:
    counts = f"{story.frames_sent} images, {story.embeddings} embeddings"
    parts = [f"{story.elapsed:.0f} s, {counts}; sentences: {len(story.sentences)}"]
    if story.saving is not None:
        parts.append(f"decoding every embedding would have taken {story.saving:.1f} times as many")
    return ", ".join([*parts, story.model] if story.model else parts)


def _strip_height(story: Story) -> float:
    """Return the height of the row of pictures, each as wide as its share of the page."""
    if not story.thumbnails:
        return 0.0
    rows, columns = story.thumbnails[0][1].shape[:2]
    count = min(len(story.thumbnails), _MOST_THUMBNAILS)
    return float(min(_INNER / count * rows / columns, 2.0))


def _draw_thumbnails(axes: Axes, story: Story, end: float, height: float) -> None:
    axes.set_axis_off()
    count = min(len(story.thumbnails), _MOST_THUMBNAILS)
    times = np.array([time for time, _ in story.thumbnails])
    cell = end / max(count, 1)
    for index in range(count):
        centre = (index + 0.5) * cell
        picture = story.thumbnails[int(np.argmin(np.abs(times - centre)))][1]
        inches = height * picture.shape[1] / picture.shape[0]
        half = min(cell * 0.49, inches / _INNER * end / 2)
        axes.imshow(picture, extent=(centre - half, centre + half, 0, 1), aspect="auto")
    axes.set(xlim=(0, end), ylim=(0, 1))


def _draw_score(axes: Axes, story: Story, end: float) -> None:
    times = np.array([time for time, _ in story.scores])
    scores = np.array([score for _, score in story.scores])
    bounds = [0.0, *story.shifts, end]
    for index, (start, stop) in enumerate(pairwise(bounds)):
        axes.axvspan(start, stop, color="#eef2f5" if index % 2 else "#ffffff", lw=0, zorder=0)
    for index, start in enumerate(story.shifts):
        label = "" if index else "a new segment begins"
        axes.axvline(start, color=_SAID, lw=1.2, zorder=2, label=label)
    over = scores > story.threshold
    axes.fill_between(times, 0, scores, color="#9fb8cc", alpha=0.55, lw=0, zorder=1)
    axes.fill_between(
        *(times, story.threshold, scores, over, True), color=_ALARM, alpha=0.5, lw=0, zorder=1
    )
    axes.plot(times, scores, color=_INK, lw=1.3, zorder=3, label="gate's score")
    label = f"threshold {story.threshold:g}: above it, the meaning is about to change"
    axes.axhline(story.threshold, color=_ALARM, ls="--", lw=1.2, zorder=2, label=label)
    axes.legend(
        loc="upper right", bbox_to_anchor=(1.0, -0.1), ncols=3, frameon=False, borderaxespad=0
    )
    highest = max([2 * story.threshold, 0.05, *(1.1 * scores)])
    axes.set(xlim=(0, end), ylim=(0, highest))
    axes.set_xlabel("time of the stream (min:s)", loc="left")
    axes.set_ylabel("gate's score\n(1 − cosine to the segment)")
    axes.xaxis.set_major_formatter(lambda value, _: clock(value)[: -2 if end > 10 else None])
    axes.spines[["top", "right"]].set_visible(False)


def _draw_badge(axes: Axes, note: _Note, row: int) -> None:
    """Write the badge above the plot, on a stem that ends at the plot's upper edge."""
    up = 72 * _BADGE_HEIGHT  # points
    edge = axes.get_xaxis_transform()
    axes.annotate(
        note.badge,
        (note.at, 1.0),
        xycoords=edge,
        xytext=(0, (row + 0.5) * up),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=9.5,
        color="white",
        weight="bold",
        annotation_clip=False,
        bbox={"boxstyle": "round,pad=0.25", "facecolor": note.color, "lw": 0},
        arrowprops={"arrowstyle": "-", "color": note.color, "lw": 1, "shrinkA": 0, "shrinkB": 0},
    )
