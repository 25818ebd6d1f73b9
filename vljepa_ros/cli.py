"""The console command `vljepa`, which needs no ROS.

It fetches, describes, imports and exports models, makes data, trains and evaluates.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_ros.errors import CheckpointError, EngineError, VljepaError
from vljepa_ros.model.config import VLJEPAConfig
from vljepa_ros.runtime.backend import BACKENDS, PRECISIONS, EngineConfig

if TYPE_CHECKING:
    from rich.table import Table

    from vljepa_ros.training.metrics import Metric

_PREFIXES = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(":"))
_INSTALLED = [Path(prefix) / "share" / "vljepa_ros" for prefix in _PREFIXES]
# Of the checkout; pip installs none, but colcon does.
CONFIG_FOLDERS = [
    root / "config" / "models" for root in (Path(__file__).resolve().parents[1], *_INSTALLED)
]
_MODEL_HELP = "shipped name, folder of a checkpoint, or file of config/models/ or its name"
_DATA_HELP = "folder of `vljepa data` (default: data)"


def main(args: Sequence[str] | None = None) -> int:
    """Run a subcommand; an error that the user can mend is one line and exit code 1.

    Ctrl-C ends it with 130, as a shell tells it.
    """
    options = _parser().parse_args(args)
    try:
        options.run(options)
    except VljepaError as error:
        print(f"vljepa: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        hint = "install this package with its extras: pip install '.[train]' in its folder"
        print(f"vljepa: {error}; {hint}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"vljepa: a file cannot be read or written: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("vljepa: stopped; `data` and `train` go on when started again", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vljepa", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="fetch the sources, render and encode the episodes")
    data.add_argument("--data", type=Path, default=Path("data"), help="folder (default: data)")
    data.add_argument(
        "--tabletop",
        type=int,
        default=1000,
        help="simulated training episodes (default: %(default)s)",
    )
    data.add_argument(
        "--composites",
        type=int,
        default=3500,
        help="composited training episodes (default: %(default)s)",
    )
    data.add_argument(
        "--moments",
        type=int,
        default=14000,
        help="short simulated training episodes of one event each (default: %(default)s)",
    )
    data.add_argument(
        "--draw-nothing", action="store_true", help="only encode the shards that lie in the folder"
    )
    data.add_argument("--model", default="vljepa-tiny", help=f"to encode for: {_MODEL_HELP}")
    data.add_argument("--seed", type=int, default=0, help="of all episodes (default: 0)")
    data.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)"
    )
    data.set_defaults(run=_data)

    train = commands.add_parser("train", help="train a model, or go on with a run")
    train.add_argument("--config", type=Path, required=True, help="YAML of config/models/")
    train.add_argument("--data", type=Path, default=Path("data"), help=_DATA_HELP)
    train.add_argument(
        "--run", type=Path, dest="run_folder", help="folder (default: runs/ and the model's name)"
    )
    train.add_argument(
        "--from",
        dest="start",
        help="shipped name or folder of a model to train further (default: published weights)",
    )
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("eval", help="measure a model on held-out episodes")
    evaluate.add_argument("--model", default="vljepa-tiny", help="shipped name or folder")
    evaluate.add_argument("--data", type=Path, default=Path("data"), help=_DATA_HELP)
    evaluate.add_argument(
        "--split", choices=("val", "test"), default="test", help="(default: test)"
    )
    evaluate.add_argument(
        "--backend", choices=BACKENDS, default="torch", help="(default: torch; nodes: auto)"
    )
    evaluate.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="(default: fp32; nodes: auto)"
    )
    evaluate.add_argument("--device", default="cpu", help="cpu or cuda:0 (default: cpu)")
    evaluate.set_defaults(run=_evaluate)
    info = commands.add_parser("model-info", help="count a model's parameters, without weights")
    info.add_argument("model", help=_MODEL_HELP)
    info.set_defaults(run=_model_info)

    fetch = commands.add_parser("fetch", help="download a model's published weights")
    fetch.add_argument("model", help=f"{_MODEL_HELP}; or a repository of the hub")
    fetch.set_defaults(run=_fetch)
    export = commands.add_parser("export", help="export a model for ONNX Runtime")
    export.add_argument("model", nargs="?", default="vljepa-tiny", help="shipped name or folder")
    export.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), default="int8", help="(default: int8)"
    )
    export.add_argument("--check", action="store_true", help="compare with torch, part by part")
    export.set_defaults(run=_export)
    convert = commands.add_parser("import", help="convert a checkpoint of open-vljepa")
    convert.add_argument("file", type=Path, help="best.pt of cun-bjy/open-vljepa")
    convert.add_argument("--out", type=Path, required=True, help="folder to make")
    convert.set_defaults(run=_import)
    return parser


def _data(options: argparse.Namespace) -> None:
    from vljepa_ros.training.prepare import SOURCES, prepare

    training = {s: 0 if options.draw_nothing else getattr(options, s) for s in SOURCES}
    prepare(options.data, training, _recipe(options.model), options.seed, options.workers)


def _train(options: argparse.Namespace) -> None:
    from vljepa_ros.runtime.engine import find_model
    from vljepa_ros.training.config import TrainConfig
    from vljepa_ros.training.loop import train

    config = TrainConfig.from_yaml(options.config)
    run = options.run_folder or Path("runs") / config.model.name
    start = None if options.start is None else find_model(options.start)
    train(config, options.data, run, start)
    print(f"The model is in {run / 'model'}")


def _evaluate(options: argparse.Namespace) -> None:
    from rich.console import Console

    from vljepa_ros.runtime import Engine
    from vljepa_ros.runtime.engine import find_model
    from vljepa_ros.streaming.gate import GateConfig
    from vljepa_ros.training.evaluate import Evaluation, own_tokens

    wanted = EngineConfig(options.backend, options.device, options.precision)
    engine = Engine.load(options.model, wanted)
    info = engine.info
    # The stored tokens are those of fp32: what is to be measured in another way makes its own.
    in_fp32 = (info.backend, info.precision) == ("torch", "fp32")
    storable = in_fp32 and info.frame_tokens is not None
    tokens = own_tokens(find_model(options.model)) if storable else None
    evaluation = Evaluation(engine, options.data, options.split, fingerprint=tokens)
    if not evaluation.sources:
        raise VljepaError(f"no {options.split} episodes in {options.data}; run `vljepa data`")
    console = Console()
    measured = f"{info.model_id}, {info.backend} in {info.precision} on {info.device}"
    title = f"{measured}, on held-out episodes ({options.split})"
    blind = evaluation.blinded().run()
    console.print(_metrics_table(title, evaluation.run(), blind))
    if info.fallback:
        console.print(info.fallback, markup=False)
    count = evaluation.decodes(GateConfig())
    console.print(
        f"Decodes: {count.decoded} with the gate, of which {count.first} open a stream, and "
        f"{count.frames} on every frame; true events: {count.events}"
    )


def _metrics_table(title: str, metrics: Sequence[Metric], blind: Sequence[Metric]) -> Table:
    """Metrics beside what the same model reaches without pictures, and chance."""
    from rich.table import Table

    caption = "95%: as if trials were independent; several are of one episode"
    table = Table(title=title, caption=caption)
    for column in ("metric", "value", "95%", "blind", "chance", "trials"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    floors = {metric.name: f"{metric.value:.3f}" for metric in blind}
    for metric in metrics:
        table.add_row(
            metric.name,
            f"{metric.value:.3f}",
            "{:.2f} to {:.2f}".format(*metric.interval),
            floors.get(metric.name, ""),
            f"{metric.chance:.3f}",
            str(metric.trials),
        )
    return table


def _model_info(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from vljepa_ros.model.info import describe

    config = _model_config(options.model)
    table = Table(title=config.name)
    for column in ("part", "kind", "parameters", "trained"):
        table.add_column(column, justify="left" if column in ("part", "kind") else "right")
    for part in describe(config):
        counts = (f"{count / 1e6:,.1f} M" for count in (part.parameters, part.trained))
        table.add_row(part.name.replace("_", "-"), part.kind, *counts)
    Console().print(table)


def _fetch(options: argparse.Namespace) -> None:
    from vljepa_ros.model.info import published_weights
    from vljepa_ros.model.weights import fetch_weights

    alone = options.model.count("/") == 1 and not Path(options.model).exists()
    names = [options.model] if alone else published_weights(_model_config(options.model))
    for weights in names:
        print(f"{weights}: {fetch_weights(weights)}")
    if not names:
        print(f"{options.model}: there is nothing to fetch, it is made of installed packages")


def _export(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from vljepa_ros.runtime.choice import prepare
    from vljepa_ros.runtime.engine import find_model
    from vljepa_ros.runtime.onnx_backend import OnnxBackend
    from vljepa_ros.runtime.parity import drift, read_reference, too_far

    folder = prepare(find_model(options.model), options.precision)
    print(f"The graphs are in {folder}")
    if not options.check:
        return
    config = EngineConfig(backend="onnx", precision=options.precision)
    backend, reference = OnnxBackend(folder, config), read_reference(folder)
    table = Table(title=f"{backend.info.model_id} in {options.precision} against torch in fp32")
    table.add_column("part")
    table.add_column("lowest cosine", justify="right")
    cosines = drift(backend, reference)
    for part, cosine in cosines.items():
        table.add_row(part.replace("_", "-"), f"{cosine:.4f}")
    Console().print(table)
    if fault := too_far(backend.info, cosines):
        raise EngineError(fault)


def _import(options: argparse.Namespace) -> None:
    from vljepa_ros.model.importing import import_open_vljepa

    import_open_vljepa(options.file, options.out)
    print(f"The model is in {options.out}")


def _model_config(model: str) -> VLJEPAConfig:
    """Configuration of a shipped model as it was trained; of others as `_recipe`."""
    from vljepa_ros.runtime.engine import WEIGHTS_FOLDER

    shipped = WEIGHTS_FOLDER / model
    return _recipe(str(shipped) if model and shipped.is_dir() else model)


def _recipe(model: str) -> VLJEPAConfig:
    """Configuration of a file, also by its name in config/models/, or of a checkpoint."""
    from vljepa_ros.model.checkpoint import read_config
    from vljepa_ros.runtime.engine import find_model
    from vljepa_ros.training.config import read_yaml

    for path in (Path(model), *(folder / f"{model}.yaml" for folder in CONFIG_FOLDERS)):
        if path.suffix == ".yaml" and path.is_file():
            return VLJEPAConfig.from_dict(read_yaml(path)["model"])
    try:
        return read_config(find_model(model))
    except CheckpointError as error:
        if "/" in model or Path(model).exists():
            raise
        files = [file.stem for folder in CONFIG_FOLDERS for file in folder.glob("*.yaml")]
        raise CheckpointError(f"{error}; config/models/ has {sorted({*files})}") from error


if __name__ == "__main__":
    sys.exit(main())
