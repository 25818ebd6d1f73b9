"""The console command `vljepa`: make data, train and evaluate, without ROS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from vljepa_ros.errors import VljepaError

_SPLITS = ("val", "test", "train")  # the small ones first
_HELD_OUT = {"val": 50, "test": 200}  # episodes of each source


def main(args: Sequence[str] | None = None) -> int:
    """Run a subcommand; an error that the user can mend is one line and exit code 1."""
    options = _parser().parse_args(args)
    try:
        options.run(options)
    except VljepaError as error:
        print(f"vljepa: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vljepa", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="fetch the sources, render and encode the episodes")
    data.add_argument("--data", type=Path, default=Path("data"), help="folder (default: data)")
    data.add_argument("--tabletop", type=int, default=2400, help="training episodes simulated")
    data.add_argument("--composites", type=int, default=1000, help="training episodes composited")
    data.add_argument("--seed", type=int, default=0)
    data.add_argument("--workers", type=int, default=2, help="processes")
    data.set_defaults(run=_data)

    train = commands.add_parser("train", help="train a model, or go on with a run")
    train.add_argument("--config", type=Path, required=True, help="YAML of config/models/")
    train.add_argument("--data", type=Path, default=Path("data"))
    train.add_argument("--run", type=Path, default=Path("runs/vljepa-tiny"), dest="run_folder")
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("eval", help="measure a model on held-out episodes")
    evaluate.add_argument("--model", default="vljepa-tiny", help="shipped name or folder")
    evaluate.add_argument("--data", type=Path, default=Path("data"))
    evaluate.add_argument("--split", choices=("val", "test"), default="test")
    evaluate.set_defaults(run=_evaluate)
    return parser


def _data(options: argparse.Namespace) -> None:
    from rich.progress import Progress

    from vljepa_ros.training import composites, tabletop
    from vljepa_ros.training.features import encode_missing

    with Progress() as progress:

        def bar(title: str) -> Callable[[int, int], None]:
            task = progress.add_task(title, total=None)

            def update(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            return update

        for split in _SPLITS:
            for source, generate, count in (
                ("tabletop", tabletop.generate, options.tabletop),
                ("composites", composites.generate, options.composites),
            ):
                episodes = count if split == "train" else _HELD_OUT[split]
                title = f"{source}: {split}"
                generate(
                    options.data,
                    split,
                    episodes,
                    options.seed,
                    options.workers,
                    bar(f"{title} episodes"),
                )
                encode_missing(options.data, (source,), split, bar(f"{title} tokens"))


def _train(options: argparse.Namespace) -> None:
    from vljepa_ros.training.config import TrainConfig
    from vljepa_ros.training.loop import train

    train(TrainConfig.from_yaml(options.config), options.data, options.run_folder)
    print(f"The model is in {options.run_folder / 'model'}")


def _evaluate(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from vljepa_ros.runtime import Engine
    from vljepa_ros.streaming.gate import GateConfig
    from vljepa_ros.training.evaluate import Evaluation

    engine = Engine.load(options.model)
    evaluation = Evaluation(engine, options.data, options.split)
    if not evaluation.sources:
        raise VljepaError(f"no {options.split} episodes in {options.data}; run `vljepa data`")
    table = Table(title=f"{engine.info.model_id} on held-out episodes ({options.split})")
    for column in ("metric", "value", "blind", "chance", "trials"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    floors = Evaluation(engine, options.data, options.split, blind=True).run()
    for metric, floor in zip(evaluation.run(), floors, strict=True):
        shares = (f"{share:.3f}" for share in (metric.value, floor.value, metric.chance))
        table.add_row(metric.name, *shares, str(metric.trials))
    console = Console()
    console.print(table)
    count = evaluation.decodes(GateConfig())
    console.print(
        f"Decodes: {count.decoded} with the gate, of which {count.first} open a stream, and "
        f"{count.frames} on every frame; true events: {count.events}"
    )


if __name__ == "__main__":
    sys.exit(main())
