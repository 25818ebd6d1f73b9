"""Texts as padded tensors of token numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model.weights import find_weights


class TextTokenizer:
    """A tokenizer of the Hugging Face format, as padded tensors.

    Args:
        file: tokenizer.json.
    """

    def __init__(self, file: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(file))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def __call__(self, texts: Sequence[str], max_tokens: int) -> tuple[Tensor, Tensor]:
        """Tokenize and pad.

        Returns:
            Token numbers (B, L) int64 and mask (B, L) bool, False on padding; L is at most
            `max_tokens`. Longer texts are cut, keeping the last token, which may close them.
        """
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        rows = [r if len(r) <= max_tokens else [*r[: max_tokens - 1], r[-1]] for r in rows]
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        return ids, torch.arange(ids.shape[1]) < lengths[:, None]


def published_tokenizer(weights: str) -> TextTokenizer:
    """The tokenizer that lies beside published weights.

    Args:
        weights: hub name or folder.

    Raises:
        CheckpointError: it is missing.
    """
    file = find_weights(weights) / "tokenizer.json"
    if not file.is_file():
        raise CheckpointError(f"{file} is missing; copy the whole folder of {weights}")
    return TextTokenizer(file)
