"""The stages of training: captions without a query, all kinds of queries, then the Y-Decoder."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env, set_seed
from safetensors.torch import load_file
from torch import Tensor, nn

from vljepa_ros.errors import CheckpointError, InputError
from vljepa_ros.model import VLJEPA, save_checkpoint
from vljepa_ros.model.checkpoint import load_checkpoint, read_trained
from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.runtime.exported import weights_sha256
from vljepa_ros.training.class_windows import ClassWindows
from vljepa_ros.training.config import StageConfig, TrainConfig
from vljepa_ros.training.dataset import KIND_WEIGHTS, Sampler
from vljepa_ros.training.features import Episode, load_episodes, load_pictures, to_table
from vljepa_ros.training.objective import build_objective
from vljepa_ros.training.optimise import TRAINED_FILE, check_sharing, knows_bf16, run_stage
from vljepa_ros.training.shards import list_shards
from vljepa_ros.training.steps import AlignmentStep, DecodingStep

_log = logging.getLogger(__name__)
STAGES = ("pretraining", "finetuning", "decoder")
_TOKENS_SHARE = 0.5  # of a GPU's free memory, for the tokens of all episodes
_VOCABULARY_DRAWS = 30_000  # samples whose words the Y-Decoder learns


def train(config: TrainConfig, data: Path, run: Path, start: Path | None = None) -> VLJEPA:
    """Train a model, or go on where an earlier run in the same folder stopped.

    Args:
        config: model and stages.
        data: folder that `vljepa data` filled.
        run: folder for checkpoints, curves and the finished `model/`.
        start: folder of a model whose predictor and Y-Encoder are trained further; None to begin
            with the published weights. The Y-Decoder is always trained anew.

    Raises:
        CheckpointError: weights are missing, damaged or do not fit, or `run` is of another
            configuration.
        InputError: there are no episodes, or the processes cannot share a batch evenly.
    """
    check_stages(config)
    if config.precision == "bf16" and PartialState().device.type == "cpu" and not knows_bf16():
        _log.warning("This processor emulates bf16, slowly; set `precision: fp32` in the recipe")
    _check_sources(config, data)
    run.mkdir(parents=True, exist_ok=True)
    _claim(run, config, data, start)
    set_seed(config.seed)
    model = VLJEPA(config.model)
    model.load_pretrained()
    if start is not None:
        further = read_trained(model, start, ("predictor.", "y_encoder."))
        model.load_state_dict(further, strict=False)
    episodes, tokens = _on_gpu(_episodes(model, config, data), model.x_encoder)
    classes = _classes(model)

    def sampler(stage: str, weights: Mapping[str, float], conditioned: bool = True) -> Sampler:
        seed, shown = f"{config.seed}/{stage}", classes if conditioned else None
        return Sampler(
            episodes, model.window, weights, seed, conditioned, shown, config.hard_negatives
        )

    model.learn_words(training_words(sampler("words", KIND_WEIGHTS)))
    temperature = config.temperature
    if config.pretraining is not None:
        captions = sampler("pretraining", {"caption": 1.0}, False)
        stage = config.pretraining
        model = _align(model, "pretraining", stage, captions, tokens, temperature, config, run)
        temperature = _learned_temperature(run / "pretraining", temperature)
    asked = sampler("finetuning", KIND_WEIGHTS)
    stage = config.finetuning
    model = _align(model, "finetuning", stage, asked, tokens, temperature, config, run)
    step = DecodingStep(model, config.decoder_noise, tokens)
    groups = [{"params": _trained(model.y_decoder), "lr": config.decoder.learning_rate}]
    told = sampler("decoder", KIND_WEIGHTS)
    model = _run("decoder", step, groups, told, config.decoder, config, run)
    # That in the stages' folders may be older.
    model.config = replace(model.config, temperature=config.model.temperature)
    if PartialState().is_main_process:
        save_checkpoint(model, run / "model")
    PartialState().destroy_process_group()
    return model.eval()


def check_stages(config: TrainConfig) -> None:
    """Look, before anything is loaded, whether the processes can share the batches of all stages.

    Raises:
        InputError: they cannot.
    """
    # As Accelerator asks for it later: there is one state a process.
    processes = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).num_processes
    for name in STAGES:
        stage: StageConfig | None = getattr(config, name)
        try:
            if stage is not None:
                check_sharing(stage.batch_size, processes)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error


def _claim(run: Path, config: TrainConfig, data: Path, start: Path | None) -> None:
    """Tie a run's folder to its configuration, but for what may be changed on the way.

    And to the weights it starts from, and to the shards, by which the number of a batch says what
    is in it. Rates and precision may be changed: a run that diverges has to be saved.

    Raises:
        CheckpointError: it is that of another.
    """
    path, free = run / "config.json", {"workers": 0, "save_every": 0, "precision": ""}
    shards = {
        source: [[p.name, p.stat().st_size] for p in list_shards(data, source, "train")]
        for source in config.sources
    }
    begun = None if start is None else weights_sha256(start)
    told = {**asdict(config), **free, "shards": shards, "start": begun}
    wanted = json.loads(json.dumps(told))
    del wanted["model"]["temperature"]  # no part of training
    for stage in filter(None, map(wanted.get, STAGES)):
        del stage["learning_rate"]
    if not path.exists():
        # Each process writes the same, so that none has to wait.
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    known = json.loads(path.read_text(encoding="utf-8"))
    if other := sorted(key for key in {**known, **wanted} if known.get(key) != wanted.get(key)):
        raise CheckpointError(
            f"{run} is a run of another configuration, which differs in {', '.join(other)}; give "
            "another folder with --run, or delete that one"
        )


def _align(
    model: VLJEPA,
    name: str,
    stage: StageConfig,
    sampler: Sampler,
    tokens: Tensor | None,
    temperature: float,
    config: TrainConfig,
    run: Path,
) -> VLJEPA:
    objective = build_objective(config.objective, temperature, config.learn_temperature)
    rate, slow = stage.learning_rate, config.y_encoder_lr_multiplier
    if not slow:
        model.y_encoder.requires_grad_(False)
    groups = [
        {"params": [*model.predictor.parameters(), *objective.parameters()], "lr": rate},
        {"params": _trained(model.y_encoder), "lr": rate * slow},
    ]
    step = AlignmentStep(model, objective, config.hard_negatives, tokens)
    return _run(name, step, groups, sampler, stage, config, run)


def _run(
    name: str,
    step: AlignmentStep | DecodingStep,
    groups: list[dict[str, object]],
    sampler: Sampler,
    stage: StageConfig,
    config: TrainConfig,
    run: Path,
) -> VLJEPA:
    """Run a stage unless it is done; the model as it is then, in every process."""
    folder = run / name / "model"
    if not folder.is_dir():
        run_stage(name, step, groups, sampler, stage, config, run)
        if PartialState().is_main_process:
            # A folder that carries its name is whole.
            part = folder.with_name("model.part")
            save_checkpoint(step.model, part, torch.float32)
            part.rename(folder)
        PartialState().wait_for_everyone()
    return load_checkpoint(folder)


def _learned_temperature(folder: Path, otherwise: float) -> float:
    """Where a stage has brought the temperature to: at small rates the way there is long.

    Raises:
        CheckpointError: its last checkpoint is gone.
    """
    step = max(folder.glob("step-*"), default=None)  # a kill may have left the one before
    if step is None:
        raise CheckpointError(
            f"{folder} has no step-* any more, which knows the temperature that the next stage "
            "begins with; copy it back, or delete the folder, and the stage is run again"
        )
    scale = load_file(step / TRAINED_FILE).get("objective.log_scale")
    return otherwise if scale is None else math.exp(-scale.item())


def _trained(part: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in part.parameters() if parameter.requires_grad]


def _check_sources(config: TrainConfig, data: Path) -> None:
    for source in config.sources:
        if not list_shards(data, source, "train"):
            raise InputError(
                f"there are no episodes in {data / source / 'train'}; run `vljepa data`, or leave "
                f"{source} out of the configuration's sources"
            )


def _episodes(model: VLJEPA, config: TrainConfig, data: Path) -> list[Episode]:
    encoder = model.x_encoder
    if encoder.frame_wise:
        shape = (encoder.tokens_per_frame, encoder.token_dim)
        return load_episodes(data, config.sources, "train", shape, encoder.fingerprint())
    return load_pictures(data, config.sources, "train", model.image_size)


def _on_gpu(episodes: list[Episode], encoder: XEncoder) -> tuple[list[Episode], Tensor | None]:
    """Their stored tokens on this process's GPU, if it has room: it would wait for each batch."""
    device = PartialState().device
    if device.type != "cuda" or not encoder.frame_wise:
        return episodes, None
    frames = sum(len(episode.frames) for episode in episodes)
    needed = 2 * frames * encoder.tokens_per_frame * encoder.token_dim  # bytes
    if needed > _TOKENS_SHARE * torch.cuda.mem_get_info(device)[0]:
        return episodes, None
    return to_table(episodes, device)


def _classes(model: VLJEPA) -> ClassWindows | None:
    encoder = model.x_encoder
    names = encoder.class_names()
    if not names:
        return None
    return ClassWindows(names, encoder.class_embeddings, encoder.class_tokens)


def training_words(sampler: Sampler) -> list[str]:
    """Texts with all the words of the training texts."""
    words = {word for _ in range(_VOCABULARY_DRAWS) for word in sampler.draw()[0].answers}
    if sampler.classes is not None:
        words |= set(sampler.classes.words())
    return sorted(words)
