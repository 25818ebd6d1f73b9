"""Predictor: visual tokens and a query become the predicted target embedding in one pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vljepa_ros.model.config import PredictorConfig, WindowConfig
from vljepa_ros.model.transformer import Transformer
from vljepa_ros.model.weights import load_exactly, read_weights
from vljepa_ros.model.x_encoder import XEncoder


class Predictor(nn.Module):
    """Bidirectional Llama-style transformer over visual and query tokens (paper section 3.1).

    Visual tokens come first, then the query. The output is averaged over all positions that
    are not padding and projected linearly into the shared space. Not in the paper, and only for
    X-Encoders that need it: class tokens, and (`adapt_tokens`) visual tokens that are normalised
    and told their place and time.

    Args:
        config: size of the transformer.
        window: frames of a window, and how many tokens of a place are joined.
        x_encoder: which makes the visual tokens: N of width C for each `tubelet` of frames.
        query_dim: width of the frozen token embedding of the query.
        embedding_dim: D, width of the shared space.
    """

    frozen = ()  # nothing

    def __init__(
        self,
        config: PredictorConfig,
        window: WindowConfig,
        x_encoder: XEncoder,
        query_dim: int,
        embedding_dim: int,
    ) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.tubelet = window.tubelet
        self.class_tokens, self.class_dim = x_encoder.class_tokens, x_encoder.class_dim
        self.visual_projection = nn.Linear(x_encoder.token_dim * window.tubelet, width)
        if self.class_tokens:
            self.class_projection = nn.Linear(self.class_dim * window.tubelet, width)
        self.query_projection = nn.Linear(query_dim, width)
        if config.adapt_tokens:
            # No scale of its own: the projection has one, so nothing before it needs a gradient.
            self.visual_norm = nn.LayerNorm(x_encoder.token_dim, elementwise_affine=False)
            # A convolutional X-Encoder leaves no trace of place or time in its tokens.
            times = window.frames // (x_encoder.tubelet * window.tubelet)
            self.time_embedding = nn.Parameter(torch.randn(times, 1, width) * 0.02)
            self.place_embedding = nn.Parameter(
                torch.randn(x_encoder.tokens_per_frame, width) * 0.02
            )
        self.transformer = Transformer(
            width,
            config.layers,
            config.heads,
            config.kv_heads,
            config.ffn_width,
            config.dropout,
            config.rope_theta,
            config.rope_factor,
        )
        self.output_projection = nn.Linear(width, embedding_dim)

    def load_pretrained(self) -> None:
        """Start from the layers of a published Llama, if the configuration names one.

        The query's projection in front of them (paper figure 2) starts as the identity then, where
        the widths agree, so that the query reaches them as Llama embeds it.

        Raises:
            CheckpointError: they are missing, damaged or do not fit.
        """
        if not self.config.weights:
            return
        tensors = read_weights(self.config.weights)
        wanted = {"norm.weight": "model.norm.weight"}
        for name in self.transformer.state_dict():
            if name.startswith("layers."):
                _, number, rest = name.split(".", 2)
                layer = int(number) + self.config.first_layer
                wanted[name] = f"model.layers.{layer}.{rest}"
        found = {ours: tensors[theirs] for ours, theirs in wanted.items() if theirs in tensors}
        load_exactly(self.transformer, found, self.config.weights)
        projection = self.query_projection
        if projection.in_features == projection.out_features:
            nn.init.eye_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, tokens: Tensor, query: Tensor, query_mask: Tensor) -> Tensor:
        """Predict the target embedding.

        Args:
            tokens: (B, T', N, C) visual tokens of the X-Encoder, oldest first, where T' is the
                window's frames / the X-Encoder's `tubelet`; or (1, T', N, C) for all queries.
            query: (B, L, query_dim) token embeddings of the query.
            query_mask: (B, L) bool, False on padding.

        Returns:
            (B, D), not normalised.
        """
        # One window that all queries share is projected once.
        visual = self.visual(tokens).expand(query.shape[0], -1, -1)
        x = torch.cat([visual, self.query_projection(query)], dim=1)
        mask = torch.cat([query_mask.new_ones(visual.shape[:2]), query_mask], dim=1)
        x = self.transformer(x, mask)
        weight = mask.unsqueeze(-1).to(x.dtype)
        return self.output_projection((x * weight).sum(1) / weight.sum(1))

    def visual(self, tokens: Tensor) -> Tensor:
        """What the transformer reads of visual tokens.

        Args:
            tokens: (B, T', N, C), as in `forward`.

        Returns:
            (B, T' / tubelet * N, width); `tubelet` is that of the window.
        """
        seen, classes = tokens.split([tokens.shape[2] - self.class_tokens, self.class_tokens], 2)
        # Autocast norms in fp32; what follows would copy twice as much.
        x = self.visual_norm(seen).to(seen.dtype) if self.config.adapt_tokens else seen
        x = self.visual_projection(self._join(x))  # (B, T' / tubelet, N, width)
        if self.class_tokens:
            # A certain class has a vector of length 1, so that its elements become of size 1.
            vectors = classes[..., : self.class_dim] * self.class_dim**0.5
            x = torch.cat([x, self.class_projection(self._join(vectors))], dim=2)
        if self.config.adapt_tokens:
            x = x + self.time_embedding + self.place_embedding
        return x.flatten(1, 2)

    def _join(self, tokens: Tensor) -> Tensor:
        """Tokens of a place that are neighbours in time side by side: (B, T' / tubelet, N, _)."""
        return tokens.unflatten(1, (-1, self.tubelet)).transpose(2, 3).flatten(3)
