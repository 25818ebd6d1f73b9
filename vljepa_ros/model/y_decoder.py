"""Y-Decoder: an embedding becomes text. Absent from the main training, run only when needed.

The paper gives no architecture for it (section 2 calls it lightweight). Both kinds here read
the embedding as a prefix of a few tokens: a small causal transformer, and a frozen Llama.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.errors import InputError
from vljepa_ros.model.config import LlamaDecoderConfig, NoDecoderConfig, YDecoderConfig
from vljepa_ros.model.tokenizer import tensors
from vljepa_ros.model.transformer import Transformer
from vljepa_ros.tokenizer import TextTokenizer

_NONE = "this model has no Y-Decoder yet: give candidates to choose from, or train one"
START, END = 101, 102  # [CLS] and [SEP] of the WordPiece vocabulary


class YDecoder(nn.Module, ABC):
    """What training and the model need of a decoder.

    Attributes:
        frozen: prefixes of the names of the tensors that training leaves alone.
    """

    frozen: tuple[str, ...] = ()
    config: YDecoderConfig | LlamaDecoderConfig | NoDecoderConfig

    @property
    def trained(self) -> nn.Module:
        """The part that training changes."""
        return self

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Own token numbers of texts, from start to end: (B, L) int64 and the mask (B, L)."""

    @abstractmethod
    def forward(self, embeddings: Tensor, tokens: Tensor) -> Tensor:
        """Logits of the next token, with teacher forcing.

        Args:
            embeddings: (B, D) L2-normalised.
            tokens: (B, L) of `tokenize`.

        Returns:
            (B, L, V) logits; position i predicts token i + 1.
        """

    @abstractmethod
    def generate(self, embeddings: Tensor) -> tuple[list[str], Tensor]:
        """Texts of (B, D) L2-normalised embeddings, by greedy decoding.

        Returns:
            B texts, and (B,) the probability that the decoder gives to each.
        """

    def learn_words(self, texts: Sequence[str]) -> None:
        """Prepare for the words of `texts`, before training; nothing, where it knows them all."""

    def load_pretrained(self) -> None:
        """Fill what is published; nothing, where all of it is trained here."""


