"""Y-Encoder: a text becomes an embedding; a sentence encoder with a linear head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model.tokenizer import tensors
from vljepa_ros.tokenizer import TextTokenizer


class YEncoder(nn.Module, ABC):
    """Mean over a text's tokens, then a linear head into the shared space (paper section 3.1).

    The paper does not say where the tokens are pooled. Here that is before the head, as both kinds
    of encoder were trained. Where only the last layers of an encoder are trained, they stand apart
    from `encoder`, which is frozen then and has to run only once a text.

    Args:
        encoder: module of transformers that takes input_ids and attention_mask.
        text_dim: width of its outputs.
        embedding_dim: D, width of the shared space.
        max_tokens: longer texts are cut.
        freeze: whether training leaves `encoder` alone.
        bias: of the head; without one, a head can start as the identity.

    Attributes:
        frozen: prefixes of the names of the tensors that training leaves alone.
        stored_as: type in which the trained tensors of a model fit into a file.
    """

    stored_as = torch.float16

    def __init__(
        self,
        encoder: nn.Module,
        text_dim: int,
        embedding_dim: int,
        max_tokens: int,
        freeze: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        self.text_dim = text_dim
        self.max_tokens = max_tokens
        self.frozen: tuple[str, ...] = ("encoder.",) if freeze else ()
        self.encoder = encoder.requires_grad_(False).eval() if freeze else encoder
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

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """Read with the first text, so that a model can be described without its files."""
        return self.load_tokenizer()

    def train(self, mode: bool = True) -> YEncoder:
        """Keep a frozen encoder in evaluation mode: its dropout must stay off."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def encoder_states(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """What `encoder` makes of texts: all that comes before the layers trained apart.

        Where `encoder` is frozen that never changes, so that training keeps it
        (`training/steps.py`).

        Returns:
            (B, L, text_dim) token states and (B, L) bool, False on padding.
        """
        ids, mask = tensors(self.tokenizer, texts, self.max_tokens)
        device = self.head.weight.device
        ids, mask = ids.to(device), mask.to(device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.states(ids, mask), mask

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """As `encoder_states`, of token numbers (B, L) int64 and their mask: (B, L, text_dim)."""
        states: Tensor = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states

    def trained_layers(self, states: Tensor, mask: Tensor) -> Tensor:
        """The layers above a frozen `encoder`, (B, L, text_dim) to the same; here there are none.

        Args:
            states: (B, L, text_dim) of `encoder_states`.
            mask: (B, L) bool, False on padding.
        """
        return states

    def pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """Sentence vectors (B, text_dim) of what `encoder_states` returns.

        The mean over the tokens, after the layers that are trained.
        """
        states = self.trained_layers(states, mask)
        weight = mask.unsqueeze(-1).to(states.dtype)
        return (states * weight).sum(1) / weight.sum(1)

    def embed(self, states: Tensor, mask: Tensor) -> Tensor:
        """Embeddings (B, D), L2-normalised, of what `encoder_states` returns."""
        embedded = self.head(self.pool(states, mask))
        return F.normalize(embedded.float(), dim=-1)  # in fp32 also under autocast

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed texts: (B, D), L2-normalised."""
        return self.embed(*self.encoder_states(texts))
