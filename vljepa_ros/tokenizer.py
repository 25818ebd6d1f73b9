"""Texts as padded arrays of token numbers, and back; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer


class TextTokenizer:
    """A tokenizer of the Hugging Face format.

    Args:
        file: tokenizer.json.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.tokenizer = Tokenizer.from_file(str(file))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def __call__(
        self, texts: Sequence[str], max_tokens: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Tokenize and pad.

        Returns:
            Token numbers (B, L) and mask (B, L), False on padding; L is at most `max_tokens`.
            Longer texts are cut, keeping the last token, which may close them.
        """
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        rows = [r if len(r) <= max_tokens else [*r[: max_tokens - 1], r[-1]] for r in rows]
        lengths = np.array([len(row) for row in rows])
        ids = np.zeros((len(rows), lengths.max()), dtype=np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
        return ids, np.arange(ids.shape[1]) < lengths[:, None]

    def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Texts of token numbers, without those that only mark something."""
        told = self.tokenizer.decode_batch([list(row) for row in rows])
        # WordPiece's clean-up joins commas and stops to the word before them, but no semicolon.
        return [text.replace(" ;", ";").strip() for text in told]
