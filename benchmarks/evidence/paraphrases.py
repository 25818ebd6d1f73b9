"""Claim 4: paraphrases land together, and changes of one thing apart (paper section 2).

Texts only: MiniLM as published, which the Y-Encoder starts from, against the trained Y-Encoder.
A triplet counts as SugarCrepe++ does (arXiv 2406.11171; paper table 6): the two wordings must be
nearer to each other than either is to the changed text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from evidence.changes import KINDS, Reader
from evidence.document import table
from evidence.episodes import SOURCES, draw_missing
from evidence.intervals import mean_interval
from evidence.lamp import CHANGE, OFF, PARAPHRASE, TEXTS, distance, lamp_map
from evidence.paraphrases_picture import draw
from evidence.published import embedding_once, published_embed
from vljepa_ros.model.config import WindowConfig
from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.training.dataset import Sampler
from vljepa_ros.training.features import Episode
from vljepa_ros.training.metrics import Metric
from vljepa_ros.training.paraphrases import (
    CHANCE,
    Cosines,
    Embed,
    Triplet,
    caption_triplets,
    cosines,
    hits,
    written_triplets,
)
from vljepa_ros.training.shards import index_shard, list_shards

__all__ = ["draw", "markdown", "run"]

SEEDS = (0, 1, 2)
_SPLIT = "test"
_EPISODES = (25, 200)  # quick, and as `vljepa data` makes them
_DRAWS = (100, 1000)  # captions and events for each seed and source
_LEAST = 10  # triplets of a kind, for an interval
_EDGES = np.linspace(-0.2, 1.0, 61)  # of the histograms of cosines
_WHEN = ("before", "after")


def run(data: Path, work: Path, quick: bool, progress: Progress) -> dict[str, Any]:
    """Measure both encoders on hand-written triplets, on those of our captions, on the lamp."""
    task = progress.add_task("paraphrases: texts", total=2 + len(SOURCES) * (1 + len(SEEDS)))
    engine = Engine.load(config=FASTEST)
    encoders: dict[str, Embed] = {
        "before": published_embed(),
        "after": embedding_once(engine.encode_text),
    }
    sets = [{"name": "by hand", **_compare(encoders, written_triplets())}]
    progress.advance(task)
    pooled: list[Triplet] = []
    for source in SOURCES:
        episodes = _facts_only(data, source, _EPISODES[not quick], progress)
        progress.advance(task)
        drawn = []
        for seed in SEEDS:
            window = WindowConfig(engine.info.window_frames, engine.info.window_period, 1)
            sampler = Sampler(episodes, window, {"caption": 1.0, "event": 1.0}, seed)
            drawn.append(caption_triplets(sampler, _DRAWS[not quick]))
            progress.advance(task)
        sets.append({"name": source, **_drawn(encoders, episodes, drawn)})
        pooled += dict.fromkeys(triplet for triplets in drawn for triplet in triplets)
    result = {
        "model_id": engine.info.model_id,
        "sets": sets,
        "histograms": {when: _histograms(encoders[when], pooled) for when in _WHEN},
        "lamp": {when: lamp_map(encoders[when]) for when in _WHEN},
    }
    progress.advance(task)
    return result


def _compare(encoders: dict[str, Embed], triplets: Sequence[Triplet]) -> dict[str, Any]:
    """Both encoders on the same triplets."""
    similar = {when: cosines(encoders[when], triplets) for when in _WHEN}
    return {
        "triplets": len(triplets),
        **{when: _summary(similar[when]) for when in _WHEN},
        "gain": mean_interval(
            hits(similar["after"]).astype(float) - hits(similar["before"]).astype(float)
        ),
    }


def _summary(similar: Cosines) -> dict[str, Any]:
    """Share of right triplets (Wilson's interval), and distances 1 - cosine."""
    right = Metric("", float(hits(similar).mean()), CHANCE, len(similar))
    away = 1 - similar
    return {
        "right": [right.value, *right.interval],
        "paraphrase": mean_interval(away[:, 0]),
        "change": mean_interval(away[:, 1:].min(1)),
    }


def _drawn(
    encoders: dict[str, Embed], episodes: Sequence[Episode], drawn: Sequence[Sequence[Triplet]]
) -> dict[str, Any]:
    """All seeds together, each triplet once; each seed; and each kind that is not rare."""
    distinct = list(dict.fromkeys(triplet for triplets in drawn for triplet in triplets))
    reader = Reader(thing["name"] for e in episodes for thing in e.facts["objects"])
    by_kind: dict[str, list[Triplet]] = {kind: [] for kind in KINDS}
    for triplet in distinct:
        by_kind[reader.kind(triplet[0], triplet[2])].append(triplet)
    return {
        **_compare(encoders, distinct),
        "seeds": {
            when: [float(hits(cosines(encoders[when], triplets)).mean()) for triplets in drawn]
            for when in _WHEN
        },
        "kinds": {
            k: _compare(encoders, some) for k, some in by_kind.items() if len(some) >= _LEAST
        },
    }


def _histograms(embed: Embed, triplets: Sequence[Triplet]) -> dict[str, Any]:
    """Shares of the cosines that fall between neighbouring edges."""
    similar = np.clip(cosines(embed, triplets), _EDGES[0], _EDGES[-1])
    counts = {"paraphrase": similar[:, 0], "change": similar[:, 1:].ravel()}
    shares = {k: np.histogram(v, _EDGES)[0] / len(v) for k, v in counts.items()}
    return {
        "edges": _EDGES.tolist(),
        "right": float(hits(similar).mean()),
        "triplets": len(triplets),
        **{kind: share.tolist() for kind, share in shares.items()},
    }


def _facts_only(data: Path, source: str, count: int, progress: Progress) -> list[Episode]:
    """Episodes of the test split without their frames, made where they are missing."""
    draw_missing(data, source, _SPLIT, count, progress)
    entries = [e for shard in list_shards(data, source, _SPLIT) for e in index_shard(shard)]
    return [
        Episode(entry.facts, np.empty((len(entry.places), 0), np.float16))
        for entry in entries[:count]
    ]


def markdown(result: dict[str, Any]) -> str:
    """Tables: each set of triplets, each kind of change, each seed, and the lamp."""
    measured = ("number", "right before", "right after", "gain")
    away = ("wordings before", "wordings after", "change before", "change after")
    sets = result["sets"]
    kinds = [
        _row(f"{s['name']}: {kind}", values)
        for s in sets
        for kind, values in s.get("kinds", {}).items()
    ]
    seeds = [
        (s["name"], *(" / ".join(f"{share:.3f}" for share in s["seeds"][when]) for when in _WHEN))
        for s in sets
        if "seeds" in s
    ]
    return "\n\n".join(
        (
            table(("triplets", *measured, *away), [_row(s["name"], s) for s in sets]),
            table(("kind of change", *measured, *away), kinds),
            table(("each seed", "right before", "right after"), seeds),
            _lamp_table(result["lamp"]),
        )
    )


def _lamp_table(lamp: dict[str, Any]) -> str:
    pairs = [
        (f'"{one}", "{two}"', *(f"{distance(lamp[when], (one, two)):.3f}" for when in _WHEN))
        for one, two in (PARAPHRASE, CHANGE)
    ]
    own = (
        f"of {len(TEXTS)} texts, {len(OFF)} of them about darkness: nearest of the same meaning",
        *(lamp[when]["nearest"] for when in _WHEN),
    )
    return table(("the lamp, 1 - cosine", "before", "after"), [*pairs, own])


def _row(name: str, values: dict[str, Any]) -> list[str]:
    cells = [name, f"{values['triplets']}"]
    cells += [_with_interval(values[when]["right"]) for when in _WHEN]
    cells.append(_with_interval(values["gain"], "+"))
    cells += [_with_interval(values[when][k]) for k in ("paraphrase", "change") for when in _WHEN]
    return cells


def _with_interval(values: Sequence[float], sign: str = "") -> str:
    return "{:{s}.3f} ({:{s}.3f} to {:{s}.3f})".format(*values, s=sign)
