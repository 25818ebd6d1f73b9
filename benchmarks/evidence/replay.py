"""Claim 2 once more: its recorded streams through the real nodes over DDS, in real time.

The offline run has the same engine and the same gate on the same frames. What the nodes tell may
differ from it where they dropped a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from evidence.captions import cider
from evidence.detection import detect
from evidence.detectors import Decode, gate
from evidence.document import table
from evidence.drawing import PERIOD
from evidence.intervals import mean_interval
from evidence.scoring import nearest
from evidence.streams import Stream, load_streams, stored
from evidence.told import Told
from vljepa_ros.errors import InputError
from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.runtime.describer import Describer
from vljepa_ros.streaming import GateConfig
from vljepa_ros.training.shards import read_shards

if TYPE_CHECKING:
    from evidence.playing import Heard

_KIND = "test"
_STREAMS = (1, 3)  # quick, and in full: as cameras at once
_SECONDS = (30.0, 180.0)  # of each
_PERIOD = round(PERIOD * 1e9)  # ns
_WAYS = ("offline", "nodes")


def run(selection: Path, work: Path, quick: bool, progress: Progress) -> dict[str, Any]:
    """Play streams into the pipeline, and compare with the gate on the same frames.

    Args:
        selection: folder of that claim, whose streams are played.
        work: not needed; what takes long here is the playing, which is played whole.
        quick: fewer streams and only their beginning.
        progress: gets a bar of the frames.

    Raises:
        InputError: the streams are not there.
    """
    shards = stored(selection, _KIND)[: _STREAMS[not quick]]
    if not shards:
        raise InputError(
            f"there are no streams of today's code in {selection}; measure `selection` first"
        )
    # Imported here: the rest needs no ROS.
    from evidence.playing import play

    engine = Engine.load(config=FASTEST)
    length = round(_SECONDS[not quick] / PERIOD)
    loaded = load_streams(selection, _KIND, len(shards), engine, progress)
    recorded = [jpegs[:length] for _, jpegs in read_shards(shards)]
    bar = progress.add_task("frames through the nodes", total=sum(map(len, recorded)))
    heard = play(
        [(_PERIOD, jpegs) for jpegs in recorded], lambda sent: progress.update(bar, completed=sent)
    )
    played = [_begin(stream, length) for stream in loaded]
    compared = [
        {
            "frames": len(jpegs),
            "processed": ear.frames,
            "annotations": stream.facts["annotations"],
            "offline": vars(follow(engine, stream.embeddings)),
            "nodes": vars(ear.told),
        }
        for stream, jpegs, ear in zip(played, recorded, heard, strict=True)
    ]
    span = (engine.info.window_frames - 1) * engine.info.window_period
    return summary(compared, span) | {
        "model_id": engine.info.model_id,
        "seconds": length * PERIOD,
        "told": compared,
        "detection": {
            way: detected(played, [s[way]["changes"] for s in compared], span) for way in _WAYS
        },
        "ages": {kind: _ages(heard, kind) for kind in ("shift", "text")},
    }


def _ages(heard: Sequence[Heard], kind: str) -> list[float]:
    """Median and 95th percentile in s over all streams."""
    ages = [age for ear in heard for age in getattr(ear, f"{kind}_ages")]
    found: list[float] = np.percentile(ages, (50, 95)).tolist()
    return found


def follow(engine: Engine, embeddings: NDArray[np.float32]) -> Told:
    """What gate and decoder tell of a stream's embeddings (T, D), as the nodes have them set."""
    decodes = gate(embeddings, PERIOD, GateConfig())
    describer = Describer(engine)
    texts = [describer.describe(decode.embedding)[0] for decode in decodes]
    return Told(
        [round(d.time * 1e9) for d in decodes],
        [text.text for text in texts],
        [round(d.time * 1e9) for d in decodes if d.change],
    )


def detected(
    streams: Sequence[Stream], changes: Sequence[Sequence[int]], span: float
) -> dict[str, Any]:
    """How late changes told at these stamps (ns) tell the streams' events, as `selection` counts.

    Returns:
        delay: s, the median from an event's start until it is told; None if none is.
        missed: share of the events.
        false_alarms: changes told where no event was near.
    """
    decodes = [
        [Decode(at / 1e9, at / 1e9, at / 1e9, stream.embeddings[0], change=True) for at in stamps]
        for stream, stamps in zip(streams, changes, strict=True)
    ]
    found = detect(streams, decodes, span)
    delay = float(np.median(found.delays)) if found.delays else None
    return {"delay": delay, "missed": found.missed, "false_alarms": found.false_alarms}


