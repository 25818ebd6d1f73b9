"""The query's tokens: a tokenizer and a frozen token embedding (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from torch import Tensor, nn

from vljepa_ros.model.config import LlamaQueryConfig
from vljepa_ros.model.tokenizer import published_tokenizer, tensors
from vljepa_ros.model.weights import load_exactly, read_weights
from vljepa_ros.tokenizer import TextTokenizer


class Query(nn.Module):
    """Texts to token embeddings that the predictor appends to the visual tokens.

    Args:
        embedding: the frozen table.
        tokenizer: loads its tokenizer, when the first text comes.
        max_tokens: longer queries are cut.

    Attributes:
        dim: width of the token embeddings.
    """

    frozen = ("",)  # prefixes of names, of which every name has this one: all of it

    def __init__(
        self, embedding: nn.Embedding, tokenizer: Callable[[], TextTokenizer], max_tokens: int
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.dim = embedding.embedding_dim
        self.max_tokens = max_tokens
        self._tokenizer = tokenizer

    @property
    def tokenizer(self) -> TextTokenizer:
        """Of the queries."""
        return self._tokenizer()

    def forward(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(B, L, dim) token embeddings and (B, L) bool, False on padding."""
        device = self.embedding.weight.device
        ids, mask = tensors(self.tokenizer, texts, self.max_tokens)
        return self.embedding(ids.to(device)), mask.to(device)

    def load_pretrained(self) -> None:
        """Nothing to do: the table belongs to another part, which loads it."""


class LlamaQuery(Query):
    """Llama's tokenizer and token embedding."""

    def __init__(self, config: LlamaQueryConfig) -> None:
        super().__init__(
            nn.Embedding(config.vocabulary, config.width),
            cache(lambda: published_tokenizer(config.weights)),
            config.max_tokens,
        )
        self.weights = config.weights

    def load_pretrained(self) -> None:
        """Load the published table.

        Raises:
            CheckpointError: it is missing, damaged or does not fit.
        """
        tensors = read_weights(self.weights)
        table = tensors.get("model.embed_tokens.weight")
        load_exactly(self.embedding, {} if table is None else {"weight": table}, self.weights)
