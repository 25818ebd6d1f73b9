"""Exported models: the same as torch's whatever the shapes, checked, and without torch."""

from __future__ import annotations

import gc
import json
import re
import shutil
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vljepa_ros.errors import EngineError, InputError
from vljepa_ros.model import VLJEPA, VLJEPAConfig, save_checkpoint
from vljepa_ros.model.config import NoDecoderConfig
from vljepa_ros.runtime import Engine, EngineConfig
from vljepa_ros.runtime.backend import Backend
from vljepa_ros.runtime.choice import load_backend, prepare
from vljepa_ros.runtime.export import export
from vljepa_ros.runtime.exported import unfinished
from vljepa_ros.runtime.onnx_backend import OnnxBackend
from vljepa_ros.runtime.parity import drift, read_reference, too_far
from vljepa_ros.runtime.testing import random_checkpoint
from vljepa_ros.runtime.torch_backend import TorchBackend

ONNX = EngineConfig(backend="onnx")
TEXTS = ["a", "a red ball", "what is this"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame-wise, as the shipped model."""
    return random_checkpoint(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def full(small_copy: VLJEPAConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Window-wise, as the full-size model."""
    model = VLJEPA(small_copy)
    model.load_pretrained()
    folder = tmp_path_factory.mktemp("full")
    save_checkpoint(model, folder)
    return folder


@pytest.fixture(scope="module", params=["small", "full"])
def checkpoint(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture(scope="module")
def pair(checkpoint: Path) -> tuple[Backend, Backend]:
    """The same model with torch and with ONNX Runtime."""
    return TorchBackend(checkpoint, EngineConfig()), load_backend(checkpoint, ONNX)


def _frames(backend: Backend, count: int) -> np.ndarray:
    size = backend.info.input_width
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def _assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Row by row: some tokens have numbers a hundred times larger than others."""
    largest = np.abs(theirs).max(axis=-1, keepdims=True)
    assert (np.abs(ours - theirs) <= 2e-3 * largest).all()


@pytest.mark.parametrize("count", [1, 3])
def test_frames_are_encoded_alike(pair: tuple[Backend, Backend], count: int) -> None:
    theirs, ours = pair
    frames = _frames(ours, count)
    _assert_same(ours.encode_frames(frames), theirs.encode_frames(frames))


@pytest.mark.parametrize("queries", [TEXTS[:1], TEXTS, TEXTS * 3])
def test_embeddings_are_predicted_alike(pair: tuple[Backend, Backend], queries: list[str]) -> None:
    theirs, ours = pair
    window = theirs.encode_frames(_frames(ours, theirs.info.window_frames))
    tokens = theirs.encode_window(window)
    _assert_same(ours.encode_window(window), tokens)
    _assert_same(ours.predict(tokens, queries), theirs.predict(tokens, queries))


@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS])
def test_texts_are_embedded_and_told_alike(
    pair: tuple[Backend, Backend], texts: list[str]
) -> None:
    theirs, ours = pair
    embeddings = theirs.encode_text(texts)
    _assert_same(ours.encode_text(texts), embeddings)
    (our_texts, our_shares), (texts_told, shares) = (
        ours.decode(embeddings),
        theirs.decode(embeddings),
    )
    assert our_texts == texts_told
    _assert_same(our_shares, shares)


def test_the_engines_say_what_they_are(pair: tuple[Backend, Backend]) -> None:
    theirs, ours = pair
    assert (theirs.info.backend, ours.info.backend) == ("torch", "onnx")
    assert replace(ours.info, backend="torch") == theirs.info


@pytest.mark.parametrize(
    ("precision", "least"), [("fp32", 0.9999), ("fp16", 0.99), ("int8", 0.97)]
)
def test_every_precision_passes_its_check(small: Path, precision: str, least: float) -> None:
    folder = prepare(small, precision)
    backend = OnnxBackend(folder, ONNX)
    assert backend.info.precision == precision
    reference = read_reference(folder)
    cosines = drift(backend, reference)
    assert set(cosines) == {"x_encoder", "predictor", "whole", "y_encoder", "y_decoder"}
    assert min(cosines.values()) > least
    assert not too_far(backend.info, cosines)
    assert precision == "fp32" or _size(folder) < 0.6 * _size(prepare(small, "fp32"))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_windows_are_encoded_in_less_precision_too(full: Path, precision: str) -> None:
    folder = prepare(full, precision)
    cosines = drift(OnnxBackend(folder, ONNX), read_reference(folder))
    assert min(cosines[part] for part in ("x_encoder", "predictor", "y_encoder")) > 0.97


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.onnx"))


def test_a_drifting_part_is_named_and_refused_unless_allowed(small: Path, tmp_path: Path) -> None:
    other = random_checkpoint(tmp_path / "other", seed=1)
    folder = shutil.copytree(prepare(small, "fp32"), tmp_path / "mixed")
    shutil.copy(prepare(other, "fp32") / "predictor.onnx", folder)
    backend = OnnxBackend(folder, ONNX)
    fault = too_far(backend.info, drift(backend, read_reference(folder)))
    assert re.search(r"cosine predictor [-0-9.]+, whole [-0-9.]+, below 0\.99", fault)
    assert "x_encoder" not in fault


def test_a_start_checks(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_ros.runtime.parity._LEAST_ELSE", 1.1)
    monkeypatch.setattr("vljepa_ros.runtime.parity._LEAST", {"bf16": 1.1})
    with pytest.raises(EngineError, match=r"allow it with runtime\.allow_drift"):
        load_backend(small, ONNX)
    with pytest.raises(EngineError, match=r"drifts from torch"):
        load_backend(small, EngineConfig(precision="bf16"))
    allowed = load_backend(small, replace(ONNX, allow_drift=True)).info
    assert allowed.backend == "onnx" and "drifts from torch" in allowed.fallback


def test_torch_in_bf16_passes_its_check(small: Path) -> None:
    assert load_backend(small, EngineConfig(precision="bf16")).info.precision == "bf16"


def test_a_cache_that_cannot_be_written_says_what_to_do(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EngineError, match="set XDG_CACHE_HOME"):
        load_backend(small, ONNX)
    info = load_backend(small, EngineConfig(backend="auto")).info
    assert info.backend == "torch" and "cannot be exported" in info.fallback


def test_files_are_not_opened_for_every_frame(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = OnnxBackend(prepare(small, "fp32"), ONNX)
    tokens = backend.encode_frames(_frames(backend, backend.info.window_frames))
    first = backend.predict(tokens, TEXTS)
    monkeypatch.setattr(np, "load", None)
    np.testing.assert_array_equal(backend.predict(tokens, TEXTS), first)
    assert not np.allclose(backend.predict(tokens, TEXTS[::-1]), first)


def test_a_start_needs_no_torch_once_it_is_exported(small: Path) -> None:
    prepare(small, "fp32")
    code = (
        "import sys, numpy as np\n"
        "from vljepa_ros.runtime import Engine, EngineConfig\n"
        f"engine = Engine.load({str(small)!r}, EngineConfig(backend='auto'))\n"
        "tokens = engine.encode_frames([np.zeros((48, 64, 3), np.uint8)])\n"
        "engine.decode(engine.predict(list(tokens), ['what is this']))\n"
        "assert engine.info.backend == 'onnx'\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "file", ["export.json", "reference.npz", "predictor.onnx", "query.npy", "tokenizer-0.json"]
)
def test_a_damaged_export_says_what_to_delete(small: Path, tmp_path: Path, file: str) -> None:
    folder = shutil.copytree(prepare(small, "fp32"), tmp_path / "damaged")
    (folder / file).write_bytes((folder / file).read_bytes()[:100])
    with pytest.raises(EngineError, match=rf"{folder}/{file} cannot be read.*delete {folder}"):
        drift(OnnxBackend(folder, ONNX), read_reference(folder))


def test_another_format_is_refused(small: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(prepare(small, "fp32"), tmp_path / "old")
    description = json.loads((folder / "export.json").read_text())
    (folder / "export.json").write_text(json.dumps({**description, "format": "vljepa-onnx-0"}))
    with pytest.raises(EngineError, match="not of the format"):
        OnnxBackend(folder, ONNX)


def test_an_export_replaces_one_that_is_there(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "old.onnx").touch()
    killed = unfinished(folder)
    killed.mkdir()
    (killed / "half.onnx").touch()
    export(small, folder)
    assert not (folder / "half.onnx").exists()
    assert not (folder / "old.onnx").exists()
    assert OnnxBackend(folder, ONNX).info.frame_tokens == (54, 976)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_graph_too_large_for_fp16_is_refused_at_once(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_ros.runtime.export._LARGEST", 1_000_000)
    with pytest.raises(EngineError, match=r"GB in fp32.*take fp32, or the backend torch"):
        export(small, tmp_path / "made", "fp16")
    assert not list(tmp_path.iterdir())


def test_a_model_without_decoder_is_exported(small_copy: VLJEPAConfig, tmp_path: Path) -> None:
    model = VLJEPA(replace(small_copy, y_decoder=NoDecoderConfig()))
    model.load_pretrained()
    save_checkpoint(model, tmp_path)
    engine = Engine.load(str(tmp_path), ONNX)
    assert not engine.info.decodes
    with pytest.raises(InputError, match="no Y-Decoder"):
        engine.decode(engine.encode_text(["a"]))


def test_a_backend_that_is_dropped_gives_its_memory_back_at_once(small: Path) -> None:
    backend = OnnxBackend(prepare(small, "fp32"), ONNX)
    tokens = backend.encode_frames(_frames(backend, backend.info.window_frames))
    backend.predict(tokens, TEXTS)
    left = [weakref.ref(session) for session, _ in backend._sessions.values()]
    left.append(weakref.ref(backend))
    gc.disable()  # what only it finds may lie in memory for minutes
    try:
        del backend
        assert [reference() for reference in left] == [None] * 3
    finally:
        gc.enable()
