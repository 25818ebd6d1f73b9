"""Y-Decoder: an embedding becomes text. Absent from the main training, run only when needed.

The paper gives no architecture for it (section 2 calls it lightweight). Both kinds here read
the embedding as a prefix of a few tokens: a small causal transformer, and a frozen Llama.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.errors import InputError
from vljepa_ros.model.config import LlamaDecoderConfig, NoDecoderConfig, YDecoderConfig
from vljepa_ros.model.tokenizer import TextTokenizer
from vljepa_ros.model.transformer import Transformer

_NONE = "this model has no Y-Decoder yet: give candidates to choose from, or train one"
START, END = 101, 102  # [CLS] and [SEP] of the WordPiece vocabulary


class YDecoder(nn.Module):
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


class SmallDecoder(YDecoder):
    """Causal decoder over the part of the WordPiece vocabulary that training texts use.

    `token_ids` (V,) maps its own token numbers to WordPiece; 0 is [PAD], 1 [CLS], 2 [SEP].

    Args:
        config: size.
        embedding_dim: D.
        tokenizer: WordPiece.
    """

    config: YDecoderConfig
    token_ids: Tensor

    def __init__(
        self, config: YDecoderConfig, embedding_dim: int, tokenizer: TextTokenizer
    ) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.prefix = nn.Linear(embedding_dim, config.prefix_tokens * config.width)
        self.transformer = Transformer(
            config.width, config.layers, config.heads, config.heads, config.ffn_width
        )
        self.register_buffer("token_ids", None)
        self._set_vocabulary(torch.zeros(config.vocabulary, dtype=torch.int32))

    def learn_words(self, texts: Sequence[str]) -> None:
        """Take the WordPiece numbers that `texts` use for its vocabulary."""
        self._set_vocabulary(vocabulary_of(self.tokenizer, texts))

    def _set_vocabulary(self, token_ids: Tensor) -> None:
        self.config = replace(self.config, vocabulary=len(token_ids))
        self.token_ids = token_ids
        self.token_embedding = nn.Embedding(len(token_ids), self.config.width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """A word that it does not know ends the text."""
        own = {int(number): i for i, number in enumerate(self.token_ids.tolist())}
        ids, mask = self.tokenizer(texts, self.config.max_tokens)
        tokens = torch.tensor([[own.get(int(i), own[END]) for i in row] for row in ids])
        return tokens, mask

    def forward(self, embeddings: Tensor, tokens: Tensor) -> Tensor:
        """See `YDecoder`."""
        prefix = self.prefix(embeddings).unflatten(-1, (self.config.prefix_tokens, -1))
        x = torch.cat([prefix, self.token_embedding(tokens)], dim=1)
        x = self.transformer(x, causal=True)[:, self.config.prefix_tokens :]
        return F.linear(x, self.token_embedding.weight)

    @torch.no_grad()
    def generate(self, embeddings: Tensor) -> tuple[list[str], Tensor]:
        """See `YDecoder`."""
        tokens = torch.ones(len(embeddings), 1, dtype=torch.long, device=embeddings.device)
        ended = torch.zeros(len(embeddings), dtype=torch.bool, device=embeddings.device)
        probability = torch.ones(len(embeddings), device=embeddings.device)
        while tokens.shape[1] < self.config.max_tokens and not bool(ended.all()):
            share, best = self(embeddings, tokens)[:, -1].softmax(-1).max(-1)
            probability = torch.where(ended, probability, probability * share)
            best = best.masked_fill(ended, 2)
            tokens = torch.cat([tokens, best[:, None]], dim=1)
            ended |= best == 2
        rows = [self.token_ids[row[row > 2]].tolist() for row in tokens]
        # WordPiece's clean-up joins commas and stops to the word before them, but no semicolon.
        texts = [self.tokenizer.tokenizer.decode(row).replace(" ;", ";") for row in rows]
        return texts, probability


def vocabulary_of(tokenizer: TextTokenizer, texts: Sequence[str]) -> Tensor:
    """WordPiece numbers that `texts` use, after [PAD], [CLS] and [SEP]: (V,) int32."""
    used = {i for e in tokenizer.tokenizer.encode_batch(list(texts)) for i in e.ids}
    return torch.tensor([0, START, END, *sorted(used - {0, START, END})], dtype=torch.int32)
