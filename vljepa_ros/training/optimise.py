"""Runs one stage of training with Hugging Face Accelerate: one CPU, or many GPUs and nodes.

Started by `accelerate launch`, the same code runs in several processes, each with its part of
every batch.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, set_seed
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from vljepa_ros.errors import CheckpointError, DivergedError, InputError
from vljepa_ros.training.config import StageConfig, TrainConfig
from vljepa_ros.training.dataset import Batch, Sampler

_LOG_EVERY = 20  # steps
_SHARING = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # as x86 and Arm call it
TRAINED_FILE = "trained.safetensors"


def knows_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies bf16; others emulate it, many times slower than fp32.

    Args:
        cpuinfo: what Linux tells of the processor; without it the answer is no.
    """
    told = set(cpuinfo.read_text("utf-8").split()) if cpuinfo.is_file() else set()
    return not told.isdisjoint(_BF16)


def check_sharing(size: int, parts: int) -> None:
    """Look whether processes can share batches of a size.

    Raises:
        InputError: they cannot do so evenly, or one would have a single sample.
    """
    if size % parts:
        raise InputError(f"batch_size is {size}, which {parts} processes cannot share evenly")
    if size < 2 * parts:
        raise InputError(f"batch_size is {size}; give at least 2 for each of {parts} processes")


class _Batches(Dataset[Batch]):
    """This process's part of every batch of a stage, by its number."""

    def __init__(self, sampler: Sampler, size: int, part: int, parts: int) -> None:
        check_sharing(size, parts)
        self.sampler, self.size = sampler, size
        self.part, self.parts = part, parts

    def __getitem__(self, number: int) -> Batch:
        return self.sampler.batch(number, self.size, self.part, self.parts)


def run_stage(
    name: str,
    step: nn.Module,
    groups: list[dict[str, Any]],
    sampler: Sampler,
    stage: StageConfig,
    config: TrainConfig,
    run: Path,
    progress: Progress | None = None,
) -> None:
    """Train `step` in place, or go on from the last checkpoint in `run`/`name`.

    Curves go to the same folder, for TensorBoard.

    Args:
        name: of the stage.
        step: module that turns a Batch into its loss.
        groups: of parameters, as torch's optimisers take them.
        sampler: of the batches.
        stage: how long and how fast.
        config: precision, number of reading processes, distance of checkpoints.
        run: folder of the run.
        progress: where to show a bar; None for one of its own.

    Raises:
        InputError: the processes cannot share a batch evenly, or do not work together as
            DistributedDataParallel does it.
        DivergedError: a gradient is not finite.
        CheckpointError: a checkpoint does not fit.
    """
    accelerator = _accelerator(step, stage, config, run)
    accelerator.free_memory()  # or the stage before would keep its weights beside this one's
    set_seed(config.seed, device_specific=True)  # so that it does not matter what ran before
    accelerator.init_trackers(name)
    decayed = [part for group in groups for part in _by_decay(group, stage.weight_decay)]
    optimizer: Optimizer = AdamW(decayed, fused=True)
    schedule = LambdaLR(optimizer, lambda done: _rate(done, stage))
    rates = schedule.base_lrs
    step.train()
    shared, optimizer, scheduler = accelerator.prepare(step, optimizer, schedule)
    first = _resume(accelerator, run / name)
    # A checkpoint brings the rates that it was made with, and the configuration may have others.
    schedule.base_lrs = rates
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group.update(initial_lr=rate, lr=rate * _rate(first, stage))
    batches = _Batches(
        sampler, stage.batch_size, accelerator.process_index, accelerator.num_processes
    )
    numbers = range(first * stage.accumulate, stage.steps * stage.accumulate)
    # With a generator of its own, or it would draw from the one that was just restored.
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=config.workers,
        generator=torch.Generator(),
        pin_memory=accelerator.device.type == "cuda",
    )
    for number, batch in zip(
        numbers, _bar(name, loader, numbers, accelerator, progress), strict=True
    ):
        done = (number + 1) // stage.accumulate
        try:
            loss = _learn(accelerator, shared, optimizer, batch)
        except FloatingPointError as error:
            raise DivergedError(
                f"{name}: the gradient of step {done} is not finite; lower the learning rate or "
                f"take fp32, and go on from the last checkpoint in {run / name}"
            ) from error
        if not accelerator.sync_gradients:
            continue
        if done % _LOG_EVERY == 0 or done == stage.steps:
            rate = scheduler.get_last_lr()[0]
            accelerator.log({"loss": loss.item(), "learning_rate": rate}, step=done)
        scheduler.step()
        if done % config.save_every == 0 or done == stage.steps:
            _save(accelerator, run / name, done)
    for tracker in accelerator.trackers:
        tracker.finish()


