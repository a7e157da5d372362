"""The sparse sums of the training of an NNUE, compiled for the CPU, with their gradients.

Torch has an operation for each step of them, of which each writes its result to memory and one
sorts all features: with these a step of a training takes less than half the time.
"""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from ringrift.nets.arrays import Floats, Int64s
from ringrift.nets.bags import Bags
from ringrift.nets.compile import compiled
from ringrift.rules.compile import U


@compiled
def _sum_rows(
    own: Floats, shared: Floats, share: float, features: Int64s, starts: Int64s, out: Floats
) -> None:
    levels, scale = shared.shape[0], np.float32(share)
    for i in range(out.shape[0]):
        total = out[U(i)]
        for f in range(starts[U(i)], starts[U(i + 1)]):
            feature = features[U(f)]
            row, other = own[U(feature)], shared[U(feature % levels)]
            for j in range(total.size):
                total[U(j)] += scale * row[U(j)] + other[U(j)]


@compiled
def _spread_rows(
    gradient: Floats,
    share: float,
    features: Int64s,
    starts: Int64s,
    to_own: Floats,
    to_shared: Floats,
) -> None:
    levels, scale = to_shared.shape[0], np.float32(share)
    for i in range(gradient.shape[0]):
        part = gradient[U(i)]
        for f in range(starts[U(i)], starts[U(i + 1)]):
            feature = features[U(f)]
            row, other = to_own[U(feature)], to_shared[U(feature % levels)]
            for j in range(part.size):
                row[U(j)] += scale * part[U(j)]
                other[U(j)] += part[U(j)]


@compiled
def _score(query: Floats, roles: Floats, kinds: Floats, bags: Bags[Any], logits: Floats) -> None:
    for m in range(logits.size):
        q, kind = query[U(bags.positions[U(m)])], kinds[U(bags.kinds[U(m)])]
        for k in range(q.size):
            logits[U(m)] += q[U(k)] * kind[U(k)]
        for r in range(bags.starts[U(m)], bags.starts[U(m + 1)]):
            role, weight = roles[U(bags.rows[U(r)])], bags.weights[U(r)]
            for k in range(q.size):
                logits[U(m)] += weight * q[U(k)] * role[U(k)]


@compiled
def _spread_score(
    gradient: Floats,
    query: Floats,
    roles: Floats,
    kinds: Floats,
    bags: Bags[Any],
    to_query: Floats,
    to_roles: Floats,
    to_kinds: Floats,
) -> None:
    for m in range(gradient.size):
        d, at, kind = gradient[U(m)], U(bags.positions[U(m)]), U(bags.kinds[U(m)])
        for k in range(query.shape[1]):
            to_query[at, U(k)] += d * kinds[kind, U(k)]
            to_kinds[kind, U(k)] += d * query[at, U(k)]
        for r in range(bags.starts[U(m)], bags.starts[U(m + 1)]):
            row, part = U(bags.rows[U(r)]), d * bags.weights[U(r)]
            for k in range(query.shape[1]):
                to_query[at, U(k)] += part * roles[row, U(k)]
                to_roles[row, U(k)] += part * query[at, U(k)]


def _arrays(*tensors: Tensor) -> Any:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


class _SumRows(Function):
    @staticmethod
    def forward(
        ctx: Any, own: Tensor, shared: Tensor, share: float, features: Tensor, starts: Tensor
    ) -> Tensor:
        ctx.save_for_backward(own, shared, features, starts)
        ctx.share = share
        out = own.new_zeros(len(starts) - 1, own.shape[1])
        rows, common, named, ends = _arrays(own, shared, features, starts)
        _sum_rows(rows, common, share, named, ends, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        own, shared, features, starts = ctx.saved_tensors
        found = torch.zeros_like(own), torch.zeros_like(shared)
        gradient, named, ends = _arrays(gradients[0], features, starts)
        _spread_rows(gradient, ctx.share, named, ends, found[0].numpy(), found[1].numpy())
        return *found, None, None, None


class _Score(Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, roles: Tensor, kinds: Tensor, *bags: Tensor) -> Tensor:
        ctx.save_for_backward(query, roles, kinds, *bags)
        logits = query.new_zeros(len(bags[3]))
        asked, cells, types = _arrays(query, roles, kinds)
        _score(asked, cells, types, Bags(*_arrays(*bags)), logits.numpy())
        return logits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, roles, kinds, *lists = ctx.saved_tensors
        found = [torch.zeros_like(weight) for weight in (query, roles, kinds)]
        gradient, asked, cells, types = _arrays(gradients[0], query, roles, kinds)
        outs = [one.numpy() for one in found]
        bags = Bags(*_arrays(*lists))
        _spread_score(gradient, asked, cells, types, bags, outs[0], outs[1], outs[2])
        return *found, None, None, None, None, None


_apply_rows: Any = _SumRows.apply  # untyped
_apply_score: Any = _Score.apply


def sum_rows(own: Tensor, shared: Tensor, share: float, features: Tensor, starts: Tensor) -> Tensor:
    """Return the sums `[L, H]` over lists of features of `share` times the row of the feature in
    `own` and its row in `shared`, by level. List l is `features[starts[l]:starts[l + 1]]`. On the
    CPU only."""
    return cast(Tensor, _apply_rows(own, shared, share, features, starts))


def score(query: Tensor, roles: Tensor, kinds: Tensor, bags: Bags[Tensor]) -> Tensor:
    """Return the logits `[M]` of the moves of `bags`, query `[B, P]` times their weighted rows of
    `roles` and their row of `kinds`. On the CPU only."""
    return cast(Tensor, _apply_score(query, roles, kinds, *bags))
