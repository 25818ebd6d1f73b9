"""A checkpoint brings back all that was trained, whatever its parts load of published weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model import VLJEPA, VLJEPAConfig, load_checkpoint, save_checkpoint
from vljepa_ros.model.config import MiniLMConfig, PredictorConfig, VJEPA2Config, YDecoderConfig

_CONFIG = VLJEPAConfig(
    name="made-up",
    predictor=PredictorConfig(width=32, layers=1, heads=2, kv_heads=2, ffn_width=64),
    y_encoder=MiniLMConfig(trained_layers=1),
    y_decoder=YDecoderConfig(width=32, layers=1, heads=2, ffn_width=64, max_tokens=12),
)


def test_what_was_trained_comes_back_in_every_part(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = VLJEPA(_CONFIG)
    model.load_pretrained()
    model.learn_words(["a red mug"])
    with torch.no_grad():
        for tensor in model.trained_state().values():
            if tensor.is_floating_point():
                tensor.add_(torch.randn_like(tensor) * 0.1)
    save_checkpoint(model, tmp_path, torch.float32)
    loaded = load_checkpoint(tmp_path).state_dict()
    trained = model.trained_state()
    # Compared with the model itself, not with another loaded one: both would lack the same.
    assert {name.split(".")[0] for name in trained} >= {"predictor", "y_encoder", "y_decoder"}
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def test_another_kind_of_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava"}))
    with pytest.raises(CheckpointError, match=r"'llava'; .*'vljepa-1', .*'clip' or 'siglip'"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(("width", "heads"), [(1000, 16), (48, 0), (48, 16)])
def test_an_x_encoder_whose_width_does_not_fit_its_heads_is_refused(
    width: int, heads: int
) -> None:
    with pytest.raises(CheckpointError, match=r"x_encoder\.width"):
        VJEPA2Config(width=width, heads=heads)
