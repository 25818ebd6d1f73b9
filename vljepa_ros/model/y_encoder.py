"""Y-Encoder: a text becomes an embedding; a sentence encoder with a linear head."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model.tokenizer import TextTokenizer


class YEncoder(nn.Module):
    """Mean over a text's tokens, then a linear head into the shared space (paper section 3.1).

    Args:
        encoder: module of transformers that takes input_ids and attention_mask.
        text_dim: width of its outputs.
        embedding_dim: D, width of the shared space.
        max_tokens: longer texts are cut.
        frozen: prefix of the names of the tensors that training leaves alone; None for none.
        bias: of the head; without one, a head can start as the identity.
    """

    def __init__(
        self,
        encoder: nn.Module,
        text_dim: int,
        embedding_dim: int,
        max_tokens: int,
        frozen: str | None,
        bias: bool,
    ) -> None:
        super().__init__()
        self.text_dim = text_dim
        self.max_tokens = max_tokens
        self.frozen = frozen
        self.encoder = encoder if frozen is None else encoder.requires_grad_(False).eval()
        self.head = nn.Linear(text_dim, embedding_dim, bias=bias)

    @abstractmethod
    def load_pretrained(self) -> None:
        """Fill the encoder with its published weights.

        Raises:
            CheckpointError: they are missing, damaged or do not fit.
        """

    @abstractmethod
    def load_tokenizer(self) -> TextTokenizer:
        """Read the tokenizer of the published weights."""

    @property
    def trained(self) -> nn.Module:
        """The part that training changes."""
        return self if self.frozen is None else self.head

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """Read with the first text, so that a model can be described without its files."""
        return self.load_tokenizer()

    def train(self, mode: bool = True) -> YEncoder:
        """Keep a frozen encoder in evaluation mode: its dropout must stay off."""
        super().train(mode)
        if self.frozen is not None:
            self.encoder.eval()
        return self

    def sentence_vectors(self, texts: Sequence[str]) -> Tensor:
        """Mean over each text's tokens, before the head: (B, text_dim); constant while frozen."""
        ids, mask = self.tokenizer(texts, self.max_tokens)
        device = self.head.weight.device
        ids, mask = ids.to(device), mask.to(device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.frozen is None):
            x = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            weight = mask.unsqueeze(-1).to(x.dtype)
            return (x * weight).sum(1) / weight.sum(1)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed texts: (B, D), L2-normalised."""
        return F.normalize(self.head(self.sentence_vectors(texts)), dim=-1)
