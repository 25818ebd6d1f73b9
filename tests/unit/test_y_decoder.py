"""The small Y-Decoder's words."""

from __future__ import annotations

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
