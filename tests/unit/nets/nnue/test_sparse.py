"""The compiled sums of the training equal those of torch, and so do their gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ringrift.nets.bags import Bags
from ringrift.nets.nnue import sparse

LEVELS, CELLS, WIDTH, SHARE = 5, 7, 16, 0.1


def normal(*shape: int, seed: int) -> Tensor:
    found = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return torch.from_numpy(found).requires_grad_()


def gradients(result: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    (result * torch.arange(result.numel()).view(result.shape).cos()).sum().backward()
    found = tuple(one.grad.clone() for one in inputs)
    for one in inputs:
        one.grad = None
    return found


def test_sums_over_lists_of_features() -> None:
    own, shared = normal(CELLS * LEVELS, WIDTH, seed=1), normal(LEVELS, WIDTH, seed=2)
    features = torch.tensor([3, 4, 34, 0, 3, 21, 21])
    starts = torch.tensor([0, 2, 2, 6, 7])  # the second list is empty
    found = sparse.sum_rows(own, shared, SHARE, features, starts)
    how = {"mode": "sum", "include_last_offset": True}
    wanted = SHARE * functional.embedding_bag(features, own, starts, **how)
    wanted = wanted + functional.embedding_bag(features % LEVELS, shared, starts, **how)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(gradients(found, own, shared), gradients(wanted, own, shared))


def test_scores_of_moves() -> None:
    weights = normal(3, WIDTH, seed=1), normal(9, WIDTH, seed=2), normal(4, WIDTH, seed=3)
    query, roles, kinds = weights
    bags = Bags(
        rows=torch.tensor([0, 8, 3, 3, 4, 5]),
        starts=torch.tensor([0, 2, 3, 3, 6]),
        weights=torch.tensor([1.0, 1.0, 1.0, 0.5, 0.25, 0.25]),
        kinds=torch.tensor([0, 3, 3, 1]),
        positions=torch.tensor([0, 0, 1, 2]),
    )
    found = sparse.score(query, roles, kinds, bags)
    how = {"mode": "sum", "include_last_offset": True, "per_sample_weights": bags.weights}
    cells = functional.embedding_bag(bags.rows, roles, bags.starts, **how)
    wanted = ((cells + kinds[bags.kinds]) * query[bags.positions]).sum(1)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(gradients(found, *weights), gradients(wanted, *weights))
