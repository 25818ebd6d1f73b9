"""MiniLM as Y-Encoder, with its last layers trained."""

from __future__ import annotations

import torch

from vljepa_ros.model.config import MiniLMConfig
from vljepa_ros.model.minilm import MiniLM


def test_the_last_layers_of_minilm_can_be_trained_and_start_as_published() -> None:
    torch.manual_seed(0)
    parts = []
    for trained in (0, 2):
        part = MiniLM(MiniLMConfig(trained_layers=trained), 384)
        part.load_pretrained()
        parts.append(part.eval())
    texts = ["a red ball and a blue cube", "the lamp is off"]
    whole, split = (part(texts) for part in parts)
    torch.testing.assert_close(whole, split, rtol=1e-4, atol=1e-5)
    split.sum().backward()
    changed = {name for name, p in parts[1].named_parameters() if p.grad is not None}
    assert {name.split(".")[0] for name in changed} == {"top", "head"}
    kept, _ = parts[1].encoder_states(texts)  # by training
    assert not kept.requires_grad
    assert not any(name.startswith("top") for name, _ in parts[0].named_parameters())


def test_a_text_has_one_embedding_while_it_is_trained_too() -> None:
    """As the class names are embedded by a model that was just made."""
    part = MiniLM(MiniLMConfig(trained_layers=2), 384)
    part.load_pretrained()
    made = part(["a red ball"])
    assert torch.equal(made, part(["a red ball"]))
    assert torch.equal(made, part.train()(["a red ball"]))
    assert torch.equal(made, part.eval()(["a red ball"]))
