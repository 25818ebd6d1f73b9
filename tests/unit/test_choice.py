"""Which backend, device and precision an engine gets, and what it says of those it did not get."""

from __future__ import annotations

import os
import shutil
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import onnxruntime
import pytest

from vljepa_ros.errors import EngineError
from vljepa_ros.runtime import FASTEST, Engine, EngineConfig, choice, parity
from vljepa_ros.runtime.choice import load_backend, prepare
from vljepa_ros.runtime.exported import EXPORT_FILE, exported_folder
from vljepa_ros.runtime.onnx_backend import OnnxBackend
from vljepa_ros.runtime.testing import random_checkpoint
from vljepa_ros.runtime.torch_backend import TorchBackend

ONNX = EngineConfig(backend="onnx")
WATCHES = ("x_encoder", "predictor", "y_encoder")  # what an embedder uses
TELLS = ("y_decoder",)  # and a decoder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame-wise, as the shipped model."""
    return random_checkpoint(tmp_path_factory.mktemp("small"))


def test_the_fastest_on_a_cpu_is_onnx_runtime_in_int8(small: Path) -> None:
    info = load_backend(small, FASTEST).info
    assert (info.backend, info.precision, info.fallback) == ("onnx", "int8", "")
    torch = load_backend(small, EngineConfig(backend="torch", precision="auto")).info
    assert (torch.backend, torch.precision) == ("torch", "fp32")


def test_in_int8_the_embedding_of_a_text_does_not_depend_on_its_batch(small: Path) -> None:
    backend = load_backend(small, FASTEST)
    texts = ["yes", "the robot arm pushes the green bottle to the left", "a red ball"]
    together = backend.encode_text(texts)
    alone = np.concatenate([backend.encode_text([text]) for text in texts])
    np.testing.assert_array_equal(together, alone)


