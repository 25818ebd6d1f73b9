"""The tables of selective decoding for docs/evidence.md."""

from __future__ import annotations

from typing import Any

from evidence.sweeps import GATE, MEMORY


def markdown(result: dict[str, Any]) -> str:
    """The tables of docs/evidence.md."""
    streams = result["streams"]
    counts = streams["counts"]
    lines = [
        f"{counts['test']} streams of {streams['seconds']:g} s with {streams['annotations']} "
        f"annotations, one each {streams['seconds_per_annotation']:.1f} s; "
        f"{counts['test-still']} in which nothing happens; {counts['validation']} others for "
        f"choosing settings; model `{result['model']}`.",
        "",
        "| way of decoding | causal | settings | s between decodes | CIDEr (95 %) "
        "| uniform needs, s | decodes saved (95 %) | best along its curve |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["ways"]:
        low, high = row["cider_95"]
        least, most = row["saving_95"]
        lines.append(
            f"| {row['name']} | {'yes' if row['causal'] else 'no'} | {row['settings']} "
            f"| {row['interval']:.2f} | {row['cider']:.0f} ({low:.0f} to {high:.0f}) "
            f"| {row['uniform_interval']:.2f} | {row['saving']:.2f}x ({least:.2f} to {most:.2f}) "
            f"| {row['best_saving']:.2f}x at {row['best_interval']:.1f} s |"
        )
    lines += [
        "",
        "| causal detector | delay, median s | 90th percentile, s | events missed "
        "| false alarms per hour, nothing happens | ... between events |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["detection"]:
        delays = [row["delay_median"], row["delay_90"]]
        lines.append(
            f"| {row['name']} | "
            + " | ".join("none" if delay is None else f"{delay:.2f}" for delay in delays)
            + f" | {row['missed']:.1%} | {row['false_alarms_per_hour_still']:.1f} "
            f"| {row['false_alarms_per_hour_events']:.1f} |"
        )
    lines += ["", f"| streams | s per event | {GATE} | {MEMORY} |", "|---|---|---|---|"]
    parts = [(f"seed {n}", "", part) for n, part in enumerate(result["seeds"])]
    parts += [(g["name"], f"{g['seconds_per_event']:.1f}", g) for g in result["groups"]]
    for name, each, part in parts:
        savings = " | ".join(f"{part[way]['saving']:.2f}x" for way in (GATE, MEMORY))
        lines.append(f"| {name} ({part['streams']}) | {each} | {savings} |")
    senses = ", ".join(f"{name} {value:.2f}x" for name, value in result["nearness"].items())
    lines += ["", f"Decodes that the gate saves, by what time a sentence stands for: {senses}."]
    return "\n".join(lines) + "\n"
