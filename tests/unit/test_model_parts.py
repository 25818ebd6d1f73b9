"""What the predictor makes of its tokens, and what else of the model no whole pass would show."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model import VLJEPA, VLJEPAConfig, load_checkpoint
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.model.transformer import Transformer, rotary_table


def test_the_predictor_tells_times_and_places_apart(model: VLJEPA) -> None:
    predictor = copy.deepcopy(model.predictor)
    tokens = torch.zeros(1, model.window.frames, 54, EfficientNet.token_dim)
    with torch.inference_mode():
        before = predictor.visual(tokens)
        predictor.place_embedding[3] += 1
        moved = (predictor.visual(tokens) - before).mean(-1)[0]
        assert moved.nonzero().flatten().tolist() == list(range(3, len(moved), 54))
        predictor.time_embedding += 1
        later = (predictor.visual(tokens) - before).mean(-1)[0]
        torch.testing.assert_close(later, moved + 1)


def test_how_large_visual_tokens_are_does_not_matter(model: VLJEPA) -> None:
    tokens = torch.randn(1, model.window.frames, 54, EfficientNet.token_dim)
    larger = tokens.clone()
    larger[:, :, :49] *= 100  # the others are names of classes, of length 1
    with torch.inference_mode():
        ours, theirs = (model.predictor.visual(x) for x in (tokens, larger))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_the_elements_of_a_certain_class_become_of_size_one(model: VLJEPA) -> None:
    predictor = model.predictor
    seen: list[torch.Tensor] = []
    hook = predictor.class_projection.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    tokens = torch.zeros(1, model.window.frames, 54, EfficientNet.token_dim)
    tokens[:, :, 49:, : predictor.class_dim] = predictor.class_dim**-0.5  # of length 1
    with torch.inference_mode():
        predictor.visual(tokens)
    hook.remove()
    torch.testing.assert_close(seen[0], torch.ones_like(seen[0]))


def test_both_halves_of_a_block_drop_out() -> None:
    transformer = Transformer(16, 2, 2, 1, 32, dropout=1.0)
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(transformer(x), transformer.norm(x))
    assert not torch.allclose(transformer.eval()(x), transformer.norm(x))


def test_long_waves_are_stretched_as_in_llama_3() -> None:
    scaling = {"rope_type": "llama3", "factor": 32.0, "rope_theta": 500_000.0}
    scaling |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaling |= {"original_max_position_embeddings": 8192}
    config = LlamaConfig(hidden_size=64, num_attention_heads=1, rope_parameters=scaling)
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    _, sines = rotary_table(2, 64, 500_000.0, 32.0, torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(sines[1, :32].asin()[1:].float(), expected[1:])


def test_a_checkpoint_is_loaded_for_evaluation(checkpoint: Path) -> None:
    loaded = load_checkpoint(checkpoint)
    assert not [name for name, part in loaded.named_modules() if part.training]


def test_yes_is_no_number() -> None:
    values = VLJEPAConfig(name="made-up").to_dict() | {"temperature": True}
    with pytest.raises(CheckpointError, match=r"temperature must be float, not bool"):
        VLJEPAConfig.from_dict(values)
