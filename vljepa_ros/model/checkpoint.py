"""Reads and writes a trained model: a folder with config.json and model.safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model.config import VLJEPAConfig
from vljepa_ros.model.dual_encoder import KINDS, DualEncoder, load_dual_encoder
from vljepa_ros.model.vljepa import VLJEPA
from vljepa_ros.model.weights import check_fit

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_FORMAT = "vljepa-1"


def save_checkpoint(model: VLJEPA, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write the trained tensors; the frozen parts stay where they were had.

    Args:
        model: to write.
        folder: is made where there is none.
        dtype: of the tensors in the file; None for the least that the model's Y-Encoder fits in.

    Raises:
        CheckpointError: a number is too large for the type.
    """
    dtype = dtype or model.y_encoder.stored_as
    write_checkpoint(model.config, model.trained_state(), folder, dtype)


def write_checkpoint(
    config: VLJEPAConfig, state: Mapping[str, Tensor], folder: Path, dtype: torch.dtype
) -> None:
    """Write a folder that `load_checkpoint` reads, from the trained tensors of a model.

    Raises:
        CheckpointError: a number is too large for `dtype`.
    """
    tensors = {name: _stored(name, tensor, dtype) for name, tensor in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": _FORMAT, **config.to_dict()}, indent=2)
    # Under other names first: a node that starts meanwhile finds whole files.
    parts = {name: folder / f".{name}.part" for name in (WEIGHTS_FILE, CONFIG_FILE)}
    save_file(tensors, parts[WEIGHTS_FILE], metadata={"format": _FORMAT})
    parts[CONFIG_FILE].write_text(text + "\n", encoding="utf-8")
    for name, part in parts.items():
        part.replace(folder / name)


def _stored(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.contiguous()
    stored = tensor.to(dtype)
    if bool((stored.isinf() & tensor.isfinite()).any()):
        raise CheckpointError(
            f"{name} has numbers up to {tensor.abs().max().item():.3g}, which do not fit "
            f"{dtype}; write the model in torch.bfloat16 or torch.float32"
        )
    return stored.contiguous()


def load_model(folder: Path) -> VLJEPA | DualEncoder:
    """Load whatever model a folder holds, in fp32, for evaluation.

    Raises:
        CheckpointError: a file is missing, damaged, or does not fit.
    """
    return load_dual_encoder(folder) if is_dual_encoder(folder) else load_checkpoint(folder)


def is_dual_encoder(folder: Path) -> bool:
    """Whether a folder holds a CLIP or SigLIP, by its configuration alone.

    Raises:
        CheckpointError: it has none, or one that cannot be read.
    """
    return _read_json(folder).get("model_type") in KINDS


def load_checkpoint(folder: Path) -> VLJEPA:
    """Build the model that `folder` describes, in fp32, with all four parts, for evaluation.

    Raises:
        CheckpointError: a file or a pretrained encoder is missing, damaged, or does not fit.
    """
    with _Unfilled():
        model = VLJEPA(read_config(folder))
    state = read_trained(model, folder)
    # First: it fills the frozen parts as published, with whatever of them is trained.
    model.load_frozen()
    model.load_state_dict(state, strict=False)
    return model.eval()


def read_trained(model: VLJEPA, folder: Path, parts: Sequence[str] = ("",)) -> dict[str, Tensor]:
    """The trained tensors of a checkpoint, which fit a model, by their names in it.

    Args:
        model: which they are to fill.
        folder: of the checkpoint.
        parts: with what the names begin.

    Raises:
        CheckpointError: the file is missing, damaged, or does not fit.
    """
    path = folder / WEIGHTS_FILE
    try:
        state = load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; copy the whole folder of the model") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); copy it again") from error
    wanted, found = (
        {name: tensor for name, tensor in tensors.items() if name.startswith(tuple(parts))}
        for tensors in (model.trained_state(), state)
    )
    check_fit(wanted, found, str(path))
    return found


class _Unfilled(TorchFunctionMode):
    """Parameters are not drawn: at full size that takes longer than to read them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def read_config(folder: Path) -> VLJEPAConfig:
    """Read a checkpoint's configuration.

    Raises:
        CheckpointError: the file is missing, is not JSON, or is not of this format.
    """
    values = _read_json(folder)
    form = values.pop("format", None)
    if form != _FORMAT:
        raise CheckpointError(
            f"{folder / CONFIG_FILE} has the format {form!r} and the model_type "
            f"{values.get('model_type')!r}; a model has the format {_FORMAT!r}, or the model_type "
            f"{' or '.join(map(repr, sorted(KINDS)))}"
        )
    return VLJEPAConfig.from_dict(values)


def _read_json(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is missing; `model` must be a shipped name or a folder with "
            f"{CONFIG_FILE} and {WEIGHTS_FILE}"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy it again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is not the description of a model; copy it again")
    return values
