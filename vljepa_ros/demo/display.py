"""What the demo shows while it runs: a live panel in a terminal, plain lines elsewhere."""

import time
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from vljepa_ros.demo.story import Answer, Sentence, Story, clock

_REFRESH_PERIOD = 0.1  # s
_PLAIN_PERIOD = 5.0  # s of the stream between status lines
_BAR_WIDTH = 40  # characters
_FIXED_LINES = 12  # lines of the panel besides sentences and answers
_MARGIN = 3


class Display(Protocol):
    """Shows a story that grows."""

    def refresh(self, status: str) -> None:
        """Show the present state; cheap when called too often."""

    def close(self) -> None:
        """Show the last state and let the terminal go."""


def open_display(story: Story, console: Console) -> Display:
    """Return the display that fits the console."""
    return LiveDisplay(story, console) if console.is_terminal else PlainDisplay(story, console)


class LiveDisplay:
    """A panel that is redrawn in place."""

    def __init__(self, story: Story, console: Console) -> None:
        self._story = story
        self._console = console
        self._status = ""
        self._next = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._live.start()

    def refresh(self, status: str) -> None:
        """Redraw, at most ten times a second."""
        self._status = status
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _REFRESH_PERIOD
            self._draw()

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self._draw()
        self._live.stop()

    def _draw(self) -> None:
        lines = max(self._console.height - _FIXED_LINES - _MARGIN, 4)
        now = time.monotonic()
        self._live.update(render(self._story, self._status, lines, now), refresh=True)


class PlainDisplay:
    """A line for each sentence and answer, and a status line now and then."""

    def __init__(self, story: Story, console: Console) -> None:
        self._story = story
        self._console = console
        self._sentences = 0
        self._answers = 0
        self._next_status = _PLAIN_PERIOD
        self._status = ""

    def refresh(self, status: str) -> None:
        """Print what is new."""
        story = self._story
        if status != self._status:
            self._status = status
            self._print(status)
        for sentence in story.sentences[self._sentences :]:
            self._sentences += 1
            self._print(f"{clock(sentence.spoken)}  {sentence.text}  ({sentence.confidence:.2f})")
        for answer in story.answers[self._answers :]:
            self._answers += 1
            self._print(f"{clock(answer.at)}  ? {answer.question}  {_reply(answer)}")
        if story.elapsed >= self._next_status:
            self._next_status = story.elapsed + _PLAIN_PERIOD
            self._print(
                f"{clock(story.elapsed)}  [{story.frames_sent} frames, "
                f"{story.embeddings} embeddings, {story.rate(time.monotonic()):.1f}/s; "
                f"{_sentences(story)}]"
            )

    def close(self) -> None:
        """Print what is left."""
        self.refresh(self._status)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def render(story: Story, status: str, lines: int, now: float) -> RenderableType:
    """Draw the panel.

    Args:
        story: what to show.
        status: what the demo is doing, in a few words.
        lines: how many lines the sentences and answers may fill together.
        now: monotonic clock, for the rate.
    """
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold cyan", justify="right")
    facts.add_column()
    facts.add_row("stream", _stream_line(story))
    facts.add_row(
        "frames",
        f"{story.frames_sent} sent, {story.embeddings} embedded, "
        f"{story.rate(now):.1f} embeddings/s",
    )
    facts.add_row("gate", score_bar(story))
    facts.add_row("sentences", _sentences(story))
    answers = story.answers[-max(lines // 2, 2) :]
    sentences = story.sentences[-max(lines - len(answers), 2) :]
    body: list[RenderableType] = [facts, Rule("what it says", style="dim")]
    body.append(_table([_sentence_row(s, s is story.sentences[-1]) for s in sentences]))
    if answers:
        body += [Rule("what it answers", style="dim"), _table([_answer_row(a) for a in answers])]
    subtitle = f"{status}   {story.model}".strip()
    return Panel(Group(*body), title=f"VL-JEPA · {story.name}", subtitle=Text(subtitle))


def score_bar(story: Story) -> Text:
    """Draw the latest score as a bar with the threshold as a mark in its middle."""
    score = story.scores[-1][1] if story.scores else 0.0
    full = 2 * story.threshold or 1.0
    filled = min(round(score / full * _BAR_WIDTH), _BAR_WIDTH)
    over = score > story.threshold
    bar = Text()
    for cell in range(_BAR_WIDTH):
        if cell == _BAR_WIDTH // 2:
            bar.append("┃", style="bold yellow")
        bar.append("█" if cell < filled else "░", style="red" if over else "green")
    bar.append(f"  {score:.2f}", style="bold red" if over else "bold")
    bar.append(f" of {story.threshold:.2f}", style="dim")
    return bar


def _stream_line(story: Story) -> RenderableType:
    if story.duration is None:
        return Text(clock(story.elapsed))
    line = Table.grid(padding=(0, 1))
    bar = ProgressBar(story.duration, min(story.elapsed, story.duration), width=_BAR_WIDTH)
    line.add_row(clock(story.elapsed), bar, clock(story.duration))
    return line


def _sentences(story: Story) -> str:
    spent = f"{len(story.sentences)} told, every-frame decoding: {story.embeddings}"
    return spent if story.saving is None else f"{spent} ({story.saving:.1f} times as many)"


def _table(rows: list[tuple[Text, Text, Text]]) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _sentence_row(sentence: Sentence, newest: bool) -> tuple[Text, Text, Text]:
    text = Text(sentence.text, style="bold" if newest else "")
    return Text(clock(sentence.spoken)), text, _confidence(sentence.confidence)


def _answer_row(answer: Answer) -> tuple[Text, Text, Text]:
    text = Text.assemble((answer.question, "cyan"), "  ", (answer.text, "bold"))
    return Text(clock(answer.at)), text, _confidence(answer.confidence)


def _confidence(value: float | None) -> Text:
    return Text("no answer", style="red") if value is None else Text(f"{value:.2f}", style="dim")


def _reply(answer: Answer) -> str:
    if answer.confidence is None:
        return f"no answer: {answer.text}"
    return f"{answer.text}  ({answer.confidence:.2f})"
