"""The training loop on a few made-up frames: it runs, resumes, and writes a loadable model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vljepa_ros.errors import CheckpointError, InputError
from vljepa_ros.model.config import PredictorConfig, VLJEPAConfig, YDecoderConfig
from vljepa_ros.runtime import Engine
from vljepa_ros.streaming import GateConfig
from vljepa_ros.training import evaluate
from vljepa_ros.training.config import StageConfig, TrainConfig
from vljepa_ros.training.dataset import Sampler, window_frames
from vljepa_ros.training.evaluate import Evaluation
from vljepa_ros.training.features import encode_missing, load_episodes
from vljepa_ros.training.loop import train
from vljepa_ros.training.photographs import Photograph
from vljepa_ros.training.shards import ShardWriter, encode_jpeg, shard_path

_STATE = {"lamp": None, "drawer": None, "lid": None, "arm": None, "target": None}
_SOURCES = ("composites",)
CONFIG = TrainConfig(
    model=VLJEPAConfig(
        name="made-up",
        predictor=PredictorConfig(width=32, layers=1, heads=2, kv_heads=2, ffn_width=64),
        y_decoder=YDecoderConfig(width=32, layers=1, heads=2, ffn_width=64, max_tokens=12),
    ),
    main=StageConfig(steps=4, batch_size=8, learning_rate=1e-3, warmup_steps=1),
    decoder=StageConfig(steps=2, batch_size=8, learning_rate=1e-3, warmup_steps=1),
    sources=_SOURCES,
    save_every=2,
    precision="bf16",
)


def _facts(number: int) -> dict[str, Any]:
    visible = [{"id": 0, "place": ("left", "middle", "right")[number % 3], "on": None}]
    return {
        "source": "composites",
        "frame_period": 0.25,
        "frames": 8,
        "objects": [{"id": 0, "name": ("cat", "car", "cup", "key")[number], "color": None}],
        "states": [{"start": 0, "visible": visible, **_STATE}],
        "events": [],
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        with ShardWriter(shard_path(root, "composites", split, 0)) as shard:
            for number in range(4):
                shade = random.integers(0, 256, (1, 1, 3), dtype=np.uint8)
                frames = [encode_jpeg(np.tile(shade, (224, 224, 1)))] * 8
                shard.add(f"{number:06d}", _facts(number), frames)
        done: list[tuple[int, int]] = []
        encode_missing(root, _SOURCES, split, lambda *counts, done=done: done.append(counts))
        assert done == [(1, 1)]
    return root


def test_tokens_belong_to_their_frames(data: Path) -> None:
    episodes = load_episodes(data, _SOURCES, "train")
    assert [len(e.tokens) for e in episodes] == [8] * 4
    assert not np.allclose(episodes[0].tokens[0], episodes[1].tokens[0])
    window = CONFIG.model.window
    assert window_frames(episodes[0], 7, window) == [1, 3, 5, 7]
    assert window_frames(episodes[0], 2, window) == [0, 0, 0, 2]


def test_batches_repeat_with_the_seed(data: Path) -> None:
    episodes = load_episodes(data, _SOURCES, "train")
    first, second = (
        Sampler(episodes, CONFIG.model.window, {"what": 1.0}, seed=1).batch(6) for _ in range(2)
    )
    assert first.texts == second.texts
    assert first.tokens.shape == (6, 4, 49, 928)
    same = first.meanings[:, None] == first.meanings[None]
    names = [s.meaning for s in first.samples]
    assert same.tolist() == [[a == b for b in names] for a in names]
    assert first.negatives == second.negatives
    for sample, negatives in zip(first.samples, first.negatives, strict=True):
        assert negatives
        assert not set(negatives) & set(sample.answers)


def test_no_episodes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vljepa data"):
        train(CONFIG, tmp_path, tmp_path / "run")


def test_a_run_resumes_where_it_was_killed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = [
        Photograph(f"a {c}", np.full((9, 7, 3), i, np.uint8)) for i, c in enumerate("abc")
    ]
    monkeypatch.setattr(evaluate, "load_photographs", lambda cache: photographs)
    whole = train(CONFIG, data, tmp_path / "whole")
    killed = replace(CONFIG, main=replace(CONFIG.main, steps=2))
    train(killed, data, tmp_path / "resumed")
    (tmp_path / "resumed" / "decoder.pt").unlink()
    train(CONFIG, data, tmp_path / "resumed")
    state = torch.load(tmp_path / "resumed" / "main.pt", weights_only=True)
    assert state["step"] == CONFIG.main.steps
    engine = Engine.load(str(tmp_path / "whole" / "model"))
    assert engine.info.name == "made-up"
    assert whole.config.y_decoder.vocabulary > 3
    evaluation = Evaluation(engine, data, "test", trials=5)
    metrics = evaluation.run()
    assert all(0 <= m.value <= 1 and 0 < m.chance <= 1 and m.trials for m in metrics)
    assert [(m.name, m.trials) for m in metrics[-2:]] == [
        ("photographs: label of ten", 3),
        ("photographs: label of all", 3),
    ]
    others = Evaluation(engine, data, "train", trials=5).run()
    assert [m.name for m in others] == [m.name for m in metrics[:-2]]
    floors = Evaluation(engine, data, "test", trials=5, blind=True).run()
    assert [m.name for m in floors] == [m.name for m in metrics]
    count = evaluation.decodes(GateConfig())
    assert count.frames == 32
    assert count.first == 4 <= count.decoded <= 32


def test_a_misspelt_setting_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("model: {}\nmain: {}\ndecoder: {}\nsteps: 3\n")
    with pytest.raises(CheckpointError, match="only the keys"):
        TrainConfig.from_yaml(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        TrainConfig.from_yaml(tmp_path / "none.yaml")
    with pytest.raises(CheckpointError, match="fp32 or bf16, not 'bf61'"):
        replace(CONFIG, precision="bf61")


def test_the_shipped_configuration_is_valid() -> None:
    path = Path(__file__).parents[2] / "config" / "models" / "vljepa-tiny.yaml"
    config = TrainConfig.from_yaml(path)
    assert config.model.name == "vljepa-tiny"
    assert config.model.window.frames % config.model.window.tubelet == 0