def _accelerator(
    step: nn.Module, stage: StageConfig, config: TrainConfig, run: Path
) -> Accelerator:
    """What shares the work; of the step, it saves and loads what is trained.

    Raises:
        InputError: the processes do not work together as DistributedDataParallel does it.
    """
    accelerator = Accelerator(
        mixed_precision="bf16" if config.precision == "bf16" else "no",
        gradient_accumulation_steps=stage.accumulate,
        step_scheduler_with_optimizer=False,
        log_with="tensorboard",
        project_dir=run,
    )
    if accelerator.distributed_type not in _SHARING:
        raise InputError(
            f"{accelerator.distributed_type} cannot share this training; choose several CPUs or "
            "GPUs, without more, in `accelerate config`"
        )
    accelerator.register_save_state_pre_hook(partial(_write_trained, step))
    accelerator.register_load_state_pre_hook(partial(_read_trained, step))
    return accelerator


def _learn(
    accelerator: Accelerator, shared: nn.Module, optimizer: Optimizer, batch: Batch
) -> Tensor:
    """The loss of a batch, whose gradient the optimiser takes when a step is full.

    Raises:
        FloatingPointError: the gradient of the step is not finite.
    """
    with accelerator.accumulate(shared), _attention(accelerator.device.type):
        loss: Tensor = shared(batch)
        accelerator.backward(loss)
        if accelerator.sync_gradients:
            norm = accelerator.clip_grad_norm_(shared.parameters(), 1.0)
            if not torch.isfinite(norm):  # the same in all processes
                raise FloatingPointError
        optimizer.step()
        optimizer.zero_grad()
    return loss


def _attention(device: str) -> AbstractContextManager[None]:
    """On a CPU torch's fused attention goes backward in twice the time of the plain one."""
    return sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()


def _rate(done: int, stage: StageConfig) -> float:
    """Share of the peak learning rate after `done` steps."""
    warm = min(1.0, (done + 1) / max(1, stage.warmup_steps))
    if not stage.decay:
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, done / stage.steps)))


def _by_decay(group: dict[str, Any], decay: float) -> list[dict[str, Any]]:
    """A group in two: weight decay is for matrices, not for norms, biases and temperatures."""
    matrices = [p for p in group["params"] if p.ndim > 1]
    others = [p for p in group["params"] if p.ndim < 2]
    parts = ((matrices, decay), (others, 0.0))
    return [{**group, "params": some, "weight_decay": rate} for some, rate in parts if some]


def _trained(step: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in step.named_parameters() if p.requires_grad}


def _write_trained(
    step: nn.Module, models: list[nn.Module], states: list[dict[str, Tensor]], folder: str
) -> None:
    """Save what is trained, whatever it is wrapped in; a frozen X-Encoder is most of a model."""
    if PartialState().is_main_process:
        save_file(_trained(step), Path(folder) / TRAINED_FILE)
    states.clear()


def _read_trained(step: nn.Module, models: list[nn.Module], folder: str) -> None:
    state = load_file(Path(folder) / TRAINED_FILE)
    if state.keys() != _trained(step).keys():
        raise CheckpointError(
            f"{folder} is of another model; give another folder for this run, or delete that one"
        )
    step.load_state_dict(state, strict=False)
    models.clear()


def _save(accelerator: Accelerator, folder: Path, done: int) -> None:
    """Write a checkpoint that carries its name only when it is whole; drop the one before."""
    part = folder / "part"
    accelerator.save_state(str(part))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        before = list(folder.glob("step-*"))
        part.rename(folder / f"step-{done:07d}")
        for old in before:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def _resume(accelerator: Accelerator, folder: Path) -> int:
    """Load the newest checkpoint, if there is one; the steps done."""
    found = sorted(folder.glob("step-*"))
    if not found:
        return 0
    accelerator.load_state(str(found[-1]))
    return int(found[-1].name.removeprefix("step-"))


def _bar(
    name: str,
    batches: Iterable[Batch],
    numbers: range,
    accelerator: Accelerator,
    progress: Progress | None,
) -> Iterator[Batch]:
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    own = Progress(*columns, disable=not accelerator.is_main_process)
    with nullcontext(progress) if progress is not None else own as shown:
        task = shown.add_task(name, total=numbers.stop, completed=numbers.start)
        for batch in batches:
            yield batch
            shown.advance(task)
        if progress is not None:
            progress.remove_task(task)