def test_where_the_fastest_drifts_the_next_is_taken(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(parity._LEAST, "int8", 1.1)
    info = load_backend(small, FASTEST).info
    assert (info.backend, info.precision) == ("onnx", "fp32")
    assert "onnx in int8 drifts from torch" in info.fallback
    # Drift is allowed only where nothing passes.
    assert load_backend(small, replace(FASTEST, allow_drift=True)).info.precision == "fp32"


def test_on_a_gpu_torch_tries_bf16_where_fp16_drifts(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    there = TorchBackend(small, EngineConfig())

    def compared(_: Path, config: EngineConfig) -> Any:
        asked.append(config.precision)
        return there, "it drifts" if config.precision == "fp16" else ""

    monkeypatch.setattr(choice, "_compared", compared)
    gpu = EngineConfig(backend="torch", device="cuda:0", precision="auto")
    assert load_backend(small, gpu) is there and asked == ["fp16", "bf16"]


@pytest.mark.parametrize(("precision", "backend"), [("bf16", "torch"), ("int8", "onnx")])
def test_a_precision_that_one_library_has_is_left_to_it(precision: str, backend: str) -> None:
    (only,) = choice._choices(EngineConfig(backend="auto", precision=precision))
    assert (only.backend, only.precision) == (backend, precision)


@pytest.mark.parametrize("allowed", [False, True])
def test_what_drifts_is_gone_before_the_next_is_loaded(
    small: Path, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    load, held = choice._load, []

    def watched(*how: Any) -> Any:
        assert not any(reference() for reference in held)
        made = load(*how)
        held.append(weakref.ref(made[0]))
        return made

    monkeypatch.setattr(choice, "_load", watched)
    monkeypatch.setitem(parity._LEAST, "int8", 1.1)
    backend = load_backend(small, replace(FASTEST, backend="onnx", allow_drift=allowed))
    assert backend.info.precision == "fp32" and [reference() for reference in held][1] is backend
    monkeypatch.setattr(parity, "_LEAST_ELSE", 1.1)
    if allowed:
        held.clear()
        del backend
        info = load_backend(small, replace(FASTEST, backend="onnx", allow_drift=True)).info
        assert info.precision == "int8" and "drifts" in info.fallback


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_parts_that_are_not_named_are_refused(small: Path, backend: str) -> None:
    watcher = Engine.load(str(small), EngineConfig(backend, parts=WATCHES))
    tokens = list(watcher.encode_frames([np.zeros((48, 64, 3), np.uint8)]))
    embedding = watcher.predict(tokens, ["what is this"])
    watcher.rank(embedding[0], ["a red ball", "a lamp"])
    with pytest.raises(EngineError, match="was loaded without y_decoder"):
        watcher.decode(embedding)
    teller = Engine.load(str(small), EngineConfig(backend, parts=TELLS))
    told, expected = (e.decode(embedding)[0] for e in (teller, Engine.load(str(small))))
    assert told.text == expected.text
    with pytest.raises(EngineError, match="without x_encoder"):
        teller.encode_frames([np.zeros((48, 64, 3), np.uint8)])
    with pytest.raises(EngineError, match="without x_encoder, predictor"):
        teller.predict(tokens, ["what is this"])
    with pytest.raises(EngineError, match="without y_encoder"):
        teller.encode_text(["a red ball"])
    with pytest.raises(EngineError, match=r"parts are of .*, not \['decoder'\]"):
        EngineConfig(parts=("decoder",))


def test_parts_that_are_not_named_are_neither_compared_nor_kept(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = load_backend(small, replace(ONNX, parts=WATCHES))
    assert isinstance(watcher, OnnxBackend) and watcher._sessions.keys() == set(WATCHES)
    teller = load_backend(small, EngineConfig(parts=TELLS))
    assert isinstance(teller, TorchBackend)
    assert {name for name, _ in teller.model.named_children()} == {"y_decoder"}
    opened: list[str] = []
    load = OnnxBackend._load
    monkeypatch.setattr(
        OnnxBackend, "_load", lambda self, part: opened.append(part) or load(self, part)
    )
    load_backend(small, replace(ONNX, parts=TELLS))
    assert opened == ["y_decoder_prefix", "y_decoder"]
    # The Y-Encoder compares texts that differ, and goes.
    told = {**parity.read_reference(prepare(small, "fp32"))}
    told["told"] = told["told"][::-1] + "s"
    monkeypatch.setattr(choice, "read_reference", lambda _: told)
    teller = load_backend(small, replace(ONNX, parts=TELLS))
    assert isinstance(teller, OnnxBackend)
    assert teller._sessions.keys() == {"y_decoder_prefix", "y_decoder"}
    assert opened[2:] == ["y_decoder_prefix", "y_decoder", "y_encoder"]


def test_on_a_gpu_that_is_not_there_nothing_is_exported_for_it(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[str] = []
    monkeypatch.setattr(
        choice, "prepare", lambda *wanted: exported.append(wanted[1]) or prepare(*wanted)
    )
    gpu = replace(FASTEST, device="cuda:99")
    with pytest.raises(EngineError, match=r"ONNX Runtime cannot use.*torch cannot use"):
        load_backend(small, gpu)
    assert not exported
    info = load_backend(small, replace(gpu, allow_fallback=True)).info
    assert (info.backend, info.device, info.precision) == ("onnx", "cpu", "int8")
    assert "cuda:99" in info.fallback and exported == ["int8"]


def test_auto_takes_torch_where_onnx_runtime_is_not(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = EngineConfig(backend="auto")
    assert load_backend(small, auto).info.backend == "onnx"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    info = load_backend(small, auto).info
    assert info.backend == "torch" and "ONNX Runtime" in info.fallback
    with pytest.raises(EngineError, match="install it"):
        load_backend(small, ONNX)


def test_auto_takes_a_gpu_with_torch_before_the_cpu_with_onnx_runtime(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = EngineConfig(backend="auto", device="cuda:99")
    with pytest.raises(EngineError, match=r"ONNX Runtime cannot use.*torch cannot use"):
        load_backend(small, gpu)
    info = load_backend(small, replace(gpu, allow_fallback=True)).info
    assert info.backend == "onnx" and info.device == "cpu"
    assert "ONNX Runtime cannot use" in info.fallback and "torch cannot use" in info.fallback
    asked: list[EngineConfig] = []
    there = TorchBackend(small, EngineConfig())
    monkeypatch.setattr(
        choice, "_load_torch", lambda _, config: (asked.append(config) or there, None)
    )
    chosen = load_backend(small, replace(gpu, allow_fallback=True))
    assert chosen is there and asked[0].device == "cuda:99"


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_onnx_runtime_never_takes_the_cpu_by_itself(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it was built for CUDA, whose libraries are missing."""
    have = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: have)
    gpu = replace(ONNX, device="cuda:0")
    with pytest.raises(EngineError, match="CUDAExecutionProvider does not start on cuda:0"):
        load_backend(small, gpu)
    info = load_backend(small, replace(gpu, allow_fallback=True)).info
    assert info.device == "cpu" and "does not start on cuda:0" in info.fallback


def test_what_a_library_raises_is_a_reason_to_take_the_next(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(OnnxBackend, "encode_frames", fail)
    info = load_backend(small, FASTEST).info
    assert info.backend == "torch" and "out of memory" in info.fallback


def test_the_cpu_may_take_over_where_torch_is_not_installed(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(small, "int8")
    monkeypatch.setitem(sys.modules, "vljepa_ros.runtime.torch_backend", None)
    gpu = replace(FASTEST, device="cuda:99")
    with pytest.raises(EngineError, match=r"cannot use the device 'cuda:99'.*torch cannot be imp"):
        load_backend(small, gpu)
    info = load_backend(small, replace(gpu, allow_fallback=True)).info
    assert (info.backend, info.device, info.precision) == ("onnx", "cpu", "int8")


def test_an_export_in_use_is_noted_and_those_long_unused_are_deleted(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prepare(small, "fp32")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "vljepa_ros.runtime.export.export", lambda _, folder, __: shutil.copytree(made, folder)
    )
    old = exported_folder(small, "fp32").with_name("old")
    shutil.copytree(made, old)
    os.utime(old / EXPORT_FILE, (1, 1))
    folder = prepare(small, "fp32")
    assert folder.is_relative_to(tmp_path) and not old.exists()
    os.utime(folder / EXPORT_FILE, (1, 1))
    assert prepare(small, "fp32") == folder
    assert (folder / EXPORT_FILE).stat().st_mtime > 1


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ImportError("No module named 'onnx'"), "; install torch and onnx"),
        (PermissionError("denied"), "; set XDG_CACHE_HOME .*"),
        (RuntimeError("no such operator"), ""),
    ],
)
def test_what_is_advised_fits_the_error(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, hint: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("vljepa_ros.runtime.export.export", fail)
    with pytest.raises(EngineError, match=rf"cannot be exported .*\({error}\){hint}$"):
        prepare(small, "fp32")


def test_of_many_that_start_at_once_one_exports(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prepare(small, "fp32")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    begun = Barrier(2, timeout=30)
    exported = []

    def export(_: Path, folder: Path, __: str) -> None:
        exported.append(folder)
        time.sleep(0.5)  # the other one would come here too
        shutil.copytree(made, folder)

    monkeypatch.setattr("vljepa_ros.runtime.export.export", export)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: (begun.wait(), prepare(small, "fp32"))[1], range(2))
    assert [first] == [second] == exported
