"""The objectives against their definitions, in one process and in two."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch.nn import functional as F

from vljepa_ros.errors import CheckpointError
from vljepa_ros.training.objective import OBJECTIVES, InfoNCE, SIGReg, build_objective


def _unit(count: int, dim: int = 8) -> torch.Tensor:
    return F.normalize(torch.randn(count, dim), dim=-1)


def test_it_equals_the_formula_when_all_answers_differ() -> None:
    torch.manual_seed(0)
    predicted, target = _unit(5), _unit(5)
    similarity = predicted @ target.T / 0.07
    rows = -torch.log_softmax(similarity, 1).diagonal().mean()
    columns = -torch.log_softmax(similarity, 0).diagonal().mean()
    loss = InfoNCE(0.07)(predicted, target, torch.arange(5)[:, None])
    torch.testing.assert_close(loss, (rows + columns) / 2)


def test_equal_answers_are_no_negatives() -> None:
    torch.manual_seed(0)
    yes = _unit(1)
    others = _unit(2)
    target = torch.cat([yes, yes, others])
    objective = InfoNCE()
    # Equal in what they mean, or in their words alone.
    for pairs in ([[0, 4], [0, 5], [1, 6], [2, 7]], [[0, 4], [3, 4], [1, 6], [2, 7]]):
        meanings = torch.tensor(pairs)
        with_duplicate = objective(target, target, meanings)
        assert with_duplicate < objective(target, target, torch.arange(4)[:, None])
        without = objective(target[1:], target[1:], meanings[1:])
        assert with_duplicate <= without + 0.1


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_hard_negatives_change_the_loss_of_those_that_take_them(kind: str) -> None:
    torch.manual_seed(0)
    objective = build_objective(kind, 0.07, True)
    predicted, target, meanings = _unit(3), _unit(3), torch.arange(3)[:, None]
    negatives = _unit(6).unflatten(0, (3, 2))
    losses = []
    for given in (negatives, None):
        torch.manual_seed(0)  # SIGReg draws directions
        losses.append(objective(predicted, target, meanings, given))
    assert torch.equal(*losses) != objective.takes_negatives


def test_hard_negatives_count_in_their_own_row_only() -> None:
    torch.manual_seed(0)
    predicted, target, wrong = _unit(3), _unit(3), _unit(2)
    negatives = torch.zeros(3, 2, 8)
    negatives[1] = wrong
    rows = [torch.cat([predicted[i] @ target.T, n]) for i, n in enumerate(
        (torch.empty(0), predicted[1] @ wrong.T, torch.empty(0))
    )]  # fmt: skip
    forward = -torch.stack(
        [torch.log_softmax(row / 0.07, 0)[i] for i, row in enumerate(rows)]
    ).mean()
    backward = -torch.log_softmax(predicted @ target.T / 0.07, 0).diagonal().mean()
    loss = InfoNCE(0.07)(predicted, target, torch.arange(3)[:, None], negatives)
    torch.testing.assert_close(loss, (forward + backward) / 2)


def test_descending_it_finds_the_targets() -> None:
    torch.manual_seed(0)
    raw, target = torch.randn(6, 8, requires_grad=True), _unit(6)
    objective = InfoNCE()
    optimizer = torch.optim.Adam([raw], lr=0.05)
    for _ in range(200):
        loss = objective(F.normalize(raw, dim=-1), target, torch.arange(6)[:, None])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    nearest = (F.normalize(raw, dim=-1) @ target.T).argmax(1)
    assert nearest.tolist() == list(range(6))


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_perfect_prediction_costs_less_than_a_wrong_one(kind: str) -> None:
    torch.manual_seed(0)
    target = _unit(64)
    objective = build_objective(kind, 0.07, True)
    torch.manual_seed(1)
    right = objective(target, target, torch.arange(64)[:, None])
    torch.manual_seed(1)
    assert right < objective(target.flip(0), target, torch.arange(64)[:, None])


@pytest.mark.parametrize("kind", ["vicreg", "sigreg"])
def test_collapse_costs_more_than_spread(kind: str) -> None:
    """Both predict perfectly; one says the same of everything."""
    torch.manual_seed(0)
    spread, point = _unit(64), _unit(1).expand(64, -1)
    objective = build_objective(kind, 0.07, True)
    numbers = torch.arange(64)[:, None]
    assert objective(spread, spread, numbers) < objective(point, point, numbers)
    assert build_objective("l2", 0.07, True)(point, point, numbers) == 0


def test_the_statistic_knows_the_normal_distribution() -> None:
    torch.manual_seed(0)
    normal, uniform = torch.randn(512, 8), torch.rand(512, 8)
    statistic = SIGReg().statistic
    assert statistic(normal) < 0.1 * statistic(uniform)
    assert statistic(normal) < 0.1 * statistic(2 * normal)


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(CheckpointError, match="infonce"):
        build_objective("mse", 0.07, True)


def test_a_fixed_temperature_is_not_trained() -> None:
    assert not any(p.requires_grad for p in build_objective("infonce", 0.07, False).parameters())


def test_a_temperature_comes_back_from_its_bound() -> None:
    objective = InfoNCE(temperature=1e-3)
    predicted, target = _unit(4), _unit(4)  # far from right, so that less would be better
    objective.loss(predicted, target, torch.arange(4)[:, None], None).backward()
    assert objective.log_scale.item() == pytest.approx(math.log(100))
    assert objective.log_scale.grad.item() > 0


def _batch() -> tuple[torch.Tensor, ...]:
    """Inputs of a linear predictor and Y-Encoder: frames, answers, meanings and wrong answers."""
    torch.manual_seed(2)
    negatives = _unit(8 * 3).unflatten(0, (8, 3))
    negatives[2, 1] = 0
    return torch.randn(8, 5), _unit(8), torch.tensor([0, 1, 2, 3, 4, 1, 6, 7])[:, None], negatives


def _gradient(kind: str, rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of these rows of the batch, and the gradients of both, one after the other."""
    inputs, answers, meanings, wrong = (part[rows] for part in _batch())
    torch.manual_seed(3)
    predictor, y_encoder = torch.nn.Linear(5, 8), torch.nn.Linear(8, 8, bias=False)
    objective = build_objective(kind, 0.07, True)
    predicted, target, negatives = (
        F.normalize(layer(x), dim=-1)
        for layer, x in ((predictor, inputs), (y_encoder, answers), (y_encoder, wrong))
    )
    loss = objective(predicted, target, meanings, negatives)
    loss.backward()
    parameters = [*predictor.parameters(), *y_encoder.parameters()]
    return loss.detach(), torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])


