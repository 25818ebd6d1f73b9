"""The small Y-Decoder's words."""

from __future__ import annotations

import pytest
import torch

from vljepa_ros.model.config import YDecoderConfig
from vljepa_ros.model.pretrained import minilm_tokenizer_file
from vljepa_ros.model.y_decoder import SmallDecoder
from vljepa_ros.tokenizer import TextTokenizer


def test_a_word_that_the_decoder_does_not_know_ends_the_text() -> None:
    config = YDecoderConfig(width=16, layers=1, heads=2, ffn_width=16)
    decoder = SmallDecoder(config, 8, TextTokenizer(minilm_tokenizer_file()))
    decoder.learn_words(["a red ball"])
    tokens, mask = decoder.tokenize(["a red ball", "a green ball", "a"])
    told = [row[kept].tolist() for row, kept in zip(tokens, mask, strict=True)]
    a, red, ball = told[0][1:4]
    assert told == [[1, a, red, ball, 2], [1, a, 2], [1, a, 2]]
    assert len({a, red, ball} - {0, 1, 2}) == 3


def test_a_text_that_does_not_end_is_cut_at_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    config = YDecoderConfig(width=16, layers=1, heads=2, ffn_width=16, max_tokens=6)
    decoder = SmallDecoder(config, 8, TextTokenizer(minilm_tokenizer_file()))
    decoder.learn_words(["a red ball"])
    step, steps = decoder.step, []

    def endless(x: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, past = step(x, past)
        steps.append(logits)
        logits[:, decoder.end] = -torch.inf
        return logits, past

    monkeypatch.setattr(decoder, "step", endless)
    decoder.generate(torch.ones(1, 8))
    assert 1 + len(steps) == 6  # [CLS] is a token too, as in training
