"""The training objective: bidirectional InfoNCE in the shared space (paper section 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_MAX_SCALE = 100.0  # as in CLIP (arXiv 2103.00020): keeps the logits finite


class InfoNCE(nn.Module):
    """Cross-entropy of each prediction against all targets of the batch, and back.

    Answers that mean the same ("yes" twice) are no negatives of each other. The temperature is
    learned; the paper does not give it.
    """

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(1.0 / temperature).log())

    def forward(
        self,
        predicted: Tensor,
        target: Tensor,
        meanings: Tensor,
        negatives: Tensor | None = None,
    ) -> Tensor:
        """Loss of a batch.

        Args:
            predicted: (B, D) L2-normalised.
            target: (B, D) L2-normalised; row i belongs to row i of `predicted`.
            meanings: (B,) equal where two answers mean the same.
            negatives: (B, K, D) more wrong answers, each for its own row only; L2-normalised, or
                zero where there is none.

        Returns:
            Scalar.
        """
        scale = self.log_scale.exp().clamp(max=_MAX_SCALE)
        logits = predicted @ target.T * scale
        same = meanings[:, None] == meanings[None, :]
        same.fill_diagonal_(False)
        logits = logits.masked_fill(same, float("-inf"))
        positive = torch.arange(len(logits), device=logits.device)
        backward = F.cross_entropy(logits.T, positive)
        if negatives is not None:
            wrong = torch.einsum("bd,bkd->bk", predicted, negatives) * scale
            wrong = wrong.masked_fill(~negatives.any(-1), float("-inf"))
            logits = torch.cat([logits, wrong], dim=1)
        return (F.cross_entropy(logits, positive) + backward) / 2
