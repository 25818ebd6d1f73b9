"""Tells claim 1: a picture, and the tables of docs/evidence.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evidence.document import table
from evidence.questions import METRICS

_NAMES = {"vl-jepa": "VL-JEPA", "vlm": "token-space VLM"}
_COLORS = {"vl-jepa": "tab:blue", "vlm": "tab:orange"}
_TITLES = {
    "cider": "Captions: CIDEr",
    "top1": "Naming, open vocabulary: top-1, %",
    "top5": "Naming, open vocabulary: top-5, %",
    "vqa": "Questions with candidates: right, %",
}
_FACTORS = {"cider": 1.0, "top1": 100.0, "top5": 100.0, "vqa": 100.0}
# Parts of figure 3 of the paper, and the shades that they are drawn in.
_PARTS = {
    "query": ("query embedding", "0.75"),
    "x-encoder": ("X-Encoder", "0.55"),
    "predictor": ("predictor", "tab:blue"),
    "decoding": ("text decoding", "lightskyblue"),
    "language model": ("language model", "tab:orange"),
}
_EMBEDDING = ("query", "x-encoder", "predictor")  # all that VL-JEPA needs while it only watches


def draw(result: dict[str, Any], path: Path) -> None:
    """Curves side by side with the band of the seeds, parameters and costs, as one PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(15, 8.5), constrained_layout=True)
    shares = result["parameters"]["vl-jepa"] / result["parameters"]["vlm"]
    seeds = len(result["settings"]["seeds"])
    figure.suptitle(
        "Predicting the answer's embedding (VL-JEPA) or its words (token-space VLM)?\n"
        "Same frozen X-Encoder, samples, order, batch and schedule; held-out windows; "
        f"VL-JEPA trains {shares:.0%} of the VLM's parameters",
        fontsize=13,
    )
    for axis, metric in zip(axes.flat, METRICS, strict=False):
        _draw_curves(axis, result, metric)
    told = {"title": f"mean of {seeds} seeds; band: lowest to highest", "ncols": 2}
    figure.legend(handles=axes[0, 0].lines[:2], loc="outside lower left", **told)
    _draw_parameters(axes[1, 1], result)
    _draw_costs(axes[1, 2], result)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_curves(axis: Any, result: dict[str, Any], metric: str) -> None:
    for arm, name in _NAMES.items():
        values = _values(result, arm, metric)
        axis.fill_between(
            result["samples"], values.min(0), values.max(0), color=_COLORS[arm], alpha=0.2
        )
        axis.plot(result["samples"], values.mean(0), "o-", color=_COLORS[arm], label=name)
    floor = _FACTORS[metric] * np.mean([c[metric] for c in result["chance"].values()])
    told = "another window's caption" if metric == "cider" else "chance"
    axis.axhline(floor, color="0.4", linestyle=":")
    axis.annotate(told, (result["samples"][0], floor), color="0.4", va="bottom", fontsize=8)
    axis.set_xscale("log", base=2)
    axis.set_xticks(result["samples"], [f"{n / 1000:.3g}k" for n in result["samples"]])
    axis.set_xlabel("samples seen in training")
    axis.set_title(_TITLES[metric])
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)


def _draw_parameters(axis: Any, result: dict[str, Any]) -> None:
    for place, arm in enumerate(_NAMES):
        trained = result["parameters"][arm] / 1e6
        axis.barh(place, trained, color=_COLORS[arm])
        axis.annotate(f" {trained:.1f} M", (trained, place), va="center")
    decoder = result["decoder_parameters"] / 1e6
    axis.barh(2, decoder, color="lightskyblue")
    axis.annotate(f" {decoder:.1f} M", (decoder, 2), va="center")
    axis.set_yticks(
        range(3), ["VL-JEPA", "VLM", "Y-Decoder\n(once, beforehand,\nfrom texts alone)"]
    )
    axis.invert_yaxis()
    axis.margins(x=0.2)
    axis.set_title("Trained parameters, millions")


def _draw_costs(axis: Any, result: dict[str, Any]) -> None:
    shown = set()
    for place, arm in enumerate(_NAMES):
        left = 0.0
        for part, (name, color) in _PARTS.items():
            width = result["costs"]["ms"].get(f"{arm}: {part}")
            if width is None:
                continue
            axis.barh(place, width, left=left, color=color, label=None if part in shown else name)
            shown.add(part)
            left += width
        axis.annotate(f" {left:.0f} ms", (left, place), va="center")
    embedded = sum(result["costs"]["ms"][f"vl-jepa: {part}"] for part in _EMBEDDING)
    axis.vlines(embedded, -0.4, 0.4, "black")
    axis.annotate(
        f"{embedded:.0f} ms without text", (embedded, -0.42), ha="right", va="bottom", fontsize=8
    )
    axis.set_yticks(range(2), ["VL-JEPA", "VLM"])
    axis.set_ylim(1.6, -1.2)
    axis.margins(x=0.15)
    axis.legend(loc="upper center", ncols=3, fontsize=8)
    axis.set_title("Time of one window and its caption, ms")


