"""On a GPU the engine says what it says on the CPU, and training runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vljepa_ros.model import VLJEPAConfig
from vljepa_ros.model.config import (
    EfficientNetConfig,
    PredictorConfig,
    WindowConfig,
    YDecoderConfig,
)
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.runtime import Engine, EngineConfig
from vljepa_ros.runtime.frames import FrameEncoder
from vljepa_ros.runtime.parity import clip_frames
from vljepa_ros.runtime.testing import random_checkpoint
from vljepa_ros.training import loop
from vljepa_ros.training.config import StageConfig, TrainConfig
from vljepa_ros.training.features import load_episodes
from vljepa_ros.training.loop import train

if not torch.cuda.is_available():
    pytest.skip("there is no GPU", allow_module_level=True)

GPU = EngineConfig(device="cuda:0")
QUERIES = ["What is happening?", "Is the lamp on, or is it off now?"]
TEXTS = ["a red ball lies on the table", "nothing", "the lamp is off"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    ("precision", "least"), [("fp32", 0.9999), ("fp16", 0.99), ("bf16", 0.98)]
)
def test_a_gpu_embeds_as_the_cpu_does(checkpoint: Path, precision: str, least: float) -> None:
    frames = list(clip_frames([2.0, 2.5, 3.0, 3.5], 224))
    seen, said = [], []
    for config in (EngineConfig(), replace(GPU, precision=precision)):
        engine = Engine.load(str(checkpoint), config)
        seen.append(engine.predict(list(engine.encode_frames(frames)), QUERIES))
        said.append(engine.encode_text(TEXTS))
    for cpu, gpu in (seen, said):
        np.testing.assert_allclose(np.linalg.norm(gpu, axis=1), 1, atol=1e-5)
        assert (cpu * gpu).sum(axis=1).min() > least


def test_a_gpu_stores_the_tokens_of_the_cpu() -> None:
    frames = np.stack(clip_frames([2.0, 2.5, 3.0], 224))
    x_encoder = EfficientNet(EfficientNetConfig())
    x_encoder.load_pretrained()
    stored = FrameEncoder(x_encoder, 224)(frames)
    with torch.inference_mode():
        tokens = x_encoder.encode_frames(torch.from_numpy(frames).permute(0, 3, 1, 2))
    assert stored.dtype == np.float16
    np.testing.assert_allclose(stored, tokens.numpy(), rtol=2e-3, atol=2e-3)


def test_a_gpu_tells_what_the_cpu_tells(checkpoint: Path) -> None:
    cpu, gpu = (Engine.load(str(checkpoint), config) for config in (EngineConfig(), GPU))
    embeddings = cpu.encode_text(TEXTS)
    for ours, theirs in zip(gpu.decode(embeddings), cpu.decode(embeddings), strict=True):
        assert ours.text == theirs.text
        assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-3)


def test_auto_stays_on_the_gpu(checkpoint: Path) -> None:
    """With torch, where the ONNX Runtime is one without GPU."""
    auto = EngineConfig(backend="auto", device="cuda:0", precision="auto")
    assert Engine.load(str(checkpoint), auto).info.device == "cuda:0"


def test_training_keeps_the_tokens_on_the_gpu_where_it_has_room(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x_encoder = EfficientNet(EfficientNetConfig())
    shape = (x_encoder.tokens_per_frame, x_encoder.token_dim)
    episodes = load_episodes(data, ("composites",), "train", shape)
    rows, tokens = loop._on_gpu(episodes, x_encoder)
    assert tokens is not None and tokens.device.type == "cuda"
    for row, episode in zip(rows, episodes, strict=True):
        looked_up = tokens[torch.from_numpy(row.frames[[3, 0]])].cpu().numpy()
        np.testing.assert_array_equal(looked_up, episode.frames[[3, 0]])
    monkeypatch.setattr(loop, "_TOKENS_SHARE", 0.0)
    assert loop._on_gpu(episodes, x_encoder) == (episodes, None)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_on_a_gpu_ends_in_a_model_that_loads(
    data: Path, tmp_path: Path, precision: str
) -> None:
    stage = StageConfig(steps=3, batch_size=8, learning_rate=1e-3, warmup_steps=1)
    model = VLJEPAConfig(
        window=WindowConfig(frames=2, tubelet=2),
        predictor=PredictorConfig(width=64, layers=1, heads=2, kv_heads=2, ffn_width=64),
        y_decoder=YDecoderConfig(width=64, layers=1, heads=2, ffn_width=64),
    )
    config = TrainConfig(
        model, stage, stage, pretraining=stage, sources=("composites",), precision=precision
    )
    train(config, data, tmp_path / "run")
    engine = Engine.load(str(tmp_path / "run" / "model"), GPU)
    tokens = engine.encode_frames(list(clip_frames([2.0, 2.5], 224)))
    assert np.isfinite(engine.predict(list(tokens), QUERIES)).all()
