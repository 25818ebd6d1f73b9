"""The full-size Y-Decoder: a frozen Llama that reads an embedding as a linear prefix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from vljepa_ros.model.config import LlamaDecoderConfig
from vljepa_ros.model.tokenizer import TextTokenizer, published_tokenizer
from vljepa_ros.model.weights import load_exactly, read_weights
from vljepa_ros.model.y_decoder import YDecoder

_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_END = "<|end_of_text|>"


class LlamaDecoder(YDecoder):
    """Only the linear prefix is trained."""

    frozen = ("language_model.",)
    config: LlamaDecoderConfig

    def __init__(self, config: LlamaDecoderConfig, embedding_dim: int) -> None:
        # Imported here because transformers takes seconds to import.
        from transformers import LlamaConfig, LlamaForCausalLM

        super().__init__()
        self.config = config
        self.prefix = nn.Linear(embedding_dim, config.prefix_tokens * config.width)
        self.language_model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=config.vocabulary,
                hidden_size=config.width,
                intermediate_size=config.ffn_width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.kv_heads,
                rms_norm_eps=1e-5,
                max_position_embeddings=131_072,
                rope_parameters=_ROPE,
                tie_word_embeddings=True,
            )
        ).requires_grad_(False)

    @property
    def trained(self) -> nn.Module:
        """The linear prefix."""
        return self.prefix

    def load_pretrained(self) -> None:
        """Load the published Llama.

        Raises:
            CheckpointError: it is missing, damaged or does not fit.
        """
        tensors = read_weights(self.config.weights)
        if "model.embed_tokens.weight" in tensors:  # which the published file shares
            tensors.setdefault("lm_head.weight", tensors["model.embed_tokens.weight"])
        load_exactly(self.language_model, tensors, self.config.weights)

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """Llama's, read with the first text."""
        return published_tokenizer(self.config.weights)

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Llama's own numbers; it puts the start before a text, and we the end behind it."""
        return self.tokenizer([f"{text}{_END}" for text in texts], self.config.max_tokens)

    def forward(self, embeddings: Tensor, tokens: Tensor) -> Tensor:
        """See `YDecoder`."""
        words = self.language_model.get_input_embeddings()(tokens)
        x = torch.cat([self._prefix(embeddings), words], dim=1)
        return self.language_model(inputs_embeds=x).logits[:, self.config.prefix_tokens :]

    @torch.no_grad()
    def generate(self, embeddings: Tensor) -> tuple[list[str], Tensor]:
        """See `YDecoder`."""
        start = self.tokenizer.tokenizer.encode("").ids
        words = self.language_model.get_input_embeddings()
        begun = words(torch.tensor([start] * len(embeddings), device=embeddings.device))
        end = self.tokenizer.tokenizer.token_to_id(_END)
        made = self.language_model.generate(
            inputs_embeds=torch.cat([self._prefix(embeddings), begun], dim=1),
            max_new_tokens=self.config.max_tokens,
            do_sample=False,
            eos_token_id=end,
            pad_token_id=end,
            output_scores=True,
            return_dict_in_generate=True,
        )
        rows = made.sequences
        shares = self.language_model.compute_transition_scores(
            rows, made.scores, normalize_logits=True
        )
        after = (rows == end).cumsum(1) > 1  # padding; the first end belongs to the text
        texts = self.tokenizer.tokenizer.decode_batch(rows.tolist())
        return [text.strip() for text in texts], shares.masked_fill(after, 0).sum(1).exp()

    def _prefix(self, embeddings: Tensor) -> Tensor:
        """(B, prefix_tokens, width)."""
        return self.prefix(embeddings).unflatten(-1, (self.config.prefix_tokens, -1))
