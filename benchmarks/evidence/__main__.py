"""Measures the paper's claims one after the other, draws them and writes docs/evidence.md.

    make evidence            # all of it
    make evidence QUICK=1    # a subset, below runs/; the documents stay as they are

A claim that is measured is kept below runs/ and not measured again with the same weights, code and
the same defaults of the gate and the decoder.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path

from results import machine
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from evidence.document import fill, table
from evidence.kept import code, digest, nodes_code
from evidence.paper import beside, opening
from evidence.store import Entry, Store, made_by, ran_as, write_whole
from vljepa_ros.runtime import FASTEST, Engine
from vljepa_ros.runtime.describer import RECALL_WITHIN
from vljepa_ros.streaming import GateConfig

ROOT = Path(__file__).resolve().parents[2]
# In this order: replay plays the streams of selection, tasks asks the models of prediction.
CLAIMS = {
    "prediction": "1. Embedding prediction against token prediction",
    "selection": "2. Selective decoding",
    "replay": "2. The same through the nodes",
    "tasks": "3. One embedding space, many tasks",
    "paraphrases": "4. Paraphrases land together",
}
# What ran for a claim where it is not only the shipped weights in the nodes' engine, {}.
RAN = {
    "prediction": "both arms, trained for it, in torch",
    "tasks": "{}; tokens of frames, and the models of claim 1, in torch fp32",
    "paraphrases": "{}; MiniLM as published, in torch fp32",
}
DOCUMENTS = ("docs/evidence.md", "README.md")


def measure(store: Store, name: str, data: Path, progress: Progress) -> Entry:
    """The kept result of a claim, or a new one, with where and when it was measured."""
    if entry := store.load(name):
        progress.console.print(f"{name}: kept of {entry['date']}, {store.path(name)}")
        return entry
    source = store.work("selection") if name == "replay" else data
    shown, begun = set(progress.task_ids), time.monotonic()
    try:
        result = import_module(f"evidence.{name}").run(
            source, store.work(name), store.quick, progress
        )
    finally:
        for task in set(progress.task_ids) - shown:
            progress.remove_task(task)
        minutes = store.spend(name, time.monotonic() - begun) / 60
    facts = {"model_id": store.model_id, "quick": store.quick, "minutes": minutes, **machine()}
    entry = {**facts, "result": result}
    store.save(name, entry)
    return entry


def present(name: str, entry: Entry, pictures: Path) -> dict[str, str]:
    """Draw a claim into the folder `pictures`; its blocks of the documents."""
    module, result = import_module(f"evidence.{name}"), entry["result"]
    text = module.markdown(result)
    if not hasattr(module, "draw"):
        return {name: text}
    picture = f"evidence-{name}.png"
    pictures.mkdir(parents=True, exist_ok=True)
    module.draw(result, pictures / picture)
    blocks = {name: f"![{CLAIMS[name]}]({picture})\n\n{text}"}
    if name == "selection":
        link = f"[![{CLAIMS[name]}](docs/{picture})](docs/evidence.md)"
        blocks["opening"] = f"{link}\n\n{opening(result)}"
    return blocks


def measured_on(entries: dict[str, Entry]) -> str:
    """The table of what ran, the machine, the day and the minutes of each result."""
    head = ("claim", "what ran", "date", "processor", "cores", "minutes")
    rows = [
        (
            CLAIMS[name],
            _ran(name, e["model_id"]),
            *(e[fact] for fact in ("date", "processor", "cores")),
            f"{e['minutes']:.0f}" if "minutes" in e else "",
        )
        for name, e in entries.items()
    ]
    return table(head, rows)


def _ran(name: str, model_id: str) -> str:
    return RAN.get(name, "{}").format(f"`{model_id}`")


def collect(
    store: Store, names: Collection[str], data: Path, pictures: Path
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Measure some claims and present all that have a result; one that fails ends no other.

    Returns:
        The results, and the blocks of the documents; of what failed, neither.
    """
    entries: dict[str, Entry] = {}
    blocks: dict[str, str] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        claims = progress.add_task("claims", total=len(names))
        for name, title in CLAIMS.items():
            try:
                if name in names:
                    progress.update(claims, description=title)
                    entry = measure(store, name, data, progress)
                    progress.advance(claims)
                elif not (entry := store.load(name)):
                    continue
                blocks |= present(name, entry, pictures)
                entries[name] = entry
            except Exception:
                progress.console.print(f"{name} failed:")
                progress.console.print_exception()
    return entries, blocks


def write(entries: dict[str, Entry], blocks: dict[str, str], out: Path) -> None:
    """Bring the documents and docs/evidence.json up to date.

    Args:
        entries: results by claim; those of other claims that stand there already stay.
        blocks: of the documents, by name.
        out: folder to write to: the repository, or any other.
    """
    figures = out / "docs" / "evidence.json"
    known = json.loads(figures.read_text("utf-8")) if figures.is_file() else {}
    everything = {n: e for n in CLAIMS if (e := entries.get(n) or known.get(n))}
    write_whole(figures, json.dumps(everything, indent=1) + "\n")
    missing = dict.fromkeys(CLAIMS.keys() - everything.keys(), "Not measured yet.")
    blocks = {**blocks, **missing, "machine": measured_on(everything), "paper": beside(everything)}
    if "selection" in missing:
        blocks["opening"] = missing["selection"]
    for document in DOCUMENTS:
        text = (ROOT / document).read_text("utf-8")
        own = {name: block for name, block in blocks.items() if f"<!-- {name}:begin" in text}
        write_whole(out / document, fill(text, own))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all claims, or some; 1 if one failed, after the others."""
    parser = argparse.ArgumentParser(prog="evidence", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CLAIMS)}")
    parser.add_argument("--quick", action="store_true", help="a subset; documents stay untouched")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of `vljepa data`")
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"), help="what is kept")
    options = parser.parse_args(arguments)
    names = options.names or list(CLAIMS)
    if unknown := set(names) - CLAIMS.keys():
        parser.error(f"no claim {', '.join(sorted(unknown))}; there are {', '.join(CLAIMS)}")
    info = Engine.load(config=FASTEST).info
    defaults = digest(GateConfig(), RECALL_WITHIN, made_by(info), code())
    work = options.work.resolve()
    store = Store(work, ran_as(info), defaults, code(), nodes_code(), options.quick)
    out = store.folder if options.quick else ROOT
    entries, blocks = collect(store, names, options.data.resolve(), out / "docs")
    write(entries, blocks, out)
    for name in entries:
        print(f"\n# {CLAIMS[name]}\n\n{blocks[name]}")
    print(f"\nwritten to {out / 'docs'}")
    failed = [name for name in names if name not in entries]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
