"""What the comparison at the start sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vljepa_ros.runtime import EngineConfig
from vljepa_ros.runtime.choice import prepare
from vljepa_ros.runtime.onnx_backend import OnnxBackend
from vljepa_ros.runtime.parity import clip_frames, drift, make_reference, read_reference, too_far
from vljepa_ros.runtime.testing import random_checkpoint

ONNX = EngineConfig(backend="onnx")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(random_checkpoint(tmp_path_factory.mktemp("small")), "fp32")


def test_a_window_longer_than_the_clip_sees_its_beginning_again() -> None:
    length = 521 / 12  # s
    first, again = clip_frames([1.0, 1.0 + length], 32)
    np.testing.assert_array_equal(first, again)


def test_a_token_that_is_lost_is_noticed(exported: Path) -> None:
    reference = read_reference(exported)
    classes = reference["tokens"][..., -5:, :]
    assert 0 < np.abs(classes).max() < 0.01 * np.abs(reference["tokens"]).max()
    classes[..., -1, :] = -classes[..., -1, :]
    found = drift(OnnxBackend(exported, ONNX), reference, ("x_encoder",))
    assert found == {"x_encoder": pytest.approx(-1, abs=1e-3)}


def test_a_text_that_the_reference_is_unsure_of_may_differ(exported: Path) -> None:
    backend, reference = OnnxBackend(exported, ONNX), read_reference(exported)
    assert reference["sure"].any()
    reference["told"][0] = "x"
    reference["told_embedded"][0] *= -1
    for sure, expected in ((True, -1.0), (False, 1.0)):
        reference["sure"][0] = sure
        found = drift(backend, reference, ("y_decoder",))
        assert found == {"y_decoder": pytest.approx(expected, abs=1e-3)}


def test_what_is_no_number_is_too_far(exported: Path) -> None:
    info = OnnxBackend(exported, ONNX).info
    assert too_far(info, {"predictor": 1.0}) == ""
    assert "predictor nan" in too_far(info, {"predictor": float("nan")})


def test_the_whole_counts_what_the_x_encoder_does_to_the_predictor(exported: Path) -> None:
    reference = read_reference(exported)
    reference["frames"] = 255 - reference["frames"]
    found = drift(OnnxBackend(exported, ONNX), reference, ("x_encoder", "predictor"))
    assert found["predictor"] == pytest.approx(1, abs=1e-3)
    assert found["whole"] < 0.999


def test_where_all_texts_are_unsure_the_surest_is_compared(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = OnnxBackend(exported, ONNX)
    shares = np.array([0.1, 0.3, 0.2, 0.1], np.float32)
    monkeypatch.setattr(backend, "decode", lambda rows: (["a red ball"] * len(rows), shares))
    assert make_reference(backend)["sure"].tolist() == [False, True, False, False]
