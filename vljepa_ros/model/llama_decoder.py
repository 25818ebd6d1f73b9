"""The full-size Y-Decoder: a frozen Llama that reads an embedding as a linear prefix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from torch import Tensor, nn

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model.config import LlamaDecoderConfig
from vljepa_ros.model.tokenizer import published_tokenizer, tensors
from vljepa_ros.model.transformer import Transformer
from vljepa_ros.model.weights import load_exactly, read_weights
from vljepa_ros.model.y_decoder import CausalDecoder
from vljepa_ros.tokenizer import TextTokenizer

_ROPE_THETA, _ROPE_FACTOR = 500_000.0, 32.0  # of Llama 3.2
_END = "<|end_of_text|>"


class LlamaDecoder(CausalDecoder):
    """Only the linear prefix is trained."""

    frozen = ("transformer.", "token_embedding.")
    config: LlamaDecoderConfig

    def __init__(self, config: LlamaDecoderConfig, embedding_dim: int) -> None:
        transformer = Transformer(
            config.width,
            config.layers,
            config.heads,
            config.kv_heads,
            config.ffn_width,
            rope_theta=_ROPE_THETA,
            rope_factor=_ROPE_FACTOR,
        )
        super().__init__(transformer, embedding_dim, config.vocabulary, config.prefix_tokens)
        self.config = config
        self.max_tokens = config.max_tokens
        self.transformer.requires_grad_(False)
        self.token_embedding.requires_grad_(False)

    @property
    def trained(self) -> nn.Module:
        """The linear prefix."""
        return self.prefix

    def load_pretrained(self) -> None:
        """Load the published Llama, whose last layer is its token embedding.

        Raises:
            CheckpointError: it is missing, damaged or does not fit.
        """
        published = read_weights(self.config.weights)
        published.pop("lm_head.weight", None)  # the same table, which some files have twice
        table = published.pop("model.embed_tokens.weight", None)
        embedding = {} if table is None else {"weight": table}
        load_exactly(self.token_embedding, embedding, self.config.weights)
        rest = {name.removeprefix("model."): tensor for name, tensor in published.items()}
        load_exactly(self.transformer, rest, self.config.weights)

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """Llama's, read with the first text."""
        return published_tokenizer(self.config.weights)

    @cached_property
    def start(self) -> tuple[int, ...]:
        """What Llama's tokenizer puts before every text."""
        return tuple(self.tokenizer.tokenizer.encode("").ids)

    @cached_property
    def end(self) -> int:
        """Number of the token that ends a text."""
        number = self.tokenizer.tokenizer.token_to_id(_END)
        if number is None:
            raise CheckpointError(f"the tokenizer of {self.config.weights} lacks {_END}")
        return number

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Llama's own numbers; it puts the start before a text, and we the end behind it."""
        ended = [f"{text}{_END}" for text in texts]
        return tensors(self.tokenizer, ended, self.config.max_tokens)

    @property
    def numbers(self) -> Sequence[int]:
        """See `CausalDecoder`."""
        return range(self.config.vocabulary)
