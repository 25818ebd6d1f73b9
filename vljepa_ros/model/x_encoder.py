"""X-Encoder: frames become visual tokens (paper section 3.1). Frozen, whichever kind it is."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor, nn


class XEncoder(nn.Module, ABC):
    """What is done once a frame, and what is done once a window.

    Attributes:
        frozen: prefixes of the names of the tensors that training leaves alone.
        frame_wise: whether `encode_frames` does all the work, so that it is worth storing.
        tubelet: neighbouring frames that `forward` joins into one token.
        token_dim: C, the width of a visual token.
        tokens_per_frame: N.
        class_tokens: how many of them, the last ones, say what classes are seen: embeddings of
            their names, of width `class_dim`, followed by zeros.
        class_dim: see `class_tokens`.
        class_embeddings: (classes, class_dim) embeddings of the names of the classes.
    """

    frozen: tuple[str, ...] = ("",)  # all of it
    frame_wise = False
    tubelet = 1
    token_dim: int
    tokens_per_frame: int
    class_tokens = 0
    class_dim = 0
    class_embeddings: Tensor

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
            (B, T', N, C) visual tokens; T' is T / `tubelet`.
        """

    @abstractmethod
    def load_pretrained(self) -> None:
        """Fill it with its published weights.

        Raises:
            CheckpointError: they are missing, damaged or do not fit.
        """

    def token_settings(self) -> tuple[object, ...]:
        """What beside the published tensors decides the tokens of a frame, as plain values."""
        return ()

    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of its kind, its settings and its published tensors.

        Stored tokens of another fingerprint are those of another X-Encoder. What is computed once,
        as `class_embeddings`, differs in its last bits from one machine to the next, and is left
        out: what it is computed from is among the settings.
        """
        digest = hashlib.sha256(repr((type(self).__name__, self.token_settings())).encode())
        for name, tensor in sorted(self.state_dict().items()):
            if name.startswith(self.frozen):
                digest.update(name.encode())
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def class_names(self) -> list[str]:
        """Names of the classes that it was trained on; empty where it knows none."""
        return []

    def learn_classes(self, embed: Callable[[Sequence[str]], Tensor]) -> None:
        """Embed the names of its classes, if any, before training begins.

        Args:
            embed: of (B,) texts to (B, class_dim).
        """
