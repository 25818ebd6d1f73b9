"""Y-Decoder: an embedding becomes text. Absent from the main training, run only when needed.

The paper gives no architecture for it (section 2 calls it lightweight); ours is a small causal
transformer that reads the embedding as a prefix of a few tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model.config import YDecoderConfig
from vljepa_ros.model.transformer import Transformer
from vljepa_ros.model.y_encoder import TextTokenizer

START, END = 101, 102  # [CLS] and [SEP] of the WordPiece vocabulary


class YDecoder(nn.Module):
    """Causal decoder over the part of the WordPiece vocabulary that training texts use.

    `token_ids` (V,) maps its own token numbers to WordPiece; 0 is [PAD], 1 [CLS], 2 [SEP].
    """

    token_ids: Tensor

    def __init__(self, config: YDecoderConfig, embedding_dim: int) -> None:
        super().__init__()
        self.config = config
        self.prefix = nn.Linear(embedding_dim, config.prefix_tokens * config.width)
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        self.transformer = Transformer(
            config.width, config.layers, config.heads, config.heads, config.ffn_width
        )
        self.register_buffer("token_ids", torch.zeros(config.vocabulary, dtype=torch.int32))

    def forward(self, embeddings: Tensor, tokens: Tensor) -> Tensor:
        """Logits of the next token, with teacher forcing.

        Args:
            embeddings: (B, D) L2-normalised.
            tokens: (B, L) own token numbers, the first one START's.

        Returns:
            (B, L, V) logits; position i predicts token i + 1.
        """
        prefix = self.prefix(embeddings).unflatten(-1, (self.config.prefix_tokens, -1))
        x = torch.cat([prefix, self.token_embedding(tokens)], dim=1)
        x = self.transformer(x, causal=True)[:, self.config.prefix_tokens :]
        return F.linear(x, self.token_embedding.weight)

    @torch.no_grad()
    def generate(self, embeddings: Tensor) -> list[list[int]]:
        """Decode greedily.

        Args:
            embeddings: (B, D) L2-normalised.

        Returns:
            B lists of WordPiece token numbers, without the special ones.
        """
        tokens = torch.ones(len(embeddings), 1, dtype=torch.long, device=embeddings.device)
        ended = torch.zeros(len(embeddings), dtype=torch.bool, device=embeddings.device)
        while tokens.shape[1] < self.config.max_tokens and not bool(ended.all()):
            best = self(embeddings, tokens)[:, -1].argmax(-1).masked_fill(ended, 2)
            tokens = torch.cat([tokens, best[:, None]], dim=1)
            ended |= best == 2
        return [[int(i) for i in self.token_ids[row[row > 2]]] for row in tokens]


def vocabulary_of(tokenizer: TextTokenizer, texts: Sequence[str]) -> Tensor:
    """WordPiece numbers that `texts` use, after [PAD], [CLS] and [SEP]: (V,) int32."""
    used = {i for e in tokenizer.tokenizer.encode_batch(list(texts)) for i in e.ids}
    return torch.tensor([0, START, END, *sorted(used - {0, START, END})], dtype=torch.int32)