def markdown(result: dict[str, Any]) -> str:
    """The section's tables."""
    parts = [_sizes(result), _curves(result), _ends(result), _sources(result), _costs(result)]
    return "\n\n".join(parts)


def _sizes(result: dict[str, Any]) -> str:
    trained, rates = result["parameters"], result["rates"]
    sizes = result["settings"]
    rows = [
        ("trained parameters", *(f"{trained[arm]:,}" for arm in _NAMES)),
        ("of those of the VLM", *(f"{trained[arm] / trained['vlm']:.2f}" for arm in _NAMES)),
        ("Y-Decoder, trained beforehand on texts alone", f"{result['decoder_parameters']:,}", "0"),
        (
            "with the Y-Decoder, of those of the VLM",
            f"{(trained['vl-jepa'] + result['decoder_parameters']) / trained['vlm']:.2f}",
            "1.00",
        ),
        ("texts that the Y-Decoder saw", f"{result['decoder_texts']:,}", "0"),
        ("samples, batch", *[f"{result['samples'][-1]:,}, {sizes['batch_size']}"] * 2),
        (
            "learning rate, chosen on the validation split",
            *(f"{rates[arm]['chosen']:g}" for arm in _NAMES),
        ),
        (
            "score of each rate there",
            *(
                ", ".join(f"{k}: {v:.3f}" for k, v in rates[arm]["scores"].items()) or "not tried"
                for arm in _NAMES
            ),
        ),
    ]
    return table(["", *_NAMES.values()], rows)


def _curves(result: dict[str, Any]) -> str:
    heads = [
        "samples; mean (lowest to highest of the seeds)",
        *(f"{_TITLES[m]}: {name}" for m in METRICS for name in _NAMES.values()),
    ]
    rows = []
    for place, samples in enumerate(result["samples"]):
        cells = [f"{samples:,}"]
        for metric in METRICS:
            cells += [_band(_values(result, arm, metric)[:, place]) for arm in _NAMES]
        rows.append(cells)
    return table(heads, rows)


def _ends(result: dict[str, Any]) -> str:
    """Differences at the end, paired by seed, with their t-interval."""
    rows = []
    for metric in METRICS:
        ours, theirs = (_values(result, arm, metric)[:, -1] for arm in _NAMES)
        told, verdict = f"{np.mean(ours - theirs):+.1f}", "one seed: not told"
        if len(ours) > 1:
            low, high = stats.ttest_rel(ours, theirs).confidence_interval()
            told += f" ({low:+.1f} to {high:+.1f})"
            verdict = "yes" if low > 0 else "no, the VLM" if high < 0 else "not told apart"
        rows.append((_TITLES[metric], told, verdict))
    return table(["at the end", "VL-JEPA minus VLM (95%, paired by seed)", "VL-JEPA ahead"], rows)


def _sources(result: dict[str, Any]) -> str:
    rows = []
    for source, labels in result["labels"].items():
        for metric in METRICS:
            ends = [
                np.array([c[-1][source][metric] for c in result["curves"][arm]]) * _FACTORS[metric]
                for arm in _NAMES
            ]
            floor = result["chance"][source][metric] * _FACTORS[metric]
            best = f"{result['perfect'][source]:.1f}" if metric == "cider" else "100"
            name = f"{source} ({labels} names): {_TITLES[metric]}"
            rows.append((name, *(_band(values) for values in ends), f"{floor:.1f}", best))
    heads = ["at the end", *_NAMES.values(), "chance, or another window's caption", "perfect"]
    return table(heads, rows)


def _costs(result: dict[str, Any]) -> str:
    costs = result["costs"]
    ms = costs["ms"]
    rows = [(name, f"{value:.2f}") for name, value in ms.items() if not name.endswith("label")]
    seen = sum(ms[f"vl-jepa: {part}"] for part in _EMBEDDING)
    labelled = ms["vl-jepa: query"] + ms["vl-jepa: predictor"] + ms["vl-jepa: label"]
    written = sum(ms[f"vlm: {part}"] for part in ("x-encoder", "language model"))
    rows += [
        ("vl-jepa: without text", f"{seen:.2f}"),
        ("vl-jepa: with text", f"{seen + ms['vl-jepa: decoding']:.2f}"),
        ("vlm: with text", f"{written:.2f}"),
        (f"vl-jepa: best of {costs['labels']} known labels, frames encoded", f"{labelled:.2f}"),
        ("vl-jepa: of that, the comparison with the labels", f"{ms['vl-jepa: label']:.2f}"),
        (f"vlm: best of {costs['labels']} labels, frames encoded", f"{ms['vlm: label']:.2f}"),
    ]
    heads = [
        "part, one window of frames in memory",
        f"ms, median of {costs['rounds']}, {costs['threads']} threads, torch fp32",
    ]
    return table(heads, rows)


def _values(result: dict[str, Any], arm: str, metric: str) -> NDArray[np.float64]:
    """(seeds, checkpoints), the mean over sources, in the units of the picture."""
    curves = result["curves"][arm]
    return _FACTORS[metric] * np.array(
        [[np.mean([scores[metric] for scores in point.values()]) for point in c] for c in curves]
    )


def _band(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.1f} ({values.min():.1f} to {values.max():.1f})"
