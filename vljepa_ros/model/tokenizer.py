"""Tokenizers of published models."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model.weights import find_weights, how_to_mend
from vljepa_ros.tokenizer import TextTokenizer


def published_tokenizer(weights: str) -> TextTokenizer:
    """The tokenizer that lies beside published weights.

    Args:
        weights: hub name or folder.

    Raises:
        CheckpointError: it is missing.
    """
    file = find_weights(weights, "tokenizer.json") / "tokenizer.json"
    if not file.is_file():
        raise CheckpointError(f"{file} is missing; {how_to_mend(file.parent, weights)}")
    return TextTokenizer(file)


def tensors(
    tokenizer: TextTokenizer, texts: Sequence[str], max_tokens: int
) -> tuple[Tensor, Tensor]:
    """What the tokenizer makes of texts: numbers (B, L) int64 and mask (B, L) bool."""
    ids, mask = tokenizer(texts, max_tokens)
    return torch.from_numpy(ids), torch.from_numpy(mask)
