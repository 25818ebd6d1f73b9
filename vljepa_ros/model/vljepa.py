"""VL-JEPA as a whole: frames and a query to an embedding, texts to embeddings, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model.config import VLJEPAConfig
from vljepa_ros.model.parts import build_query, build_x_encoder, build_y_decoder, build_y_encoder
from vljepa_ros.model.predictor import Predictor


class VLJEPA(nn.Module):
    """Four parts (paper section 2, figure 2), and the query's tokens.

    X-Encoder (frozen): frames to visual tokens. Predictor: tokens and query to the predicted
    embedding. Y-Encoder: text to the target embedding. Y-Decoder: embedding to text.
    """

    conditioned = True

    def __init__(self, config: VLJEPAConfig) -> None:
        super().__init__()
        self.config = config
        self.name = config.name
        self.embedding_dim = config.embedding_dim
        self.image_size = config.x_encoder.image_size
        self.window = config.window
        self.decodes = config.y_decoder.decodes
        self.x_encoder = build_x_encoder(config.x_encoder)
        self.y_encoder = build_y_encoder(config.y_encoder, config.embedding_dim)
        self.query = build_query(config.query, self.y_encoder)
        self.predictor = Predictor(
            config.predictor,
            config.window,
            self.x_encoder,
            query_dim=self.query.dim,
            embedding_dim=config.embedding_dim,
        )
        self.y_decoder = build_y_decoder(config.y_decoder, config.embedding_dim, self.y_encoder)
        for part in (self.x_encoder, self.query):
            part.requires_grad_(False).eval()

    @property
    def temperature(self) -> float:
        """Of the softmax over candidates."""
        return self.config.temperature

    def encode_frames(self, frames: Tensor) -> Tensor:
        """What a frame needs only once: (F, 3, S, S) uint8 RGB to (F, ...)."""
        return self.x_encoder.encode_frames(frames)

    def forward(self, window: Tensor, queries: Sequence[str]) -> Tensor:
        """Predict the embedding of each query's answer.

        Args:
            window: (B, T, ...) results of `encode_frames` for the frames of B windows, or
                (1, T, ...) for all queries.
            queries: B texts.

        Returns:
            (B, D) L2-normalised.
        """
        return self.predict(self.encode_window(window), queries)

    def encode_window(self, window: Tensor) -> Tensor:
        """Visual tokens of windows: (B, T, ...) of `encode_frames` to (B, T', N, C)."""
        tokens: Tensor = self.x_encoder(window)
        return tokens

    def predict(self, tokens: Tensor, queries: Sequence[str]) -> Tensor:
        """As `forward`, from the tokens of `encode_window`."""
        query, mask = self.query(queries)
        # In fp32 also under autocast: a length of 1 to three digits is none.
        return F.normalize(self.predictor(tokens, query, mask).float(), dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Target embeddings of texts: (B, D) L2-normalised."""
        return self.y_encoder(texts)

    def decode(self, embeddings: Tensor) -> tuple[list[str], Tensor]:
        """Texts of (B, D) L2-normalised embeddings, and their probabilities (B,)."""
        return self.y_decoder.generate(embeddings)

    def train(self, mode: bool = True) -> VLJEPA:
        """Keep what is frozen in evaluation mode."""
        super().train(mode)
        self.x_encoder.eval()
        self.query.eval()
        return self

    def learn_words(self, texts: Sequence[str]) -> None:
        """Let the Y-Decoder know which words it will have to say, before it is trained."""
        self.y_decoder.learn_words(texts)
        self.config = replace(self.config, y_decoder=self.y_decoder.config)

    def load_pretrained(self) -> None:
        """Fill all parts from published weights, as training begins.

        Raises:
            CheckpointError: weights are missing, damaged or do not fit.
        """
        for part in self.children():
            part.load_pretrained()  # type: ignore[operator]
        self.x_encoder.learn_classes(
            lambda texts: self.y_encoder.pool(*self.y_encoder.encoder_states(texts))
        )

    def load_frozen(self) -> None:
        """Fill the parts that training left alone; the others come from a checkpoint.

        Raises:
            CheckpointError: weights are missing, damaged or do not fit.
        """
        for part in self.children():
            if part.frozen:
                part.load_pretrained()  # type: ignore[operator]

    def trained_state(self) -> dict[str, Tensor]:
        """The tensors that training makes: those that no part declares frozen."""
        frozen = tuple(
            f"{name}.{prefix}"
            for name, part in self.named_children()
            for prefix in part.frozen  # type: ignore[union-attr]
        )
        return {k: tensor for k, tensor in self.state_dict().items() if not k.startswith(frozen)}
