"""Made-up episodes, and scaled-down copies of the published weights.

The real weights need the hub. These are written by transformers itself, in the same formats, with
random numbers.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from published import USERS, WORDS, make, write

from vljepa_ros.model import VLJEPA, VLJEPAConfig, load_checkpoint
from vljepa_ros.model.config import EfficientNetConfig
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.runtime import Engine, EngineConfig
from vljepa_ros.runtime.frames import FrameEncoder
from vljepa_ros.runtime.testing import random_checkpoint
from vljepa_ros.training.features import encode_missing
from vljepa_ros.training.shards import ShardWriter, encode_jpeg, shard_path

CONFIG = Path(__file__).parents[2] / "config" / "models" / "vljepa-1.6b.yaml"


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """For each of the three: the folder of its weights, and transformers' own module."""
    torch.manual_seed(0)
    config, made = VLJEPAConfig.from_dict(small_values()), {}
    for name in USERS:
        folder, module = tmp_path_factory.mktemp(name), make(name, config)
        write(name, module, folder)
        made[name] = (folder, module)
    return made


@pytest.fixture(scope="session")
def small_copy(published: dict[str, tuple[Path, Any]]) -> VLJEPAConfig:
    """The full-size configuration with other numbers; the kinds and all else are its own."""
    values = small_values()
    for name, users in USERS.items():
        for user in users:
            values[user]["weights"] = str(published[name][0])
    return VLJEPAConfig.from_dict(values)


def small_values() -> dict[str, Any]:
    """The full-size configuration with small numbers."""
    values: dict[str, Any] = yaml.safe_load(CONFIG.read_text())["model"]
    values |= {"name": "small-copy", "embedding_dim": 24}
    values["window"]["frames"] = 4
    values["x_encoder"] |= {"image_size": 32, "width": 48, "layers": 2, "heads": 2}
    values["query"] |= {"vocabulary": len(WORDS), "width": 32}
    values["predictor"] |= {"first_layer": 2, "layers": 2}
    values["predictor"] |= {"width": 32, "heads": 4, "kv_heads": 2, "ffn_width": 64}
    values["y_encoder"] |= {"vocabulary": len(WORDS), "width": 32}
    # Of six layers one attends to everything, the others to what is near.
    values["y_encoder"] |= {"layers": 6, "heads": 2, "head_dim": 16, "ffn_width": 48}
    values["y_encoder"] |= {"max_tokens": 80, "sliding_window": 64}
    values["y_decoder"] |= {"vocabulary": len(WORDS), "width": 32, "max_tokens": 5}
    values["y_decoder"] |= {"layers": 4, "heads": 4, "kv_heads": 2, "ffn_width": 64}
    return values


@pytest.fixture(autouse=True)
def new_accelerate_state() -> Iterator[None]:
    """Accelerate keeps one precision a process, but these tests train with several."""
    yield
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState, GradientState

        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one shard of four quiet episodes a split, without tokens."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        with ShardWriter(shard_path(root, "composites", split, 0)) as shard:
            for number in range(4):
                shade = random.integers(0, 256, (1, 1, 3), dtype=np.uint8)
                frames = [encode_jpeg(np.tile(shade, (224, 224, 1)))] * 8
                shard.add(f"{number:06d}", quiet_facts(number), frames)
        (shard.path.parent / "seed").write_text("0\n")  # as of those that `vljepa data` draws
    return root


@pytest.fixture(scope="session")
def data(shards: Path, tmp_path_factory: pytest.TempPathFactory, encoder: FrameEncoder) -> Path:
    """The episodes with their tokens."""
    root = shutil.copytree(shards, tmp_path_factory.mktemp("encoded") / "data")
    for split in ("train", "test"):
        done: list[tuple[int, int]] = []
        for _ in range(2):
            encode_missing(
                root, ("composites",), split, encoder, lambda *now, done=done: done.append(now)
            )
        assert done == [(1, 1)]
    return root


@pytest.fixture(scope="session")
def x_encoder() -> EfficientNet:
    encoder = EfficientNet(EfficientNetConfig())
    encoder.load_pretrained()
    return encoder


@pytest.fixture(scope="session")
def encoder(x_encoder: EfficientNet) -> FrameEncoder:
    return FrameEncoder(x_encoder, 224)


def quiet_facts(number: int) -> dict[str, Any]:
    """Facts of episode `number`, below 4: one thing, and nothing happens."""
    visible = [{"id": 0, "place": ("left", "middle", "right")[number % 3], "on": None}]
    state = {"lamp": None, "drawer": None, "lid": None, "arm": None, "target": None}
    return {
        "source": "composites",
        "frame_period": 0.25,
        "frames": 8,
        "objects": [{"id": 0, "name": ("cat", "car", "cup", "key")[number], "color": None}],
        "states": [{"start": 0, "visible": visible, **state}],
        "events": [],
    }


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with random numbers."""
    return random_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> VLJEPA:
    """The model in it."""
    return load_checkpoint(checkpoint)


@pytest.fixture(scope="module", params=["torch", "onnx"])
def engine(request: pytest.FixtureRequest, checkpoint: Path) -> Engine:
    """It again, as both backends run it."""
    return Engine.load(str(checkpoint), EngineConfig(backend=request.param))
