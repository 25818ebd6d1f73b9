"""Where published weights are found, and what is said where they are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model import weights
from vljepa_ros.model.config import LLAMA_1B
from vljepa_ros.model.tokenizer import published_tokenizer
from vljepa_ros.model.weights import fetch_weights, find_weights, published_name, read_weights

REPOSITORY, _, REVISION = LLAMA_1B.partition("@")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's local copy of Llama, without weights yet, and no network.

    The hub's client is not told so: a proxy that refuses ends in an error of its transport, after
    several tries, between which it would sleep.
    """
    folder = tmp_path / f"models--{REPOSITORY.replace('/', '--')}" / "snapshots" / REVISION
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    return folder


def test_weights_that_are_not_here_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match="pickles are never loaded"):
        read_weights(str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"give a folder, or fetch.*vljepa fetch nobody/no"):
        find_weights("nobody/nothing")


def test_the_hubs_local_copy_is_found_without_a_network(copy: Path) -> None:
    save_file({"a": torch.zeros(1)}, copy / "model.safetensors")
    assert find_weights(LLAMA_1B) == copy
    assert read_weights(LLAMA_1B).keys() == {"a"}
    assert published_name(copy) == REPOSITORY
    for find in (find_weights, fetch_weights):
        with pytest.raises(CheckpointError, match="give a folder, or fetch"):
            find(f"{REPOSITORY}@{'0' * 40}")


def test_a_part_of_a_download_is_none(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the hub cannot be reached, its client takes what there is for the whole."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def is_refused() -> bool:
        for find in (find_weights, fetch_weights):
            with pytest.raises(CheckpointError, match=rf"fetched .*vljepa fetch {LLAMA_1B}"):
                find(LLAMA_1B)
        return True

    assert is_refused()
    shards = {name: f"model-{name}.safetensors" for name in ("a", "b")}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    for name, file in shards.items():
        assert is_refused()
        save_file({name: torch.zeros(1)}, copy / file)
    assert find_weights(LLAMA_1B) == fetch_weights(LLAMA_1B) == copy
    with pytest.raises(CheckpointError, match=rf"tokenizer.json is missing; .*fetch {LLAMA_1B}"):
        published_tokenizer(LLAMA_1B)


def test_only_a_whole_download_is_not_fetched_again(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(weights, "fetch_weights", lambda name: fetched.append(name) or copy)
    save_file({"a": torch.zeros(1)}, copy / "model.safetensors")
    assert find_weights(LLAMA_1B) == copy and not fetched
    assert find_weights(LLAMA_1B, "tokenizer.json") == copy and fetched == [LLAMA_1B]
    (copy / "config.json").unlink()
    assert find_weights(LLAMA_1B) == copy and fetched == [LLAMA_1B] * 2


def test_a_damaged_file_says_how_to_mend_it(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"")
    hub = f"is damaged .*; delete {copy.parents[1]}, then: vljepa fetch {LLAMA_1B}"
    with pytest.raises(CheckpointError, match=hub):
        read_weights(LLAMA_1B)
    folder = copy.rename(copy.parents[2] / "copied")
    with pytest.raises(CheckpointError, match=f"copy the whole folder {folder} again"):
        read_weights(str(folder))