def _begin(stream: Stream, length: int) -> Stream:
    """Its first `length` frames."""
    end = length * PERIOD
    annotations = [a for a in stream.facts["annotations"] if a["start"] < end]
    return Stream({**stream.facts, "annotations": annotations}, stream.embeddings[:length])


def summary(streams: Sequence[dict[str, Any]], span: float) -> dict[str, Any]:
    """Both ways over all streams, and how far they agree.

    Args:
        streams: for each its annotations, and `Told` as a dictionary for each of both ways.
        span: as for `told_about`.
    """
    references = [a["wordings"] for s in streams for a in s["annotations"]]
    scores, result = {}, {}
    for way in _WAYS:
        told = [
            text for s in streams for text in told_about(Told(**s[way]), s["annotations"], span)
        ]
        scores[way] = cider(told, references)
        result[way] = {
            "decodes": sum(len(s[way]["stamps"]) for s in streams),
            "cider": mean_interval(scores[way]),
        }
    pairs = [pair for s in streams for pair in matches(*(s[way]["stamps"] for way in _WAYS))]
    same = [
        s["offline"]["texts"][one] == s["nodes"]["texts"][two]
        for s in streams
        for one, two in matches(*(s[way]["stamps"] for way in _WAYS))
    ]
    most = max(result[way]["decodes"] for way in _WAYS)
    return {
        "streams": len(streams),
        "annotations": len(references),
        "frames": sum(s["frames"] for s in streams),
        "processed": sum(s["processed"] for s in streams),
        **result,
        "difference": mean_interval(scores["nodes"] - scores["offline"]),
        "same_time": len(pairs) / most if most else 1.0,
        "same_text": sum(same) / len(same) if same else 1.0,
    }


def told_about(told: Told, annotations: Sequence[dict[str, Any]], span: float) -> list[str]:
    """For each annotation the text that is nearest in time, as `selection` counts it.

    Args:
        told: sentences.
        annotations: of the same stream.
        span: s from a window's first to its last frame; a text stands for the window's middle.

    Returns:
        A text for each; "" where nothing was told at all.
    """
    if not told.stamps:
        return [""] * len(annotations)
    times = [stamp / 1e9 - span / 2 for stamp in told.stamps]
    return [told.texts[nearest(times, annotation)] for annotation in annotations]


def matches(one: Sequence[int], two: Sequence[int]) -> list[tuple[int, int]]:
    """Numbers of the stamps (ns, in order) of both that lie within one period, each used once."""
    found, first = [], 0
    for number, stamp in enumerate(one):
        while first < len(two) and two[first] < stamp - _PERIOD:
            first += 1
        if first < len(two) and two[first] <= stamp + _PERIOD:
            found.append((number, first))
            first += 1
    return found


def markdown(result: dict[str, Any]) -> str:
    """Tables: both ways side by side, and how far they agree."""
    head = (
        "",
        "sentences",
        "CIDEr (95%)",
        "median delay of an event, s",
        "missed",
        "false alarms",
    )
    names = {"offline": "the gate on stored embeddings", "nodes": "the nodes over DDS"}
    ways = [(name, *_cells(result[way], result["detection"][way])) for way, name in names.items()]
    facts = [
        ("streams played at once, each a camera", result["streams"]),
        ("length of each, s", f"{result['seconds']:g}"),
        ("annotations", result["annotations"]),
        ("frames sent / processed", f"{result['frames']} / {result['processed']}"),
        (
            "CIDEr of the nodes minus offline",
            "{:+.1f} ({:+.1f} to {:+.1f})".format(*result["difference"]),
        ),
        ("told at the same time, within one period", f"{result['same_time']:.1%}"),
        ("of these with the same text", f"{result['same_text']:.1%}"),
    ]
    for kind, name in (("shift", "a shift"), ("text", "a sentence")):
        median, high = (1e3 * value for value in result["ages"][kind])
        what = f"from the frame to {name}, median / p95, ms"
        facts.append((what, f"{median:.0f} / {high:.0f}"))
    return f"{table(head, ways)}\n\n{table(('of the replay', ''), facts)}"


def _cells(told: dict[str, Any], found: dict[str, Any]) -> tuple[Any, ...]:
    delay = "" if found["delay"] is None else f"{found['delay']:.2f}"
    score = "{:.1f} ({:.1f} to {:.1f})".format(*told["cider"])
    return told["decodes"], score, delay, f"{found['missed']:.1%}", found["false_alarms"]
