"""Published weights: from a local folder or the Hugging Face hub, safetensors only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vljepa_ros.errors import CheckpointError

_FILES = ("*.safetensors", "*.json")


def find_weights(name: str, needed: str = "config.json") -> Path:
    """Folder of published weights.

    Args:
        name: a folder; or a repository of the hub, with `@revision` where one is to be pinned.
            Its local copy is used where there is a whole one, and no network then.
        needed: file without which a local copy of the hub's is not whole.

    Raises:
        CheckpointError: neither is there and the hub cannot be reached, or refuses.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    try:
        copy = _snapshot(name, local_files_only=True)
        if (copy / needed).is_file() and _has_all_weights(copy):
            return copy
    except (OSError, ValueError, KeyError):  # there is none, it is damaged, or no name is given
        pass
    return fetch_weights(name)


def fetch_weights(name: str) -> Path:
    """As `find_weights`, but what the hub has is brought up to date, unless a revision is pinned.

    Raises:
        CheckpointError: the hub cannot be reached, or refuses.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    try:
        copy = _snapshot(name)  # where the hub cannot be reached, what there is of one
        if not _has_all_weights(copy):
            raise FileNotFoundError(f"{copy} lacks safetensors files; pickles are never loaded")
        return copy
    except Exception as error:  # the hub lets errors of its transports through as they are
        told = str(error).strip() or type(error).__name__
        raise CheckpointError(
            f"the weights {name!r} are not on this machine and cannot be fetched "
            f"({told.splitlines()[0]}); give a folder, or fetch them with a network, where the "
            "hub asks for it after accepting their terms (hf auth login): "
            f"vljepa fetch {name}"
        ) from error


def _snapshot(name: str, local_files_only: bool = False) -> Path:
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    return Path(
        snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=list(_FILES),
            local_files_only=local_files_only,
        )
    )


def _has_all_weights(folder: Path) -> bool:
    """Whether no safetensors file is missing, as after a download that was interrupted.

    Raises:
        OSError, ValueError, KeyError: a list of them cannot be read.
    """
    wanted = {
        name
        for index in folder.glob("*.safetensors.index.json")
        for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    }
    there = {path.name for path in folder.glob("*.safetensors") if path.is_file()}
    return bool(there) and wanted <= there


def how_to_mend(folder: Path, name: str = "") -> str:
    """What to do about a damaged file of published weights, for an error.

    Args:
        folder: of the weights.
        name: of the hub's repository, with its revision where one is pinned.
    """
    if not _is_snapshot(folder):
        return f"copy the whole folder {folder} again"
    # The hub's client keeps a file that is there, whatever is in it.
    return f"delete {folder.parents[1]}, then: vljepa fetch {name or published_name(folder)}"


def _is_snapshot(folder: Path) -> bool:
    return folder.parent.name == "snapshots"  # models--OWNER--NAME/snapshots/REVISION


def published_name(folder: Path) -> str:
    """What weights in a folder are called: the repository, for the local copy of the hub's."""
    if not _is_snapshot(folder):
        return folder.name
    return folder.parents[1].name.removeprefix("models--").replace("--", "/")


def read_weights(name: str) -> dict[str, Tensor]:
    """All tensors of all safetensors files of `find_weights(name)`.

    Raises:
        CheckpointError: there are none, or a file is damaged.
    """
    folder = find_weights(name)
    tensors: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            tensors |= load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} is damaged ({error}); {how_to_mend(folder, name)}"
            ) from error
    if not tensors:
        raise CheckpointError(f"{folder} has no safetensors files; pickles are never loaded")
    return tensors


def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Fill a module; every tensor must be there, none left over, each of the right shape.

    Raises:
        CheckpointError: names the tensor that does not fit.
    """
    check_fit(module.state_dict(), tensors, what)
    module.load_state_dict(dict(tensors), strict=True)


def check_fit(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], what: str) -> None:
    """Compare names and shapes: a silent mismatch is worse than none.

    Raises:
        CheckpointError: names the tensor that does not fit.
    """
    if missing := sorted(expected.keys() - tensors.keys()):
        raise CheckpointError(f"{what} lacks the tensors {missing}")
    if extra := sorted(tensors.keys() - expected.keys()):
        raise CheckpointError(f"{what} has the unknown tensors {extra}")
    for name, tensor in expected.items():
        if tensor.shape != tensors[name].shape:
            raise CheckpointError(
                f"{what}: {name} has the shape {tuple(tensors[name].shape)}, the configuration "
                f"asks for {tuple(tensor.shape)}"
            )
