"""Training objectives in the shared space: InfoNCE (paper section 2), and others to compare."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.nn import functional as F

from vljepa_ros.errors import CheckpointError

MIN_TEMPERATURE = 0.01  # as in CLIP (arXiv 2103.00020): keeps the logits finite


class Objective(nn.Module, ABC):
    """How far predictions are from their targets.

    In a group of processes each of them sees the batches of all, so that the loss is that of one
    process with the whole batch; averaged over processes, so is its gradient. SIGReg alone draws
    directions at random, each process its own: there the mean of the losses is that of one
    process with as many times the directions.

    Attributes:
        takes_negatives: whether negatives of its own, beside the batch, change a sample's loss.
    """

    takes_negatives = False

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
            meanings: (B, M) int64; two answers mean the same where one of the M is equal.
            negatives: (B, K, D) more wrong answers, each for its own row only; L2-normalised, or
                zero where there is none.

        Returns:
            Scalar.
        """
        if negatives is not None:
            negatives = gather(negatives)
        return self.loss(gather(predicted), gather(target), gather(meanings), negatives)

    @abstractmethod
    def loss(
        self, predicted: Tensor, target: Tensor, meanings: Tensor, negatives: Tensor | None
    ) -> Tensor:
        """The loss of the whole batch; arguments as in `forward`."""


def gather(rows: Tensor) -> Tensor:
    """Rows of all processes, in order, with gradients; `rows` itself where there is but one."""
    if not (dist.is_available() and dist.is_initialized()):
        return rows
    parts = list(all_gather(rows.contiguous()))
    for part in parts:
        if part.requires_grad:
            # Its backward pass sends memory as it lies, whatever the gradient's strides are.
            part.register_hook(torch.Tensor.contiguous)
    return torch.cat(parts)


class InfoNCE(Objective):
    """Cross-entropy of each prediction against all targets of the batch, and back.

    Answers that mean the same ("yes" twice) are no negatives of each other. The paper does not
    give the temperature.

    Args:
        temperature: to begin with.
        learned: whether it is trained.
    """

    takes_negatives = True

    def __init__(self, temperature: float = 0.07, learned: bool = True) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(1.0 / temperature).log(), learned)

    def loss(
        self, predicted: Tensor, target: Tensor, meanings: Tensor, negatives: Tensor | None
    ) -> Tensor:
        """See `Objective`."""
        with torch.no_grad():  # not the scale: beyond a bound of its own it had no gradient back
            self.log_scale.clamp_(max=-math.log(MIN_TEMPERATURE))
        scale = self.log_scale.exp()
        logits = predicted @ target.T * scale
        same = (meanings[:, None] == meanings[None, :]).any(-1)
        same.fill_diagonal_(False)
        logits = logits.masked_fill(same, float("-inf"))
        positive = torch.arange(len(logits), device=logits.device)
        backward = F.cross_entropy(logits.T, positive)
        if negatives is not None:
            wrong = torch.einsum("bd,bkd->bk", predicted, negatives) * scale
            wrong = wrong.masked_fill(~negatives.any(-1), float("-inf"))
            logits = torch.cat([logits, wrong], dim=1)
        return (F.cross_entropy(logits, positive) + backward) / 2


class Distance(Objective):
    """Cosine, L1 or L2 distance alone (paper table 7c); only a frozen Y-Encoder withstands it.

    Args:
        kind: "cosine", "l1" or "l2".
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def loss(
        self, predicted: Tensor, target: Tensor, meanings: Tensor, negatives: Tensor | None
    ) -> Tensor:
        """See `Objective`."""
        if self.kind == "cosine":
            return (1 - (predicted * target).sum(-1)).mean()
        difference = predicted - target
        if self.kind == "l1":
            return difference.abs().sum(-1).mean()
        return difference.square().sum(-1).mean()


class VICReg(Objective):
    """L2 distance, with variance and covariance against collapse (arXiv 2105.04906).

    Unit vectors spread over all directions have a deviation of D**-0.5 in each, so that they are
    stretched by D**0.5 first.
    """

    def loss(
        self, predicted: Tensor, target: Tensor, meanings: Tensor, negatives: Tensor | None
    ) -> Tensor:
        """See `Objective`."""
        stretch = math.sqrt(predicted.shape[1])
        predicted, target = predicted * stretch, target * stretch
        spread = self._spread(predicted) + self._spread(target)
        return F.mse_loss(predicted, target) + spread

    @staticmethod
    def _spread(x: Tensor) -> Tensor:
        x = x - x.mean(0)
        deviation = torch.sqrt(x.var(0) + 1e-4)
        covariance = x.T @ x / (len(x) - 1)
        off_diagonal = covariance - torch.diag(torch.diagonal(covariance))
        # The weights of its paper, 25 : 25 : 1, over 25. As in its authors' code, the variances of
        # the two sides are averaged and the covariances added.
        return F.relu(1 - deviation).mean() / 2 + off_diagonal.square().sum() / x.shape[1] / 25


class SIGReg(Objective):
    """L2 distance, and a test that random projections are normal (LeJEPA, arXiv 2511.08544).

    Args:
        weight: share of the test in the loss.
        directions: random projections drawn for each batch.
    """

    points: Tensor

    def __init__(self, weight: float = 0.05, directions: int = 256) -> None:
        super().__init__()
        self.weight = weight
        self.directions = directions
        self.register_buffer("points", torch.linspace(-5, 5, 17))

    def loss(
        self, predicted: Tensor, target: Tensor, meanings: Tensor, negatives: Tensor | None
    ) -> Tensor:
        """See `Objective`."""
        stretch = math.sqrt(predicted.shape[1])
        predicted, target = predicted * stretch, target * stretch
        test = (self.statistic(predicted) + self.statistic(target)) / 2
        return (1 - self.weight) * F.mse_loss(predicted, target) + self.weight * test

    def statistic(self, x: Tensor) -> Tensor:
        """Epps-Pulley statistic of (N, D) samples, mean over directions; near 0 when normal."""
        axes = F.normalize(torch.randn(x.shape[1], self.directions, device=x.device), dim=0)
        angles = (x @ axes)[..., None] * self.points  # (N, directions, points)
        normal = torch.exp(-self.points.square() / 2)
        real = angles.cos().mean(0) - normal
        imaginary = angles.sin().mean(0)
        error = (real.square() + imaginary.square()) * normal
        return torch.trapezoid(error, self.points, dim=-1).mean() * len(x)


OBJECTIVES = ("infonce", "cosine", "l1", "l2", "vicreg", "sigreg")


def check_objective(kind: str) -> None:
    """Look whether there is an objective of this name.

    Raises:
        CheckpointError: there is none.
    """
    if kind not in OBJECTIVES:
        raise CheckpointError(f"objective is one of {', '.join(OBJECTIVES)}, not {kind!r}")


def build_objective(kind: str, temperature: float, learned: bool) -> Objective:
    """The objective of a name in OBJECTIVES; the temperature is InfoNCE's.

    Raises:
        CheckpointError: no such objective.
    """
    check_objective(kind)
    if kind == "infonce":
        return InfoNCE(temperature, learned)
    if kind in ("cosine", "l1", "l2"):
        return Distance(kind)
    if kind == "vicreg":
        return VICReg()
    return SIGReg()