def _process(rank: int, folder: str) -> None:
    """One of two processes, each with its half of the batch."""
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    half = slice(4 * rank, 4 * rank + 4)
    results = {kind: _gradient(kind, half) for kind in ("infonce", "cosine", "vicreg")}
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_have_the_loss_and_gradient_of_one(tmp_path: Path) -> None:
    """As DistributedDataParallel does it: gradients are averaged over the processes."""
    multiprocessing.spawn(_process, (str(tmp_path),), nprocs=2)
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for kind in both[0]:
        loss, gradient = _gradient(kind, slice(None))
        for results in both:
            torch.testing.assert_close(results[kind][0], loss)
        mean = (both[0][kind][1] + both[1][kind][1]) / 2
        torch.testing.assert_close(mean, gradient)


def test_vicreg_equals_its_formula() -> None:
    """25 : 25 : 1 over 25; the variances of the two sides averaged, the covariances added."""
    torch.manual_seed(0)
    predicted, target = _unit(5), _unit(5)
    sides = [side * math.sqrt(8) for side in (predicted, target)]
    expected = F.mse_loss(*sides)
    for side in sides:
        covariance = torch.cov(side.T)
        expected += F.relu(1 - (covariance.diagonal() + 1e-4).sqrt()).mean() / 2
        expected += (covariance - covariance.diagonal().diag()).square().sum() / 8 / 25
    loss = build_objective("vicreg", 0.07, True)(predicted, target, torch.arange(5)[:, None])
    torch.testing.assert_close(loss, expected)


def test_sigreg_equals_its_formula() -> None:
    """In one dimension all directions are the same, but for the sign."""
    t = torch.linspace(-5, 5, 17)
    normal = torch.exp(-t.square() / 2)

    def statistic(value: float, count: int) -> torch.Tensor:
        error = (torch.cos(value * t) - normal).square() + torch.sin(value * t).square()
        return count * torch.trapezoid(error * normal, t)

    torch.testing.assert_close(SIGReg().statistic(torch.full((7, 1), 0.5)), statistic(0.5, 7))
    one, minus = torch.ones(7, 1), -torch.ones(7, 1)
    loss = SIGReg(weight=0.25)(one, minus, torch.arange(7)[:, None])
    torch.testing.assert_close(loss, 0.75 * torch.tensor(4.0) + 0.25 * statistic(1.0, 7))


def test_distances_are_the_mean_of_each_sample() -> None:
    predicted, target = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    for kind, expected in (("cosine", 0.5), ("l1", 1.0), ("l2", 1.0)):
        loss = build_objective(kind, 0.07, True)(predicted, target, torch.arange(2)[:, None])
        assert loss.item() == pytest.approx(expected), kind
