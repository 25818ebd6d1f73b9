"""Claim 3: one embedding space, many tasks, and no change of architecture (paper section 2).

Naming, retrieval and questions with candidates from the shipped weights, beside three other ways
to choose among texts, on the same trials. What was trained for claim 1 is asked as well, so that
embeddings and tokens can be compared after equally many samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from evidence.arms import load_token_model
from evidence.document import table
from evidence.episodes import load_first
from evidence.kept import Kept, code, digest
from evidence.prediction import compare
from evidence.published import published_embed
from evidence.store import made_by
from evidence.systems import (
    LowestPerplexity,
    System,
    decoded_caption,
    image_net_head,
    shared_space,
)
from vljepa_ros.model.config import WindowConfig
from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.runtime.engine import LABEL_QUERY
from vljepa_ros.runtime.images import to_input_size
from vljepa_ros.training.features import Episode
from vljepa_ros.training.language import Sample
from vljepa_ros.training.metrics import Metric
from vljepa_ros.training.photographs import draw_choices, load_photographs
from vljepa_ros.training.trials import (
    CHOICE_KINDS,
    Draw,
    draw_distinct,
    draw_labels,
    draw_trials,
    is_asked,
    names_shown,
)

_SEEDS = (0, 1, 2)  # of the trials
_WAYS = 10  # names to choose from
_POOL = 100  # windows that a caption's own is searched among
_SIDE = 224  # pixels, of the frames
_SIZES = {False: (200, 100, 40), True: (25, 10, 4)}  # episodes, names, questions a kind
_NAMES = {
    "shipped": "VL-JEPA, shipped",
    "vl-jepa": "VL-JEPA of claim 1",
    "vlm": "token-space VLM of claim 1",
    "image-net": "ImageNet head and MiniLM",
    "caption": "MiniLM on the decoded caption",
}
_COLORS = ("tab:blue", "lightskyblue", "tab:orange", "0.45", "0.75")


@dataclass(frozen=True)
class Task:
    """What is asked of all systems.

    Attributes:
        name: of source and task.
        chance: share that guessing gets right.
        right: of a system, which trials it gets right.
    """

    name: str
    chance: float
    right: Callable[[System], NDArray[np.bool_]]


def run(data: Path, work: Path, quick: bool, progress: Progress) -> dict[str, Any]:
    """Ask all systems the same on the test split.

    Args:
        data: folder of `vljepa data`; what it lacks is made there.
        work: folder of this claim, beside that of claim 1, whose models are trained if missing.
        quick: a subset.
        progress: where to show bars.

    Raises:
        SourceError: the photographs cannot be fetched.
    """
    comparison = compare(data, work.parent / "prediction", quick, progress)
    engine, minilm = Engine.load(config=FASTEST), published_embed()
    encoder = comparison.base.x_encoder
    systems: dict[str, System] = {
        "shipped": shared_space(engine),
        "vl-jepa": shared_space(Engine.load(str(comparison.saved("vl-jepa")))),
        "vlm": LowestPerplexity(load_token_model(comparison.saved("vlm"))),
        "image-net": image_net_head(encoder, minilm),
        "caption": decoded_caption(engine, minilm),
    }
    episodes, names, questions = _SIZES[quick]
    window = WindowConfig(engine.info.window_frames, engine.info.window_period, 1)
    counts = {"tabletop": episodes, "composites": episodes}
    tasks = [
        task
        for source, held in load_first(data, "test", counts, comparison.encoder, progress).items()
        for task in tasks_of(source, held, window, names, questions)
    ]
    tasks += photographs(data, encoder)
    sizes = digest(_SIZES[quick], code())
    kept = Kept(work / f"{made_by(engine.info)}-{comparison.kept.folder.name}-{sizes}")
    bar = progress.add_task("tasks", total=len(tasks) * len(systems))
    rows = []
    for task in tasks:
        found = {}
        for name, system in systems.items():
            key = f"{task.name}, {name}"
            found[name] = kept.once(key, lambda t=task, s=system: _summary(t.right(s)))
            progress.advance(bar)
        rows.append({"task": task.name, "chance": task.chance, "systems": found})
    trained = comparison.settings
    return {
        "model_id": engine.info.model_id,
        "samples": trained.steps * trained.batch_size,
        "rows": rows,
    }


def tasks_of(
    source: str, episodes: Sequence[Episode], window: WindowConfig, names: int, questions: int
) -> list[Task]:
    """Naming, retrieval and questions about one source.

    Args:
        source: of the episodes.
        episodes: which are asked about.
        window: frames and their distance.
        names: windows of each seed with a thing to be named.
        questions: of each seed and kind.
    """
    kinds = [kind for kind in CHOICE_KINDS if is_asked(episodes, kind)]
    things, labels, asked = [], [], []
    for seed in _SEEDS:
        drawn = draw_trials(episodes, window, "what", names, seed)
        things += drawn
        labels += draw_labels(drawn, names_shown(episodes), _WAYS, seed)
        for kind in kinds:
            asked += draw_trials(episodes, window, kind, questions, seed)
    described = draw_distinct(episodes, window, "caption", _POOL, _SEEDS[0])
    answers = [_answer_first(sample) for sample, _, _ in asked]
    return [
        Task(f"{source}: naming, {_WAYS} names", 1 / _WAYS, partial(_best, things, labels, False)),
        Task(
            f"{source}: retrieval among {len(described)} windows",
            1 / len(described),
            partial(_retrieved, described),
        ),
        Task(
            f"{source}: questions of {len(kinds)} kinds",
            float(np.mean([1 / len(choices) for choices in answers])),
            partial(_best, asked, answers, True),
        ),
    ]


def photographs(data: Path, encoder: XEncoder) -> list[Task]:
    """Naming everyday photographs, nothing like which was trained on.

    Raises:
        SourceError: they cannot be fetched; a result without them would be kept as whole.
    """
    shown = load_photographs(data / "sources")
    drawn = []
    for photograph in shown:
        picture = torch.from_numpy(to_input_size(photograph.rgb, _SIDE)).permute(2, 0, 1)
        with torch.inference_mode():
            tokens = encoder.encode_frames(picture[None]).numpy()
        sample = Sample("what", LABEL_QUERY, (photograph.label,), photograph.label)
        # A photograph fills the window by itself, as the first image of a stream does.
        drawn.append((sample, Episode({}, tokens), [0, 0, 0, 0]))
    choices = draw_choices(shown, _WAYS)
    name = f"photographs: naming, {_WAYS} names"
    return [Task(name, 1 / _WAYS, partial(_best, drawn, choices, False))]


def _best(
    drawn: Sequence[Draw], choices: Sequence[Sequence[str]], answering: bool, system: System
) -> NDArray[np.bool_]:
    """Whether the first of each draw's choices, the right one, fits better than all others."""
    right = []
    for draw, some in zip(drawn, choices, strict=True):
        (scores,) = system.scores([draw], some, answering)
        right.append(scores[0] > scores[1:].max())
    return np.array(right)


