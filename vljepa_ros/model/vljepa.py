"""VL-JEPA as a whole: frames and a query to an embedding, texts to embeddings, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model.config import VLJEPAConfig
from vljepa_ros.model.predictor import Predictor
from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.model.y_decoder import YDecoder
from vljepa_ros.model.y_encoder import TextTokenizer, YEncoder


class VLJEPA(nn.Module):
    """Four parts (paper section 2, figure 2).

    X-Encoder (frozen): frames to visual tokens. Predictor: tokens and query to the predicted
    embedding. Y-Encoder: text to the target embedding. Y-Decoder: embedding to text.
    """

    def __init__(self, config: VLJEPAConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = TextTokenizer()
        self.x_encoder = XEncoder().requires_grad_(False)
        self.y_encoder = YEncoder(config.y_encoder, config.embedding_dim)
        self.predictor = Predictor(
            config.predictor,
            config.window,
            token_dim=XEncoder.token_dim,
            tokens_per_frame=(config.x_encoder.image_size // XEncoder.stride) ** 2,
            query_dim=YEncoder.text_dim,
            embedding_dim=config.embedding_dim,
        )
        self.y_decoder = YDecoder(config.y_decoder, config.embedding_dim)

    def load_pretrained(self) -> None:
        """Fill the two frozen encoders from their packages.

        Raises:
            CheckpointError: a package is missing or damaged.
        """
        self.x_encoder = XEncoder.pretrained()
        self.y_encoder.load_pretrained()

    def forward(self, tokens: Tensor, queries: Sequence[str]) -> Tensor:
        """Predict the embedding of each query's answer.

        Args:
            tokens: (B, T, N, C) visual tokens of B windows, or (1, T, N, C) for all queries.
            queries: B texts.

        Returns:
            (B, D) L2-normalised.
        """
        ids, mask = self._tokenize(queries, self.config.predictor.max_query_tokens)
        query = self.y_encoder.token_embedding(ids)
        tokens = tokens.expand(len(queries), -1, -1, -1)
        return F.normalize(self.predictor(tokens, query, mask), dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Target embeddings of texts: (B, D) L2-normalised."""
        return self.y_encoder(*self._tokenize(texts, self.config.y_encoder.max_tokens))

    def decode(self, embeddings: Tensor) -> list[str]:
        """Texts of (B, D) L2-normalised embeddings, by greedy decoding."""
        rows = self.y_decoder.generate(embeddings)
        # WordPiece's clean-up joins commas and stops to the word before them, but no semicolon.
        return [self.tokenizer.tokenizer.decode(row).replace(" ;", ";") for row in rows]

    def _tokenize(self, texts: Sequence[str], max_tokens: int) -> tuple[Tensor, Tensor]:
        device = self.y_encoder.head.weight.device
        ids, mask = self.tokenizer(texts, max_tokens)
        return ids.to(device), mask.to(device)

    def trained_state(self) -> dict[str, Tensor]:
        """The tensors that training makes: everything but the two pretrained encoders."""
        return {
            name: tensor
            for name, tensor in self.state_dict().items()
            if not name.startswith(("x_encoder.", "y_encoder.encoder."))
        }


def stack_window(frames: Sequence[Tensor], length: int) -> Tensor:
    """Tokens of a window from those of its frames.

    Args:
        frames: 1 to `length` tensors (N, C), oldest first; the oldest is repeated when there
            are fewer, as the paper repeats an image to fill a clip (section 3.1).
        length: T.

    Returns:
        (1, T, N, C).
    """
    missing = length - len(frames)
    return torch.stack([frames[0]] * missing + list(frames)).unsqueeze(0)
