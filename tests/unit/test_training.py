"""The training loop on a few made-up frames: it runs, resumes, and writes a loadable model."""

from __future__ import annotations

import copy
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vljepa_ros.errors import CheckpointError, DivergedError, InputError
from vljepa_ros.model import VLJEPA
from vljepa_ros.model.checkpoint import save_checkpoint
from vljepa_ros.model.config import (
    MiniLMConfig,
    PredictorConfig,
    VLJEPAConfig,
    YDecoderConfig,
)
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.runtime import Engine
from vljepa_ros.streaming import GateConfig
from vljepa_ros.training import evaluate, loop
from vljepa_ros.training.class_windows import ClassWindows
from vljepa_ros.training.config import StageConfig, TrainConfig
from vljepa_ros.training.dataset import Batch, Sampler, window_frames
from vljepa_ros.training.evaluate import Evaluation, own_tokens
from vljepa_ros.training.features import Episode, load_episodes
from vljepa_ros.training.loop import train
from vljepa_ros.training.objective import Objective
from vljepa_ros.training.optimise import TRAINED_FILE, knows_bf16
from vljepa_ros.training.photographs import Photograph
from vljepa_ros.training.shards import shard_path

_SOURCES = ("composites",)
_SHAPE = (54, 976)  # of the tokens of a frame
CONFIG = TrainConfig(
    model=VLJEPAConfig(
        name="made-up",
        predictor=PredictorConfig(
            width=32, layers=1, heads=2, kv_heads=2, ffn_width=64, dropout=0.1
        ),
        y_encoder=MiniLMConfig(trained_layers=1),
        y_decoder=YDecoderConfig(width=32, layers=1, heads=2, ffn_width=64, max_tokens=12),
    ),
    finetuning=StageConfig(steps=4, batch_size=8, learning_rate=1e-3, warmup_steps=1),
    decoder=StageConfig(steps=2, batch_size=8, learning_rate=1e-3, warmup_steps=1),
    sources=_SOURCES,
    save_every=2,
    precision="bf16" if knows_bf16() else "fp32",  # emulated, it takes fifty times as long
)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, VLJEPA]:
    """The folder of a run of CONFIG, and its model."""
    run = tmp_path_factory.mktemp("run")
    return run, train(CONFIG, data, run)


@pytest.fixture
def run(trained: tuple[Path, VLJEPA], tmp_path: Path) -> Path:
    """A copy of the run, to be changed."""
    return shutil.copytree(trained[0], tmp_path / "run")


@pytest.fixture(scope="module")
def episodes(data: Path) -> list[Episode]:
    return load_episodes(data, _SOURCES, "train", _SHAPE)


def test_tokens_belong_to_their_frames(episodes: list[Episode]) -> None:
    assert [len(e.frames) for e in episodes] == [8] * 4
    assert not np.allclose(episodes[0].frames[[0]], episodes[1].frames[[0]])
    window = CONFIG.model.window
    assert window_frames(episodes[0], 7, window) == [1, 3, 5, 7]
    assert window_frames(episodes[0], 2, window) == [0, 0, 0, 2]
    for period in (0.1, 0.4):  # the data has a frame each 0.25 s
        with pytest.raises(InputError, match=r"give a multiple of the 0\.25 s"):
            window_frames(episodes[0], 7, replace(window, period=period))


def test_batches_repeat_with_their_number(episodes: list[Episode]) -> None:
    sampler = Sampler(episodes, CONFIG.model.window, {"what": 1.0}, seed=1)
    first, other, again = (sampler.batch(number, 6) for number in (3, 4, 3))
    assert first.texts == again.texts != other.texts
    assert first.frames.shape == (6, 4, 54, EfficientNet.token_dim)
    assert torch.equal(first.frames, again.frames)
    for column, names in enumerate(([s.meaning for s in first.samples], first.texts)):
        same = first.meanings[:, None, column] == first.meanings[None, :, column]
        assert same.tolist() == [[a == b for b in names] for a in names]
    assert first.negatives == again.negatives
    for sample, negatives in zip(first.samples, first.negatives, strict=True):
        assert negatives
        assert not set(negatives) & set(sample.answers)
        assert sample.query


