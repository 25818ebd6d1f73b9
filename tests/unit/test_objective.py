"""InfoNCE against its definition, and the treatment of equal answers."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from vljepa_ros.training.objective import InfoNCE


def _unit(count: int, dim: int = 8) -> torch.Tensor:
    return F.normalize(torch.randn(count, dim), dim=-1)


def test_it_equals_the_formula_when_all_answers_differ() -> None:
    torch.manual_seed(0)
    predicted, target = _unit(5), _unit(5)
    similarity = predicted @ target.T / 0.07
    rows = -torch.log_softmax(similarity, 1).diagonal().mean()
    columns = -torch.log_softmax(similarity, 0).diagonal().mean()
    loss = InfoNCE(0.07)(predicted, target, torch.arange(5))
    torch.testing.assert_close(loss, (rows + columns) / 2)


def test_equal_answers_are_no_negatives() -> None:
    torch.manual_seed(0)
    yes = _unit(1)
    others = _unit(2)
    target = torch.cat([yes, yes, others])
    objective = InfoNCE()
    meanings = torch.tensor([0, 0, 1, 2])
    with_duplicate = objective(target, target, meanings)
    assert with_duplicate < objective(target, target, torch.arange(4))
    without = objective(target[1:], target[1:], meanings[1:])
    assert with_duplicate <= without + 0.1


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
    loss = InfoNCE(0.07)(predicted, target, torch.arange(3), negatives)
    torch.testing.assert_close(loss, (forward + backward) / 2)


def test_descending_it_finds_the_targets() -> None:
    torch.manual_seed(0)
    raw, target = torch.randn(6, 8, requires_grad=True), _unit(6)
    objective = InfoNCE()
    optimizer = torch.optim.Adam([raw], lr=0.05)
    for _ in range(200):
        loss = objective(F.normalize(raw, dim=-1), target, torch.arange(6))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    nearest = (F.normalize(raw, dim=-1) @ target.T).argmax(1)
    assert nearest.tolist() == list(range(6))
