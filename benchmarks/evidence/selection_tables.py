"""The tables of selective decoding for docs/evidence.md."""

from __future__ import annotations

from typing import Any

from evidence.document import table, times
from evidence.names import GATE, MEMORY, UNIFORM_MEMORY
from evidence.sentences import sentences_table


def markdown(result: dict[str, Any]) -> str:
    """The tables of docs/evidence.md."""
    streams = result["streams"]
    counts = streams["counts"]
    about = (
        f"{counts['test']} streams of {streams['seconds']:g} s with {streams['annotations']} "
        f"annotations, one each {streams['seconds_per_annotation']:.1f} s; "
        f"{counts['test-still']} in which nothing happens; {counts['validation']} others for "
        f"choosing settings; model `{result['model']}`."
    )
    senses = ", ".join(f"{name} {value:.2f}x" for name, value in result["nearness"].items())
    sense = f"Decodes that the gate saves, by what time a sentence stands for: {senses}."
    told = sentences_table(result["sentences"])
    tables = (_ways(result), _detection(result), told, _parts(result), _recall(result))
    beyond = result["saving_with_recall_on_both"]
    both, alone = times(beyond), beyond["recall_alone"]
    even = " or ".join(UNIFORM_MEMORY)
    fair = f"With recall on both sides, {MEMORY} against {even}: {both} saved. "
    fair += f"Recall alone saves {alone:.2f}x at even intervals."
    return "\n\n".join([about, tables[0], fair, *tables[1:], sense])


def _ways(result: dict[str, Any]) -> str:
    head = ("way of decoding", "causal", "settings", "s between decodes", "CIDEr (95 %)")
    head += ("uniform needs, s", "decodes saved (95 %)", "of the gate's (95 %, paired)")
    head += ("best along its curve, chosen on these streams",)
    rows = [
        (
            row["name"],
            "yes" if row["causal"] else "no",
            row["settings"],
            f"{row['interval']:.2f}",
            "{:.0f} ({:.0f} to {:.0f})".format(row["cider"], *row["cider_95"]),
            f"{row['uniform_interval']:.2f}",
            times(row),
            "{:.2f} ({:.2f} to {:.2f})".format(row["of_gates"], *row["of_gates_95"]),
            f"{row['best_saving']:.2f}x at {row['best_interval']:.1f} s",
        )
        for row in result["ways"]
    ]
    return table(head, rows)


def _detection(result: dict[str, Any]) -> str:
    head = ("causal detector", "delay, median s", "90th percentile, s", "events missed")
    head += ("false alarms per hour, nothing happens", "... between events")
    rows = [
        (
            row["name"],
            *("none" if row[k] is None else f"{row[k]:.2f}" for k in ("delay_median", "delay_90")),
            f"{row['missed']:.1%}",
            f"{row['false_alarms_per_hour_still']:.1f}",
            f"{row['false_alarms_per_hour_events']:.1f}",
        )
        for row in result["detection"]
    ]
    return table(head, rows)


def _parts(result: dict[str, Any]) -> str:
    """What is saved on some of the streams."""
    parts = [(f"seed {n}", "", part) for n, part in enumerate(result["seeds"])]
    parts += [(g["name"], f"{g['seconds_per_event']:.1f}", g) for g in result["groups"]]
    rows = [
        (
            f"{name} ({part['streams']})",
            each,
            *(f"{part[way]['saving']:.2f}x" for way in (GATE, MEMORY)),
        )
        for name, each, part in parts
    ]
    return table(("streams", "s per event", GATE, MEMORY), rows)


def _recall(result: dict[str, Any]) -> str:
    head = ("recall within, validation streams", "s between decodes", "CIDEr")
    rows = [
        (f"{row['within']:g}", f"{row['interval']:.2f}", f"{row['cider']:.0f}")
        for row in result["recall"]
    ]
    return table(head, rows)
