"""CLIP and SigLIP as the engine's model, against transformers' own forward.

Small ones with random weights, written by transformers itself, stand for the published ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from tests.dual_encoders import write
from vljepa_ros.errors import CheckpointError, EngineError, InputError
from vljepa_ros.runtime import FASTEST, Engine, EngineConfig


@pytest.fixture(scope="module", params=["clip", "siglip"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(engine, transformers' module, kind, folder)."""
    folder = tmp_path_factory.mktemp(request.param)
    theirs = write(request.param, folder)
    return Engine.load(str(folder)), theirs, request.param, folder


def pooled(features: Any) -> torch.Tensor:
    return F.normalize(getattr(features, "pooler_output", features), dim=-1)


def test_images_have_the_embedding_of_transformers(pair: Any) -> None:
    engine, theirs, _, _ = pair
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.4])
    pixels = torch.from_numpy(((image / 255 - mean) / std).transpose(2, 0, 1)[None]).float()
    with torch.inference_mode():
        expected = pooled(theirs.get_image_features(pixels))[0]
    (ours,) = engine.predict(list(engine.encode_frames([image])), ["whatever"])
    assert float(ours @ expected.numpy()) > 0.9999


def test_where_the_fastest_is_wanted_torch_runs_it_without_noise(
    pair: Any, caplog: pytest.LogCaptureFixture
) -> None:
    *_, folder = pair
    info = Engine.load(str(folder), FASTEST).info
    assert (info.backend, info.precision, info.fallback) == ("torch", "fp32", "")
    assert not [record for record in caplog.records if "export" in record.message]
    with pytest.raises(EngineError, match="is a dual encoder, which runs with the backend torch"):
        Engine.load(str(folder), EngineConfig(backend="onnx"))


def test_texts_have_the_embedding_of_transformers(pair: Any) -> None:
    engine, theirs, kind, _ = pair
    if kind == "clip":
        ids = torch.tensor([[1, 3, 4, 2]])
    else:  # fills its context, and knows no capitals
        ids = torch.tensor([[3, 4, 2, 0, 0, 0, 0, 0]])
    with torch.inference_mode():
        expected = pooled(theirs.get_text_features(input_ids=ids))[0]
    ours = engine.encode_text(["a mug" if kind == "clip" else "A Mug", "a a a a ball"])[0]
    assert float(ours @ expected.numpy()) > 0.9999


def test_a_window_is_the_mean_and_the_query_changes_nothing(pair: Any) -> None:
    engine, _, _, _ = pair
    images = np.random.default_rng(1).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    tokens = engine.encode_frames(list(images))
    rows = engine.predict(list(tokens), ["what is this?", "is it on?"])
    np.testing.assert_array_equal(rows[0], rows[1])
    # Of a window that is not full, the oldest image is repeated.
    expected = (engine.info.window_frames - 1.0) * tokens[0] + tokens[1]
    np.testing.assert_allclose(rows[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_it_ranks_labels_and_says_what_it_cannot_do(pair: Any) -> None:
    engine, _, kind, _ = pair
    (row,) = engine.predict(list(engine.encode_frames([np.zeros((9, 9, 3), np.uint8)])), ["?"])
    assert engine.rank(row, ["a mug", "a ball"]).scores.sum() == pytest.approx(1, abs=1e-5)
    assert not engine.info.conditioned and not engine.info.decodes
    assert engine.info.embedding_dim == (24 if kind == "clip" else 16)
    with pytest.raises(InputError, match="cannot write text"):
        engine.decode(row[None])


def test_it_scores_candidates_as_its_own_logits_do(pair: Any) -> None:
    engine, theirs, _, _ = pair
    assert engine.info.temperature == pytest.approx(1 / theirs.logit_scale.exp().item())
    (row,) = engine.predict(list(engine.encode_frames([np.zeros((9, 9, 3), np.uint8)])), ["?"])
    ranking = engine.rank(row, ["a mug", "a ball"])
    logits = torch.from_numpy(ranking.similarities) * theirs.logit_scale.exp().item()
    np.testing.assert_allclose(ranking.scores, logits.softmax(-1).numpy(), atol=1e-5)


def test_a_damaged_copy_is_refused(pair: Any, tmp_path: Path) -> None:
    _, _, _, folder = pair
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    state = load_file(folder / "model.safetensors")
    name = next(name for name in state if "layers.1" in name)
    save_file(
        {k: v for k, v in state.items() if k != name},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(CheckpointError, match=f"missing keys.*{name}"):
        Engine.load(str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Engine.load(str(tmp_path))