def _retrieved(drawn: Sequence[Draw], system: System) -> NDArray[np.bool_]:
    """Whether a caption fits its own window better than all others."""
    scores = system.scores(drawn, [sample.answers[0] for sample, _, _ in drawn], False)
    own = np.diag(scores)
    return (scores >= own).sum(0) == 1


def _answer_first(sample: Sample) -> list[str]:
    answer = sample.answers[0]
    return [answer, *(choice for choice in sample.choices if choice != answer)]


def _summary(right: NDArray[np.bool_]) -> dict[str, Any]:
    """The share of right trials with its interval, and how many trials there were."""
    metric = Metric("", float(right.mean()), 0.0, len(right))
    return {"right": (metric.value, *metric.interval), "trials": metric.trials}


def draw(result: dict[str, Any], path: Path) -> None:
    """Bars by task, one for each system, with intervals and chance, as one PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = result["rows"]
    figure, axis = plt.subplots(figsize=(13, 1.1 * len(rows) + 2.2), constrained_layout=True)
    height = 0.8 / len(_NAMES)
    for place, (name, title) in enumerate(_NAMES.items()):
        shares = 100 * np.array([row["systems"][name]["right"] for row in rows])
        places = np.arange(len(rows)) + (place - (len(_NAMES) - 1) / 2) * height
        middle, low, high = shares.T
        axis.barh(places, middle, height, color=_COLORS[place], label=title)
        axis.hlines(places, low, high, color="black", linewidth=1)
    for place, row in enumerate(rows):
        told = "chance" if place == 0 else None
        axis.vlines(100 * row["chance"], place - 0.45, place + 0.45, "red", "dotted", label=told)
    axis.set_yticks(range(len(rows)), [row["task"].replace(": ", ":\n") for row in rows])
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    axis.set_xlabel("right, % (line: 95% interval over trials)")
    axis.set_title(
        "One model and one space for naming, retrieval and questions, beside other ways to "
        f"choose\nHeld-out scenes; both models of claim 1 saw {result['samples']:,} samples",
    )
    figure.legend(loc="outside lower center", ncols=len(_NAMES) + 1, fontsize=9)
    axis.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def markdown(result: dict[str, Any]) -> str:
    """The section's table."""
    titles = dict(_NAMES)
    titles["shipped"] += f" (`{result['model_id']}`)"
    for name in ("vl-jepa", "vlm"):
        titles[name] += f" ({result['samples']:,} samples)"
    rows = []
    for row in result["rows"]:
        cells = [
            "{:.1f} ({:.1f} to {:.1f})".format(*(100 * v for v in row["systems"][name]["right"]))
            for name in _NAMES
        ]
        trials = row["systems"]["shipped"]["trials"]
        rows.append((row["task"], *cells, f"{100 * row['chance']:.1f}", trials))
    return table(("right, % (95%)", *titles.values(), "chance", "trials"), rows)