class NoDecoder(YDecoder):
    """Refuses, so that a model without a decoder can still embed, rank and answer."""

    def __init__(self) -> None:
        super().__init__()
        self.config = NoDecoderConfig()

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Always refused."""
        raise InputError(_NONE)

    def forward(self, embeddings: Tensor, tokens: Tensor) -> Tensor:
        """Always refused."""
        raise InputError(_NONE)

    def generate(self, embeddings: Tensor) -> tuple[list[str], Tensor]:
        """Always refused."""
        raise InputError(_NONE)


class CausalDecoder(YDecoder):
    """A causal transformer that reads the embedding as a prefix, then its own tokens.

    Args:
        transformer: of width W.
        embedding_dim: D.
        vocabulary: V, number of tokens that it can say.
        prefix_tokens: into how many positions an embedding is turned.

    Attributes:
        max_tokens: of a text, from start to end.
    """

    max_tokens: int

    def __init__(
        self, transformer: Transformer, embedding_dim: int, vocabulary: int, prefix_tokens: int
    ) -> None:
        super().__init__()
        self.width = transformer.norm.weight.numel()
        self.prefix_tokens = prefix_tokens
        self.prefix = nn.Linear(embedding_dim, prefix_tokens * self.width)
        self.transformer = transformer
        self.token_embedding = nn.Embedding(vocabulary, self.width)

    @property
    @abstractmethod
    def tokenizer(self) -> TextTokenizer:
        """Of the texts."""

    @property
    @abstractmethod
    def start(self) -> tuple[int, ...]:
        """Token numbers that every text begins with."""

    @property
    @abstractmethod
    def end(self) -> int:
        """The token number that every text ends with."""

    @property
    @abstractmethod
    def numbers(self) -> Sequence[int]:
        """The tokenizer's number of each own token."""

    def texts_of(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Texts of own token numbers, without start and end."""
        numbers = self.numbers
        return self.tokenizer.texts([[numbers[token] for token in row] for row in rows])

    def read(self, embeddings: Tensor) -> Tensor:
        """The prefix (B, prefix_tokens, W) that stands for (B, D) embeddings."""
        return self.prefix(embeddings).unflatten(-1, (self.prefix_tokens, -1))

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, V) of the token that follows, and the cache; see `Transformer.extend`."""
        x, present = self.transformer.extend(x, past)
        return F.linear(x[:, -1], self.token_embedding.weight), present

    def forward(self, embeddings: Tensor, tokens: Tensor) -> Tensor:
        """See `YDecoder`."""
        x = torch.cat([self.read(embeddings), self.token_embedding(tokens)], dim=1)
        x = self.transformer(x, causal=True)[:, self.prefix_tokens :]
        return F.linear(x, self.token_embedding.weight)

    @torch.no_grad()
    def generate(self, embeddings: Tensor) -> tuple[list[str], Tensor]:
        """See `YDecoder`."""
        batch, device = len(embeddings), embeddings.device
        start = torch.tensor([self.start] * batch, device=device)
        x = torch.cat([self.read(embeddings), self.token_embedding(start)], dim=1)
        past = self.transformer.no_past(batch)
        ended = torch.zeros(batch, dtype=torch.bool, device=device)
        probability = torch.ones(batch, device=device)
        rows = []
        for _ in range(self.max_tokens - len(self.start)):
            logits, past = self.step(x, past)
            share, token = logits.float().softmax(-1).max(-1)
            probability = torch.where(ended, probability, probability * share)
            token = token.masked_fill(ended, self.end)
            rows.append(token)
            ended = token == self.end
            if bool(ended.all()):
                break
            x = self.token_embedding(token[:, None])
        told = torch.stack(rows, dim=1).tolist()
        return self.texts_of([[t for t in row if t != self.end] for row in told]), probability


class SmallDecoder(CausalDecoder):
    """Says the part of the WordPiece vocabulary that training texts use.

    `token_ids` (V,) maps its own token numbers to WordPiece; 0 is [PAD], 1 [CLS], 2 [SEP].

    Args:
        config: size.
        embedding_dim: D.
        tokenizer: WordPiece.
    """

    config: YDecoderConfig
    token_ids: Tensor
    start, end = (1,), 2

    def __init__(
        self, config: YDecoderConfig, embedding_dim: int, tokenizer: TextTokenizer
    ) -> None:
        transformer = Transformer(
            config.width, config.layers, config.heads, config.heads, config.ffn_width
        )
        super().__init__(transformer, embedding_dim, config.vocabulary, config.prefix_tokens)
        self.config = config
        self.max_tokens = config.max_tokens
        self._tokenizer = tokenizer
        self.register_buffer("token_ids", None)
        self._set_vocabulary(torch.zeros(config.vocabulary, dtype=torch.int32))

    @property
    def tokenizer(self) -> TextTokenizer:
        """See `CausalDecoder`."""
        return self._tokenizer

    def learn_words(self, texts: Sequence[str]) -> None:
        """Take the WordPiece numbers that `texts` use for its vocabulary."""
        self._set_vocabulary(vocabulary_of(self.tokenizer, texts))

    def _set_vocabulary(self, token_ids: Tensor) -> None:
        self.config = replace(self.config, vocabulary=len(token_ids))
        self.token_ids = token_ids
        self.token_embedding = nn.Embedding(len(token_ids), self.config.width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """See `YDecoder`. A word that it does not know ends the text, and the mask with it."""
        own = {int(number): i for i, number in enumerate(self.token_ids.tolist())}
        ids, mask = tensors(self.tokenizer, texts, self.config.max_tokens)
        tokens = torch.tensor([[own.get(int(i), own[END]) for i in row] for row in ids])
        ends = (tokens == self.end).long()
        return tokens, mask & (ends.cumsum(1) == ends)

    @property
    def numbers(self) -> Sequence[int]:
        """See `CausalDecoder`."""
        numbers: list[int] = self.token_ids.tolist()
        return numbers


def vocabulary_of(tokenizer: TextTokenizer, texts: Sequence[str]) -> Tensor:
    """WordPiece numbers that `texts` use, after [PAD], [CLS] and [SEP]: (V,) int32."""
    used = {i for e in tokenizer.tokenizer.encode_batch(list(texts)) for i in e.ids}
    return torch.tensor([0, START, END, *sorted(used - {0, START, END})], dtype=torch.int32)