def test_the_parts_of_a_batch_make_up_the_whole(episodes: list[Episode]) -> None:
    classes = ClassWindows([f"thing {n}" for n in range(20)], torch.eye(20), 5)
    sampler = Sampler(episodes, CONFIG.model.window, {"what": 1.0}, seed=1, classes=classes)
    whole = sampler.batch(0, 8)
    parts = [sampler.batch(0, 8, part, 2) for part in (0, 1)]
    for number in range(8):
        part, row = parts[number % 2], number // 2
        assert part.samples[row] == whole.samples[number]
        assert part.texts[row] == whole.texts[number]
        assert part.negatives[row] == whole.negatives[number]
        assert torch.equal(part.frames[row], whole.frames[number])
        torch.testing.assert_close(part.shown[row], whole.shown[number], equal_nan=True)
    assert 0 < whole.shown.isnan().sum() < whole.shown.numel()


def test_without_a_query_nothing_is_asked(episodes: list[Episode]) -> None:
    batch = Sampler(episodes, CONFIG.model.window, {"caption": 1.0}, 1, False).batch(0, 6)
    assert {sample.query for sample in batch.samples} == {""}


def test_no_episodes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vljepa data"):
        train(CONFIG, tmp_path, tmp_path / "run")


def test_a_killed_run_ends_as_one_that_was_not(
    data: Path,
    trained: tuple[Path, VLJEPA],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch, drawn = Sampler.batch, []

    def kill_twice(self: Sampler, number: int, *rest: int) -> Batch:
        drawn.append(number)
        if len(drawn) in (4, 8):  # in the middle of fine-tuning, and of the Y-Decoder's stage
            raise KeyboardInterrupt
        return batch(self, number, *rest)

    monkeypatch.setattr(Sampler, "batch", kill_twice)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, data, tmp_path / "killed")
    resumed = train(CONFIG, data, tmp_path / "killed")
    state = trained[1].trained_state()
    for name, tensor in resumed.trained_state().items():
        torch.testing.assert_close(tensor, state[name], msg=name)
    assert drawn == [0, 1, 2, 3, 2, 3, 0, 1, 0, 1]


def test_curves_are_drawn(run: Path) -> None:
    curves = EventAccumulator(str(run / "finetuning")).Reload()
    (loss,) = curves.Scalars("loss")
    assert loss.step == CONFIG.finetuning.steps and loss.value > 0


def test_weights_decay_in_matrices_alone(run: Path) -> None:
    for stage in (run / "finetuning", run / "decoder"):
        (file,) = stage.glob("step-*/optimizer.bin")
        kept = torch.load(file, weights_only=True)
        decays = {
            n: group["weight_decay"] for group in kept["param_groups"] for n in group["params"]
        }
        matrices = {n for n, moments in kept["state"].items() if moments["exp_avg"].ndim > 1}
        assert 0 < len(matrices) < len(decays)
        assert {n for n, decay in decays.items() if decay > 0} == matrices


def test_a_run_of_other_episodes_is_refused(data: Path, run: Path, tmp_path: Path) -> None:
    grown = shutil.copytree(data, tmp_path / "grown")
    first, second = (shard_path(grown, "composites", "train", number) for number in (0, 1))
    shutil.copy(first, second)
    with pytest.raises(CheckpointError, match="differs in shards"):
        train(CONFIG, grown, run)


def test_a_run_of_another_configuration_is_refused(data: Path, run: Path) -> None:
    deeper = replace(CONFIG.model, predictor=replace(CONFIG.model.predictor, layers=2))
    with pytest.raises(CheckpointError, match="differs in model, seed"):
        train(replace(CONFIG, model=deeper, seed=5), data, run)
    train(replace(CONFIG, workers=1), data, run)  # gives the same model
    shutil.rmtree(run / "finetuning" / "model")
    (run / "config.json").unlink()
    with pytest.raises(CheckpointError, match="another model"):
        train(replace(CONFIG, model=deeper), data, run)


