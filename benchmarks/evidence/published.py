"""MiniLM as it was published, before any training of ours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vljepa_ros.model.config import MiniLMConfig
from vljepa_ros.model.minilm import MiniLM
from vljepa_ros.training.paraphrases import Embed

_DIM = 384  # its own
_BATCH = 64  # texts


def published_embed() -> Embed:
    """Embeddings (K, 384) of texts: the head into the shared space starts as the identity."""
    minilm = MiniLM(MiniLMConfig(), _DIM).eval()
    minilm.load_pretrained()

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = minilm(texts).numpy()
        return found

    return embedding_once(embed)


def embedding_once(embed: Embed) -> Embed:
    """Embeds each text once, those of like length together; embeddings are kept."""
    known: dict[str, NDArray[np.float32]] = {}

    def all_of(texts: Sequence[str]) -> NDArray[np.float32]:
        new = sorted(set(texts) - known.keys(), key=lambda text: (len(text), text))
        for first in range(0, len(new), _BATCH):
            some = new[first : first + _BATCH]
            known.update(zip(some, embed(some), strict=True))
        return np.stack([known[text] for text in texts])

    return all_of
