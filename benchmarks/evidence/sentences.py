"""How many of the sentences that the nodes publish with their defaults are true."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from evidence.detectors import Decode
from evidence.document import table
from evidence.drawing import PERIOD
from evidence.streams import Stream
from vljepa_ros.runtime import Engine
from vljepa_ros.runtime.describer import Describer
from vljepa_ros.runtime.engine import MIN_CONFIDENCE, UNSURE
from vljepa_ros.training.language import event_in, make_sample


def count_sentences(
    engine: Engine, streams: Sequence[Stream], decodes: Sequence[Sequence[Decode]], span: float
) -> dict[str, int]:
    """Hold each sentence against what its segment's windows show.

    A sentence is true if it is, word for word, a wording of what one of the windows shows that
    its segment averages: of the event in it, or that nothing happens. An event is told if a true
    sentence is a wording of it.

    Args:
        engine: which decodes, as the decoder node does.
        streams: S streams.
        decodes: of each of them, those that the gate tells.
        span: s from a window's first to its last frame.
    """
    found = dict.fromkeys(("sentences", "true", "unsure", "wrong", "events", "told"), 0)
    for stream, of_stream in zip(streams, decodes, strict=True):
        describer, told = Describer(engine), set()
        for decode in of_stream:
            text = describer.describe(decode.embedding)[0].if_sure(MIN_CONFIDENCE).text
            shown = _shown(stream, decode, span)
            found["sentences"] += 1
            if text == UNSURE:
                found["unsure"] += 1
            elif any(text in wordings for wordings in shown.values()):
                found["true"] += 1
                told |= {event for event, wordings in shown.items() if text in wordings}
            else:
                found["wrong"] += 1
        found["events"] += len(stream.facts["events"])
        found["told"] += len(told - {None})
    return found


def _shown(stream: Stream, decode: Decode, span: float) -> dict[int | None, tuple[str, ...]]:
    """Wordings of what the windows of a segment show, by the start of the event; None: nothing."""
    first, last = round(decode.start / PERIOD), round(decode.end / PERIOD)
    shown: dict[int | None, tuple[str, ...]] = {}
    for newest in range(first, last + 1):
        oldest = max(0, newest - round(span / PERIOD))
        sample = make_sample(stream.facts, oldest, newest, "event", Random(0))
        assert sample is not None
        event = event_in(stream.facts, oldest, newest)
        shown[event["start"] if event else None] = sample.answers
    return shown


def sentences_table(result: dict[str, dict[str, int]]) -> str:
    """The table of docs/evidence.md.

    Args:
        result: of `count_sentences`, by kind of streams.
    """
    head = ("streams", "sentences", "true", '"I don\'t know"', "wrong", "events told rightly")
    rows = [
        (
            kind,
            row["sentences"],
            *(f"{row[k]} ({row[k] / row['sentences']:.0%})" for k in ("true", "unsure", "wrong")),
            f"{row['told']} of {row['events']} ({row['told'] / row['events']:.0%})",
        )
        for kind, row in result.items()
    ]
    return table(head, rows)
