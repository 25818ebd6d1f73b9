"""What TensorRT is told and given, which needs no GPU."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from vljepa_ros.runtime import EngineConfig
from vljepa_ros.runtime.choice import prepare
from vljepa_ros.runtime.onnx_backend import OnnxBackend
from vljepa_ros.runtime.providers import place
from vljepa_ros.runtime.testing import random_checkpoint


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame-wise, as the shipped model."""
    return random_checkpoint(tmp_path_factory.mktemp("small"))


def test_tensorrt_keeps_its_engines(
    small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profiles = json.loads((prepare(small, "fp32") / "export.json").read_text())["profiles"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    have = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: have)
    wanted = EngineConfig(backend="onnx", device="tensorrt:1", precision="fp16")
    placement = place(Path("model-hash-fp16"), wanted)
    assert placement.device == "tensorrt:1"
    assert profiles["x_encoder"]["max"] == "frames:8x224x224x3"
    chosen = placement.providers(profiles["predictor"])
    assert [c[0] if isinstance(c, tuple) else c for c in chosen] == have
    options: Any = chosen[0][1]
    assert options["device_id"] == 1 and options["trt_fp16_enable"]
    kept = Path(options["trt_engine_cache_path"])
    assert kept == tmp_path / "vljepa_ros" / "tensorrt" / "model-hash-fp16" and kept.is_dir()
    assert options["trt_profile_min_shapes"] == "tokens:4x54x976,query:1x1x384,mask:1x1"
    assert len(placement.providers(None)) == 2
    cuda = place(Path("m"), replace(wanted, device="cuda:0"))
    assert cuda.device == "cuda:0" and len(cuda.providers(profiles["predictor"])) == 2


def test_no_more_run_together_than_tensorrt_engines_take(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = OnnxBackend(prepare(small, "fp32"), EngineConfig(backend="onnx"))
    counts: dict[str, list[int]] = {"x_encoder": [], "predictor": []}
    run = backend._run

    def counting(part: str, *inputs: np.ndarray) -> list[Any]:
        counts[part].append(len(inputs[0] if part == "x_encoder" else inputs[1]))
        return run(part, *inputs)

    monkeypatch.setattr(backend, "_run", counting)
    size = backend.info.input_width
    tokens = backend.encode_frames(np.zeros((17, size, size, 3), np.uint8))
    assert len(tokens) == 17 and counts["x_encoder"] == [8, 8, 1]
    queries = [f"is it {number}" for number in range(18)]
    window = tokens[: backend.info.window_frames]
    assert len(backend.predict(window, queries)) == 18
    assert sum(counts["predictor"]) == 18 and max(counts["predictor"]) == 16
