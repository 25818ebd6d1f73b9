"""How far naming goes with the number of names that something was trained on.

    python benchmarks/known_names.py --out known_names.json --picture docs/known-names.png

Two goals of naming are out of reach of the shipped model: cut-outs that it never saw, and everyday
photographs. Both are asked of models that know few names, and of models that know more, each a
random part of all names, several times:

- cut-outs: ridge regression (scikit-learn) from what the frozen X-Encoder sees to MiniLM's
  embedding of the name, on windows of the training cut-outs of these names; asked are windows of
  the test split that show one thing, most of them of a name that no training window has.
- photographs: the mean of the embeddings of ImageNet's class names, weighted as likely as the
  X-Encoder's own head holds them (benchmarks/image_net_floor.py), of these classes alone.

Chance is one in ten. The line through the shares, over the logarithm of the number of names, says
how many names the goal would take if nothing else changed: a guess, far beyond what was measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from results import report
from sklearn.linear_model import Ridge
from torch import Tensor

from vljepa_ros.model import VLJEPA, VLJEPAConfig
from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.runtime import Engine
from vljepa_ros.runtime.engine import LABEL_QUERY
from vljepa_ros.runtime.images import to_input_size
from vljepa_ros.training.dataset import Sampler
from vljepa_ros.training.evaluate import Evaluation
from vljepa_ros.training.features import load_episodes
from vljepa_ros.training.photographs import draw_choices, load_photographs
from vljepa_ros.training.phrases import WHAT_QUERIES
from vljepa_ros.training.trials import Draw, draw_labels, names_shown

WAYS = 10
REPEATS = 8  # random parts of the names
TRAINED_WINDOWS, ASKED_WINDOWS = 8000, 400
RIDGE = 1e4  # chosen on the validation split, with all names
Rows = NDArray[np.float32]


class Names:
    """Embeddings of names by MiniLM as it was published."""

    def __init__(self, model: VLJEPA) -> None:
        self.minilm = model.y_encoder  # its head into the shared space: the identity
        self.known: dict[str, Rows] = {}

    def __call__(self, names: Sequence[str]) -> Rows:
        """(K, D) float32, L2-normalised."""
        if new := sorted({name for name in names if name not in self.known}):
            self.known.update(zip(new, self.minilm(new).numpy(), strict=True))
        return np.stack([self.known[name] for name in names])

    def right(self, embeddings: Rows, choices: Sequence[Sequence[str]]) -> float:
        """Share of the embeddings whose nearest name is the first of its choices."""
        pairs = zip(embeddings, choices, strict=True)
        return float(np.mean([(self(some) @ row).argmax() == 0 for row, some in pairs]))


class CutOuts:
    """Windows that show one cut-out, and probes of the frozen X-Encoder."""

    def __init__(self, data: Path, model: VLJEPA, names: Names) -> None:
        self.data, self.names, self.encoder = data, names, model.x_encoder
        self.window = model.window
        self.trained = self.draw("train", TRAINED_WINDOWS)
        self.asked = self.draw("test", ASKED_WINDOWS)
        self.choices = draw_labels(self.asked, names_shown(self.load("test")), WAYS, seed=0)
        seen = self.features(self.trained)
        self.mean, self.deviation = seen.mean(0), seen.std(0) + 1e-6
        self.seen, self.shown = self.scaled(seen), self.scaled(self.features(self.asked))

    def load(self, split: str) -> Any:
        """Episodes of the composites."""
        shape = (self.encoder.tokens_per_frame, self.encoder.token_dim)
        return load_episodes(self.data, ("composites",), split, shape)

    def draw(self, split: str, count: int) -> list[Draw]:
        """Windows at whose end one thing is to be seen."""
        sampler, drawn = Sampler(self.load(split), self.window, {"what": 1.0}, seed=0), []
        while len(drawn) < count:
            draw = sampler.draw()
            if draw[0].query in WHAT_QUERIES:  # asked where one thing is; else of a place
                drawn.append(draw)
        return drawn

    def features(self, drawn: Sequence[Draw]) -> Rows:
        """Of the newest frame of each window: visual tokens pooled over places, class tokens."""
        rows = []
        for _, episode, numbers in drawn:
            tokens = episode.frames[numbers[-1:]][0].astype(np.float32)
            seen, classes = np.split(tokens, [-self.encoder.class_tokens])
            told = classes[:, : self.encoder.class_dim].ravel()
            rows.append(np.concatenate([seen.mean(0), seen.max(0), told]))
        return np.stack(rows)

    def scaled(self, features: Rows) -> Rows:
        """Each number by its mean and deviation over the training windows."""
        scaled: Rows = (features - self.mean) / self.deviation
        return scaled

    def all_names(self) -> list[str]:
        """Of the training windows."""
        return sorted({sample.answers[0] for sample, _, _ in self.trained})

    def probe(self, known: Sequence[str]) -> float:
        """Share right of a probe that was trained on windows of these names."""
        rows = [n for n, (sample, _, _) in enumerate(self.trained) if sample.answers[0] in known]
        targets = self.names([self.trained[row][0].answers[0] for row in rows])
        predicted = Ridge(RIDGE).fit(self.seen[rows], targets).predict(self.shown)
        return self.names.right(predicted, self.choices)

    def shipped(self, engine: Engine) -> float:
        """Share right of the shipped weights, of the same windows."""
        right = 0
        for (_, episode, numbers), choices in zip(self.asked, self.choices, strict=True):
            predicted = engine.predict(list(episode.frames[numbers]), [LABEL_QUERY])[0]
            right += engine.rank(predicted, choices).best == 0
        return right / len(self.asked)


class Photographs:
    """Everyday photographs, and the X-Encoder's head with a part of its classes."""

    def __init__(self, data: Path, model: VLJEPA, names: Names) -> None:
        self.data, self.names, self.encoder = data, names, model.x_encoder
        photographs = load_photographs(data / "sources")
        self.choices = draw_choices(photographs, WAYS)
        self.frames = np.stack([to_input_size(p.rgb, model.image_size) for p in photographs])
        self.classes = names(self.all_names())

    def all_names(self) -> list[str]:
        """Of ImageNet's classes."""
        return self.encoder.class_names()

    def probe(self, known: Sequence[str]) -> float:
        """Share right of the head's posterior over these classes."""
        kept = np.isin(self.all_names(), known)[:, None] * self.classes
        return self.names.right(_class_tokens(self.encoder, self.frames, kept), self.choices)

    def shipped(self, engine: Engine) -> float:
        """Share right of the shipped weights, as `vljepa eval` finds it."""
        return Evaluation(engine, self.data, "test").photographs()[0].value


