"""Stored tokens: whose they are, and when they are made again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from vljepa_ros.errors import InputError
from vljepa_ros.model import efficientnet
from vljepa_ros.model.config import EfficientNetConfig
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.runtime.frames import FrameEncoder
from vljepa_ros.runtime.images import to_input_size
from vljepa_ros.training.features import (
    Encoded,
    encode_missing,
    features_path,
    fingerprint_path,
    load_episodes,
    load_pictures,
)
from vljepa_ros.training.shards import shard_path

_SOURCES = ("composites",)
_SHAPE = (54, 976)  # of the tokens of a frame


@pytest.fixture
def root(data: Path, tmp_path: Path) -> Path:
    """A copy of the data folder, to be changed."""
    return shutil.copytree(data, tmp_path / "data")


@pytest.fixture
def shard(root: Path) -> Path:
    """Its first shard."""
    return shard_path(root, "composites", "train", 0)


def test_pictures_are_those_that_were_encoded(data: Path, x_encoder: EfficientNet) -> None:
    episodes = load_episodes(data, _SOURCES, "train", _SHAPE)
    pictures = load_pictures(data, _SOURCES, "train", 224)
    for seen, stored in zip(pictures, episodes, strict=True):
        assert seen.facts == stored.facts
        drawn = seen.frames[[7, 0]]
        assert drawn.shape == (2, 224, 224, 3)
        with torch.inference_mode():
            tokens = x_encoder.encode_frames(torch.from_numpy(drawn).permute(0, 3, 1, 2))
        # What differs is the rounding to float16.
        np.testing.assert_allclose(tokens.numpy(), stored.frames[[7, 0]], rtol=1e-3, atol=1e-3)


def test_frames_are_encoded_once(data: Path, encoder: FrameEncoder) -> None:
    (pictures, *_), (stored, *_) = (
        load_pictures(data, _SOURCES, "train", 224),
        load_episodes(data, _SOURCES, "train", _SHAPE),
    )
    made = 0

    def encode(frames: list[np.ndarray]) -> np.ndarray:
        nonlocal made
        made += len(frames)
        return encoder(np.stack(frames))

    frames = Encoded(pictures.frames, encode)
    assert len(frames) == len(pictures.frames)
    for numbers in ([0, 0, 0, 2], [2, 4, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7]):
        tokens = frames[numbers]
        assert tokens.dtype == np.float16
        np.testing.assert_allclose(tokens, stored.frames[numbers], rtol=1e-2, atol=1e-2)
    assert made == 8


def test_tokens_of_another_x_encoder_are_refused_and_made_again(
    data: Path, encoder: FrameEncoder, tmp_path: Path
) -> None:
    shard = shard_path(tmp_path, "composites", "train", 0)
    shard.parent.mkdir(parents=True)
    shutil.copy(shard_path(data, "composites", "train", 0), shard)
    np.save(features_path(shard), np.zeros((32, 49, 472), np.float16))
    with pytest.raises(InputError, match="vljepa data"):
        load_episodes(tmp_path, _SOURCES, "train", _SHAPE)
    encode_missing(tmp_path, _SOURCES, "train", encoder, lambda *_: None)
    assert len(load_episodes(tmp_path, _SOURCES, "train", _SHAPE)) == 4


def test_tokens_of_another_x_encoder_of_the_same_shape_are_made_again(
    root: Path, shard: Path, encoder: FrameEncoder
) -> None:
    stored = np.load(features_path(shard))
    ours = EfficientNet(EfficientNetConfig())
    ours.load_pretrained()
    assert fingerprint_path(shard).read_text() == encoder.fingerprint == ours.fingerprint()
    ours.learn_classes(lambda names: torch.ones(len(names), 384))
    assert ours.fingerprint() == encoder.fingerprint
    with torch.no_grad():
        ours.stem.conv.bias[0] += 1
    with pytest.raises(InputError, match="no tokens of this model"):
        load_episodes(root, _SOURCES, "train", _SHAPE, ours.fingerprint())
    encode_missing(root, _SOURCES, "train", FrameEncoder(ours, 224), lambda *_: None)
    assert len(load_episodes(root, _SOURCES, "train", _SHAPE, ours.fingerprint())) == 4
    assert not np.array_equal(np.load(features_path(shard)), stored)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("_MEAN", 0.485),
        ("_STD", 0.229),
        ("_TAPPED_STAGES", {2: (2, 2), 4: (2, 1), 6: (1, 1)}),
        ("_FRAME_SQUARES", (4, 8)),
        ("_FRAME_SCALE", 4.0),
        ("_TOKENS_VERSION", 0),
        ("MINILM_SHA256", "another"),
        ("imagenet_class_names", lambda: ["a tench", "a goldfish"]),
    ],
)
def test_whatever_changes_tokens_changes_the_fingerprint(
    x_encoder: EfficientNet, monkeypatch: pytest.MonkeyPatch, setting: str, value: object
) -> None:
    before = x_encoder.fingerprint()
    monkeypatch.setattr(efficientnet, setting, value)
    assert x_encoder.fingerprint() != before


@pytest.mark.parametrize(
    ("height", "width", "row"),
    [
        (720, 1280, [124, 122, 121, 130, 124, 133]),
        (448, 896, [161, 140, 118, 161, 108, 150]),
        (100, 150, [94, 69, 44, 19, 116, 225]),
    ],
)
def test_pictures_are_resized_as_those_of_the_stored_tokens_were(
    height: int, width: int, row: list[int]
) -> None:
    """Where other numbers are meant, `_TOKENS_VERSION` has to be raised with them."""
    numbers = np.arange(height * width * 3, dtype=np.uint32)
    noise = (numbers * np.uint32(2654435761) >> 24).astype(np.uint8)
    small = to_input_size(noise.reshape(height, width, 3), 224)
    np.testing.assert_allclose(small[100, 100:106, 0].astype(int), row, atol=1)


def test_tokens_of_another_image_size_are_others(x_encoder: EfficientNet) -> None:
    other = EfficientNet(EfficientNetConfig(image_size=192))
    other.load_pretrained()
    assert other.fingerprint() != x_encoder.fingerprint()


def test_tokens_without_a_fingerprint_are_made_again(
    root: Path, shard: Path, encoder: FrameEncoder
) -> None:
    fingerprint_path(shard).unlink()
    for known in (encoder.fingerprint, None):
        with pytest.raises(InputError, match="no tokens of this model"):
            load_episodes(root, _SOURCES, "train", _SHAPE, known)
    encode_missing(root, _SOURCES, "train", encoder, lambda *_: None)
    assert len(load_episodes(root, _SOURCES, "train", _SHAPE, encoder.fingerprint)) == 4


def test_tokens_of_a_shard_that_was_written_again_are_made_again(
    root: Path, shard: Path, encoder: FrameEncoder
) -> None:
    stored = np.load(features_path(shard))
    np.save(features_path(shard), stored[:8])  # as of a shard of one episode
    with pytest.raises(InputError, match="has 8 frames and its shard 32"):
        load_episodes(root, _SOURCES, "train", _SHAPE)
    later = features_path(shard).stat().st_mtime_ns + 1
    os.utime(shard, ns=(later, later))
    with pytest.raises(InputError, match="no tokens of this model"):
        load_episodes(root, _SOURCES, "train", _SHAPE)
    encode_missing(root, _SOURCES, "train", encoder, lambda *_: None)
    np.testing.assert_array_equal(np.load(features_path(shard)), stored)


@pytest.mark.parametrize("left", [0, 60, 1000])
def test_tokens_that_were_cut_off_are_made_again(
    root: Path, shard: Path, encoder: FrameEncoder, left: int
) -> None:
    stored = np.load(features_path(shard))
    os.truncate(features_path(shard), left)
    encode_missing(root, _SOURCES, "train", encoder, lambda *_: None)
    np.testing.assert_array_equal(np.load(features_path(shard)), stored)
