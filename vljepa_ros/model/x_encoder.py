"""X-Encoder: frames become visual tokens (paper section 3.1). Frozen, whichever kind it is."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn


class XEncoder(nn.Module):
    """What is done once a frame, and what is done once a window.

    Attributes:
        token_dim: C, the width of a visual token.
        tokens_per_frame: N.
    """

    frozen = ""  # all of it
    token_dim: int
    tokens_per_frame: int

    @abstractmethod
    def encode_frames(self, frames: Tensor) -> Tensor:
        """The part of the work that a frame needs only once, whatever windows it is in.

        Args:
            frames: (F, 3, S, S) uint8 RGB.

        Returns:
            (F, ...) what `forward` takes of each frame.
        """

    @abstractmethod
    def forward(self, window: Tensor) -> Tensor:
        """The rest of the work, for whole windows.

        Args:
            window: (B, T, ...) results of `encode_frames`, oldest first.

        Returns:
            (B, T', N, C) visual tokens; T' is T over the frames that share a token.
        """

    @abstractmethod
    def load_pretrained(self) -> None:
        """Fill it with its published weights.

        Raises:
            CheckpointError: they are missing, damaged or do not fit.
        """