def _class_tokens(encoder: XEncoder, frames: NDArray[np.uint8], classes: Rows) -> Rows:
    """(F, D) class tokens of whole frames, of classes with these embeddings (K, D)."""
    encoder.class_embeddings.copy_(torch.from_numpy(classes))
    parts: Sequence[Tensor] = torch.from_numpy(frames).permute(0, 3, 1, 2).split(4)
    tokens = torch.cat([encoder.encode_frames(part)[:, -encoder.class_tokens] for part in parts])
    rows: Rows = tokens[:, : encoder.class_dim].numpy()
    return rows


def measure(asked: CutOuts | Photographs, engine: Engine, goal: float) -> dict[str, Any]:
    """Shares right with a few names, and with more."""
    names, random = asked.all_names(), np.random.default_rng(0)
    points = []
    for parts in (16, 8, 4, 2, 1):
        count, shares = len(names) // parts, []
        for _ in range(REPEATS if parts > 1 else 1):
            known = [names[n] for n in random.permutation(len(names))[:count]]
            shares.append(asked.probe(known))
        points.append({"names": count, "shares": shares, "mean": float(np.mean(shares))})
    slope, start = np.polyfit(
        np.log2([p["names"] for p in points]), [p["mean"] for p in points], 1
    )
    return {
        "points": points,
        "trials": len(asked.choices),
        "gain_by_doubling": float(slope),
        "goal": goal,
        "names_for_the_goal": float(2 ** ((goal - start) / slope)),
        "shipped": asked.shipped(engine),
    }


def draw(measured: dict[str, dict[str, Any]], path: Path) -> None:
    """One picture of both."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    figure.suptitle("Naming among ten, by how many names there were to learn from")
    for axes, (title, result) in zip(
        figure.subplots(1, 2, sharey=True), measured.items(), strict=True
    ):
        counts = [point["names"] for point in result["points"]]
        for point in result["points"]:
            axes.plot(
                [point["names"]] * len(point["shares"]), point["shares"], ".", color="#bbbbbb"
            )
        means = [point["mean"] for point in result["points"]]
        axes.plot(
            counts, means, "o-", color="#1f77b4", label="frozen encoders, a part of the names"
        )
        ends = np.array([counts[0], result["names_for_the_goal"]])
        line = result["goal"] + result["gain_by_doubling"] * np.log2(ends / ends[1])
        axes.plot(ends, line, ":", color="#1f77b4", label="its line, as far as the goal")
        axes.axhline(result["goal"], color="#2ca02c", label="goal")
        axes.axhline(result["shipped"], color="#ff7f0e", label="shipped weights")
        axes.axhline(1 / WAYS, color="red", linestyle="dotted", label="chance")
        axes.set(title=title, xscale="log", xlabel="names to learn from", ylim=(0, 1))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("share right")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.savefig(path, dpi=110)


@torch.inference_mode()
def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of `vljepa data`")
    parser.add_argument("--out", type=Path, help="where to write the figures, JSON")
    parser.add_argument("--picture", type=Path, help="where to draw them, PNG")
    options = parser.parse_args()
    model = VLJEPA(VLJEPAConfig()).eval()
    model.load_pretrained()
    names, engine = Names(model), Engine.load()
    measured = {
        "cut-outs never seen": measure(CutOuts(options.data, model, names), engine, 0.85),
        "everyday photographs": measure(Photographs(options.data, model, names), engine, 0.9),
    }
    report("known_names", measured, options.out)
    if options.picture:
        draw(measured, options.picture)


if __name__ == "__main__":
    main()
