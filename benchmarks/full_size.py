"""What the paper's model costs on a GPU: to look, to tell, to learn.

    python benchmarks/full_size.py [--weights FOLDER] [--device cuda:0] [--data data] [--json FILE]

What an embedding, a sentence and a step of training cost hangs on the sizes, not on the numbers:
so that it runs without an account of the hub, the published parts are written by transformers, in
their own formats, with random numbers. FOLDER keeps them, and `vljepa-1.6b.yaml` that names them,
with which `vljepa train` runs too.

Alternatives of watching take turns, call by call; the steps of learning are all in bf16, then all
in fp32, for each size of batch. What is compared are the medians.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import published
import torch
import yaml
from engine import compared, medians
from results import report, row

from vljepa_ros.model import VLJEPA, VLJEPAConfig, save_checkpoint
from vljepa_ros.runtime import Engine, EngineConfig
from vljepa_ros.runtime.engine import STREAM_QUERY
from vljepa_ros.runtime.parity import clip_frames
from vljepa_ros.training.config import TrainConfig
from vljepa_ros.training.dataset import KIND_WEIGHTS, Batch, Sampler
from vljepa_ros.training.features import load_pictures
from vljepa_ros.training.objective import build_objective
from vljepa_ros.training.steps import AlignmentStep

CONFIG = Path(__file__).parent.parent / "config" / "models" / "vljepa-1.6b.yaml"
BATCHES = (16, 64, 128)
STEPS = 5  # timed, of each batch
SENTENCE = "the robot arm lifts the red cube"


def random_weights(folder: Path, source: Path = CONFIG) -> Path:
    """Write the published parts and a configuration with them; the configuration's file."""
    path = folder / source.name
    if path.exists():
        return path
    values = yaml.safe_load(source.read_text("utf-8"))
    config = VLJEPAConfig.from_dict(values["model"])
    torch.manual_seed(0)
    for name, users in published.USERS.items():
        published.write(name, published.make(name, config).bfloat16(), folder / name)
        for user in users:
            values["model"][user]["weights"] = str((folder / name).resolve())
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


def watching(model: Path, device: str) -> list[dict[str, Any]]:
    """A window with a query, and a sentence, in fp32 and in less."""
    engines = {
        f"torch {precision}": Engine.load(
            str(model), EngineConfig(device=device, precision=precision)
        )
        for precision in ("fp32", "bf16")
    }
    info = engines["torch fp32"].info
    seconds = [10.0 + info.window_period * number for number in range(info.window_frames)]
    frames = list(clip_frames(seconds, info.input_width))
    seen = medians(
        {
            name: lambda e=engine: e.predict(list(e.encode_frames(frames)), [STREAM_QUERY])
            for name, engine in engines.items()
        }
    )
    embedding = engines["torch fp32"].encode_text([SENTENCE])
    told = medians({n: lambda e=e: e.decode(embedding) for n, e in engines.items()}, rounds=10)
    rows = [
        compared(what, "torch bf16", "torch fp32", "-", times)
        for what, times in (("a window and a query", seen), ("a longest sentence", told))
    ]
    times = {"looking": seen["torch bf16"], "telling": told["torch bf16"]}
    return [*rows, compared("torch bf16", "looking", "telling", "-", times)]


def learning(config: TrainConfig, data: Path, device: str) -> list[dict[str, Any]]:
    """Questions a second of fine-tuning in bf16, beside fp32, and the memory that it takes."""
    episodes = load_pictures(data, config.sources, "train", config.model.x_encoder.image_size)
    if not episodes:
        print("left out: training, which needs `vljepa data`", file=sys.stderr)
        return []
    wrong = config.hard_negatives
    sampler = Sampler(episodes, config.model.window, KIND_WEIGHTS, seed=0, negatives=wrong)
    model = VLJEPA(config.model)
    model.load_pretrained()
    step = AlignmentStep(model, build_objective("infonce", 0.07, True), wrong).to(device).train()
    optimizer = torch.optim.AdamW([p for p in step.parameters() if p.requires_grad], fused=True)
    rows = []
    for size in BATCHES:
        batches = [sampler.batch(number, size) for number in range(STEPS + 1)]
        try:
            less, most = train_for(step, optimizer, batches, device, True)
            plain, plain_most = train_for(step, optimizer, batches, device, False)
        except torch.cuda.OutOfMemoryError:
            print(f"batches of {size} do not fit into the memory", file=sys.stderr)
            break
        details = {
            "ours_ms": round(1e3 * less),
            "against_ms": round(1e3 * plain),
            "questions_per_second": round(size / less, 1),
            "ours_gib": round(most, 1),
            "against_gib": round(plain_most, 1),
        }
        rows.append(row(f"a step with {size} questions: bf16", "fp32", plain / less, "-", details))
    return rows


def train_for(
    step: AlignmentStep,
    optimizer: torch.optim.Optimizer,
    batches: list[Batch],
    device: str,
    less: bool,
) -> tuple[float, float]:
    """Seconds of a step, but for the reading of frames, and the most memory in GiB."""
    torch.cuda.reset_peak_memory_stats()
    taken = []
    for batch in batches:
        started = time.perf_counter()
        with torch.autocast(torch.device(device).type, torch.bfloat16, less):
            loss = step(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(step.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return sorted(taken[1:])[len(taken[1:]) // 2], torch.cuda.max_memory_allocated() / 2**30


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--data", type=Path, default=Path("data"), help="of `vljepa data`")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--weights", type=Path, help="folder that keeps what is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as new:
        folder = options.weights or Path(new)
        config = TrainConfig.from_yaml(random_weights(folder))
        config = replace(config, sources=("tabletop",))
        model = VLJEPA(config.model)
        model.load_pretrained()
        save_checkpoint(model, folder / "model")
        del model
        rows = watching(folder / "model", options.device)
        torch.cuda.empty_cache()
        rows += learning(config, options.data, options.device)
    name = torch.cuda.get_device_name(options.device)
    report("full_size", [{**line, "device": name} for line in rows], options.json)


if __name__ == "__main__":
    main()
