"""The published parts of the paper's model with random numbers, in their own formats.

The real ones need an account of the hub. These are written by transformers itself, in the sizes of
a configuration, for what hangs on formats and sizes alone: tests, and costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from vljepa_ros.model import VLJEPAConfig

WORDS = ("<s>", "<|end_of_text|>", "a", "red", "ball", "what", "is", "this")
# The parts of a configuration that each is read by.
USERS = {
    "llama": ("query", "predictor", "y_decoder"),
    "gemma": ("y_encoder",),
    "vjepa2": ("x_encoder",),
}


def make(name: str, config: VLJEPAConfig) -> Any:
    """One of USERS as transformers' own module, for evaluation."""
    return {"llama": _llama, "gemma": _gemma, "vjepa2": _vjepa2}[name](config).eval()


def write(name: str, module: Any, folder: Path) -> None:
    """Write what `make` made as it is published, the texts' encoders with a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    module.save_pretrained(folder)
    if name != "vjepa2":
        tokenizer().save(str(folder / "tokenizer.json"))


def tokenizer() -> Tokenizer:
    """One that begins each text with a token of its own, as Llama's does."""
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="a"))
    made.add_special_tokens(list(WORDS[:2]))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return made


def _text_sizes(size: Any) -> dict[str, int]:
    return {
        "vocab_size": size.vocabulary,
        "hidden_size": size.width,
        "intermediate_size": size.ffn_width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
    }


def _llama(config: VLJEPAConfig) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            **_text_sizes(config.y_decoder),
            rms_norm_eps=1e-5,
            max_position_embeddings=131_072,
            tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": config.predictor.rope_theta,
                "factor": config.predictor.rope_factor,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
        )
    )


def _gemma(config: VLJEPAConfig) -> Any:
    from transformers import Gemma3TextConfig, Gemma3TextModel

    size: Any = config.y_encoder
    return Gemma3TextModel(
        Gemma3TextConfig(
            **_text_sizes(size),
            head_dim=size.head_dim,
            query_pre_attn_scalar=size.head_dim,
            sliding_window=size.sliding_window,
            use_bidirectional_attention=True,
        )
    )


def _vjepa2(config: VLJEPAConfig) -> Any:
    """With a small predictor of its own, which nothing reads."""
    from transformers import VJEPA2Config, VJEPA2Model

    size: Any = config.x_encoder
    return VJEPA2Model(
        VJEPA2Config(
            crop_size=size.image_size,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            pred_hidden_size=24,
            pred_num_attention_heads=2,
            pred_num_hidden_layers=1,
        )
    )
