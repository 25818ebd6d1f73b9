"""Y-Encoder: a text becomes an embedding. MiniLM-L6-v2, frozen, with a trained linear head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model.config import YEncoderConfig
from vljepa_ros.model.pretrained import minilm_tokenizer_file, minilm_weights


class YEncoder(nn.Module):
    """Sentence encoder with mean pooling (as all-MiniLM-L6-v2 was trained), then the head.

    Attributes:
        text_dim: width of MiniLM's sentence vectors.
    """

    text_dim = 384

    def __init__(self, config: YEncoderConfig, embedding_dim: int) -> None:
        # Imported here because transformers takes seconds to import.
        from transformers import BertConfig, BertModel

        super().__init__()
        self.max_tokens = config.max_tokens
        bert = BertConfig(
            hidden_size=self.text_dim,
            num_hidden_layers=6,
            num_attention_heads=12,
            intermediate_size=1536,
        )
        self.encoder = BertModel(bert, add_pooling_layer=False).requires_grad_(False).eval()
        self.head = nn.Linear(self.text_dim, embedding_dim, bias=False)
        nn.init.eye_(self.head.weight)  # start from MiniLM's own space

    def load_pretrained(self) -> None:
        """Load MiniLM's published weights.

        Raises:
            CheckpointError: the package is missing or damaged.
        """
        weights = minilm_weights()
        names = self.encoder.state_dict()
        self.encoder.load_state_dict({k: v for k, v in weights.items() if k in names}, strict=True)

    def train(self, mode: bool = True) -> YEncoder:
        """Keep the frozen encoder in evaluation mode: its dropout must stay off."""
        super().train(mode)
        self.encoder.eval()
        return self

    @torch.no_grad()
    def sentence_vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The frozen part.

        Args:
            ids: (B, L) WordPiece token numbers.
            mask: (B, L) bool, False on padding.

        Returns:
            (B, 384) L2-normalised sentence vectors, which training caches.
        """
        x = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        weight = mask.unsqueeze(-1).to(x.dtype)
        return F.normalize((x * weight).sum(1) / weight.sum(1), dim=-1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embed texts: (B, L) token numbers and mask to (B, D), L2-normalised."""
        return F.normalize(self.head(self.sentence_vectors(ids, mask)), dim=-1)

    @property
    def token_embedding(self) -> nn.Embedding:
        """Frozen (30522, 384) table that the predictor's query path shares."""
        table = self.encoder.embeddings.word_embeddings
        assert isinstance(table, nn.Embedding)
        return table


class TextTokenizer:
    """WordPiece tokenizer of MiniLM, as padded tensors."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer.from_file(str(minilm_tokenizer_file()))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def __call__(self, texts: Sequence[str], max_tokens: int) -> tuple[Tensor, Tensor]:
        """Tokenize and pad.

        Returns:
            Token numbers (B, L) int64 and mask (B, L) bool, L at most `max_tokens`; longer
            texts are cut, keeping the closing [SEP].
        """
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        rows = [r if len(r) <= max_tokens else [*r[: max_tokens - 1], r[-1]] for r in rows]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        return ids, ids != 0  # token 0 is [PAD]
