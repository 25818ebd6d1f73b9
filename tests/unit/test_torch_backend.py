"""What torch keeps in memory, and how exactly it normalises."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest

from vljepa_ros.model import VLJEPA
from vljepa_ros.runtime import EngineConfig
from vljepa_ros.runtime.testing import random_checkpoint
from vljepa_ros.runtime.torch_backend import TorchBackend


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("small"))


def test_the_y_encoder_goes_where_nobody_uses_it(small: Path) -> None:
    backend = TorchBackend(small, EngineConfig())
    assert isinstance(backend.model, VLJEPA)
    y_encoder = backend.model.y_encoder
    weights = next(y_encoder.encoder.get_submodule("encoder.layer").parameters())
    held = weakref.ref(y_encoder), weakref.ref(weights)
    del y_encoder, weights
    tokens = backend.encode_frames(np.zeros((4, 224, 224, 3), np.uint8))
    before = backend.predict(tokens, ["what is this"])
    backend.keep(("x_encoder", "predictor"))
    assert [reference() for reference in held] == [None, None]
    np.testing.assert_array_equal(backend.predict(tokens, ["what is this"]), before)


def test_embeddings_have_length_one_in_bf16_too(small: Path) -> None:
    backend = TorchBackend(small, EngineConfig(precision="bf16"))
    frames = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)
    queries = ["what is this", "is the lamp on?"]
    predicted = backend.predict(backend.encode_frames(frames), queries)
    embedded = backend.encode_text(["a red ball", "the lamp is off", "nothing is happening"])
    lengths = np.linalg.norm(np.concatenate([predicted, embedded]), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-4)