def test_a_gradient_that_is_not_finite_ends_the_run_and_is_not_kept(
    data: Path, tmp_path: Path
) -> None:
    fast = replace(CONFIG.finetuning, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(DivergedError, match="the gradient of step 2 is not finite"):
        train(replace(CONFIG, finetuning=fast), data, tmp_path)
    assert not list(tmp_path.glob("finetuning/step-*"))


def test_the_temperature_of_candidates_is_that_of_the_newest_configuration(
    data: Path, run: Path
) -> None:
    train(replace(CONFIG, model=replace(CONFIG.model, temperature=0.05)), data, run)
    assert Engine.load(str(run / "model")).info.temperature == 0.05


def test_a_source_without_episodes_is_named(data: Path, tmp_path: Path) -> None:
    misspelt = replace(CONFIG, sources=(*CONFIG.sources, "composite"))
    with pytest.raises(InputError, match="leave composite out"):
        train(misspelt, data, tmp_path)
    assert not list(tmp_path.iterdir())  # or the folder would belong to that run


def test_the_temperature_is_that_of_the_newest_checkpoint(tmp_path: Path) -> None:
    for name, scale in (("step-0000100", 2.0), ("step-0000200", 3.0)):  # killed between the two
        (tmp_path / name).mkdir()
        save_file({"objective.log_scale": torch.tensor(scale)}, tmp_path / name / TRAINED_FILE)
    assert loop._learned_temperature(tmp_path, 0.07) == pytest.approx(math.exp(-3.0))


def test_captions_without_a_query_come_first(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, build = [], loop.build_objective

    def noted(kind: str, temperature: float, learned: bool) -> Objective:
        begun.append(temperature)
        return build(kind, temperature, learned)

    monkeypatch.setattr(loop, "build_objective", noted)
    stage = replace(CONFIG.finetuning, steps=2, accumulate=2, decay=False, learning_rate=0.1)
    train(replace(CONFIG, pretraining=stage), data, tmp_path)
    # The second stage goes on with what the first has made of it, 10% a step at most.
    assert begun[0] == CONFIG.temperature and 0.01 < abs(math.log(begun[1] / begun[0])) < 0.25
    steps = {p.parent.name: p.name for p in tmp_path.glob("*/step-*")}
    assert steps == {
        "pretraining": "step-0000002",
        "finetuning": "step-0000004",
        "decoder": "step-0000002",
    }


def test_what_was_trained_can_be_measured(
    data: Path, trained: tuple[Path, VLJEPA], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, model = trained[0] / "model", trained[1]
    photographs = [
        Photograph(f"a {c}", np.full((9, 7, 3), i, np.uint8)) for i, c in enumerate("abc")
    ]
    monkeypatch.setattr(evaluate, "load_photographs", lambda cache: photographs)
    engine = Engine.load(str(folder))
    assert engine.info.name == "made-up"
    assert model.config.y_decoder.vocabulary > 3
    with pytest.raises(InputError, match="no tokens of this model"):
        Evaluation(engine, data, "test", fingerprint="of another")
    fingerprint = own_tokens(folder)
    assert fingerprint == model.x_encoder.fingerprint()
    evaluation = Evaluation(engine, data, "test", trials=5, fingerprint=fingerprint)
    metrics = evaluation.run()
    assert all(0 <= m.value <= 1 and 0 < m.chance <= 1 and m.trials for m in metrics)
    assert [(m.name, m.trials) for m in metrics[-2:]] == [
        ("photographs: label of ten", 3),
        ("photographs: label of all", 3),
    ]
    retrieval = metrics[0]
    assert retrieval.trials < 100 and retrieval.chance == 1 / retrieval.trials
    others = Evaluation(engine, data, "train", trials=5).run()
    assert [m.name for m in others] == [m.name for m in metrics[:-2]]
    floors = evaluation.blinded().run()
    seen = [m.name for m in metrics if not m.name.startswith("paraphrases")]
    assert [m.name for m in floors] == seen
    assert len(metrics) - len(seen) == 2
    count = evaluation.decodes(GateConfig())
    assert count.frames == 32
    assert count.first == 4 <= count.decoded <= 32
    other = copy.deepcopy(model)
    other.x_encoder.class_embeddings[7].neg_()
    save_checkpoint(other, tmp_path / "other")
    assert own_tokens(tmp_path / "other") is None
