"""The full-size Y-Encoder: EmbeddingGemma, 300M in the paper, trained at a low rate."""

from __future__ import annotations

import torch
from torch import Tensor

from vljepa_ros.model.config import EmbeddingGemmaConfig
from vljepa_ros.model.tokenizer import published_tokenizer
from vljepa_ros.model.weights import load_exactly, read_weights
from vljepa_ros.model.y_encoder import YEncoder
from vljepa_ros.tokenizer import TextTokenizer


class EmbeddingGemma(YEncoder):
    """Transformers' Gemma 3 with bidirectional attention, without the two dense layers.

    It computes in fp32 or bf16, and is stored so: its numbers overflow fp16.
    """

    stored_as = torch.bfloat16

    def __init__(self, config: EmbeddingGemmaConfig, embedding_dim: int) -> None:
        # Imported here because transformers takes seconds to import.
        from transformers import Gemma3TextConfig, Gemma3TextModel

        shape = Gemma3TextConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=config.ffn_width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            head_dim=config.head_dim,
            query_pre_attn_scalar=config.head_dim,
            sliding_window=config.sliding_window,
            use_bidirectional_attention=True,
            attn_implementation="sdpa",
        )
        encoder = Gemma3TextModel(shape)
        super().__init__(
            encoder, config.width, embedding_dim, config.max_tokens, freeze=False, bias=True
        )
        self.weights = config.weights
        self._reach = int(shape.sliding_window)  # tokens, not reached

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """See `YEncoder`. Transformers' own masks are the same, but cannot be exported."""
        places = torch.arange(ids.shape[1], device=ids.device)
        near = (places[:, None] - places).abs() < self._reach
        # Padding looks at everything: what looks at nothing becomes NaN.
        anywhere, seen = ~mask[:, None, :, None], mask[:, None, None, :]
        masks = {"full_attention": seen | anywhere, "sliding_attention": seen & near | anywhere}
        states: Tensor = self.encoder(input_ids=ids, attention_mask=masks).last_hidden_state
        return states

    def load_pretrained(self) -> None:
        """Load the published weights, which training starts from."""
        load_exactly(self.encoder, read_weights(self.weights), self.weights)

    def load_tokenizer(self) -> TextTokenizer:
        """Gemma's tokenizer."""
        return published_tokenizer(self.weights)
