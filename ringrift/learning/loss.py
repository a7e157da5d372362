"""The loss: cross-entropy of the improved policy over the legal moves, squared error of the values,
and the auxiliary heads. Distillation mixes the outputs of another network into the targets."""

from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

from ringrift.events.settings import TrainingSettings
from ringrift.learning.batches import Ends, Sampled
from ringrift.nets.architectures import Auxiliary, Tower
from ringrift.nets.batch import Batch
from ringrift.nets.encoding import Plane


class Losses(NamedTuple):
    """Weighted means over the samples. `policy` is in nats and includes the entropy of the target;
    `total` includes the weighted losses of the auxiliary heads."""

    total: Tensor
    policy: Tensor
    value: Tensor


def tower_losses(network: Tower, sampled: Sampled, settings: TrainingSettings) -> Losses:
    """Return policy loss + `value_weight` * value loss of `network` on a batch, plus the weighted
    auxiliary losses."""
    logits, values, heads = network.learn(*sampled.batch)
    found = losses(logits, values, sampled, settings.value_weight)
    if sampled.ends is None:
        return found
    on_board = cast(Batch, sampled.batch).planes[:, Plane.ON_BOARD]
    each = auxiliary_loss(heads, sampled.ends, sampled.present, on_board, settings)
    weight = sampled.weight / sampled.weight.sum()
    return found._replace(total=found.total + (weight * each).sum())


def soften(sampled: Sampled, teacher: Tower, weight: float) -> Sampled:
    """Return the samples with a share `weight` of their targets replaced by the policy and the
    values of `teacher`: distillation (Hinton et al. 2015; requirement G04.15).

    Both losses are linear in the target (the squared error up to a constant), so this mixes the
    losses."""
    with torch.no_grad():
        logits, values = teacher(*sampled.batch)
        policy = (1 - weight) * sampled.policy + weight * probabilities(logits.float(), sampled)
        mixed = (1 - weight) * sampled.values + weight * values.float() * sampled.present
    return sampled._replace(policy=policy, values=mixed)


def losses(
    logits: Tensor, values: Tensor, sampled: Sampled, value_weight: float, *, policy: bool = True
) -> Losses:
    """Return policy loss + `value_weight` * value loss of a network's outputs for a batch.

    Without `policy`, for a network that has none, the policy loss is 0."""
    weight = sampled.weight / sampled.weight.sum()
    squared = (values - sampled.values) ** 2 * sampled.present
    value = (weight * squared.sum(1) / sampled.present.sum()).sum()
    moves = (weight * policy_loss(logits, sampled)).sum() if policy else torch.zeros_like(value)
    return Losses(moves + value_weight * value, moves, value)


def policy_loss(logits: Tensor, sampled: Sampled) -> Tensor:
    """Return the cross-entropy [B] of each sample: the sum over its legal moves of -target * log
    softmax(logits)."""
    zeros, positions = logits.new_zeros(len(sampled.weight)), sampled.batch.bags.positions
    expected = zeros.index_add(0, positions, sampled.policy * logits)
    return _normaliser(logits, sampled) - expected


def probabilities(logits: Tensor, sampled: Sampled) -> Tensor:
    """Return the softmax [M] of `logits` over the legal moves of each sample."""
    return (logits - _normaliser(logits, sampled)[sampled.batch.bags.positions]).exp()


def _normaliser(logits: Tensor, sampled: Sampled) -> Tensor:
    """Return log(sum(exp(logits))) [B] over the legal moves of each sample."""
    table = logits.new_full((len(sampled.weight), sampled.moves_max), -torch.inf)
    return table.index_put((sampled.batch.bags.positions, sampled.slot), logits).logsumexp(1)


def auxiliary_loss(
    heads: Auxiliary, ends: Ends, present: Tensor, on_board: Tensor, settings: TrainingSettings
) -> Tensor:
    """Return the weighted sum [B] of the mean cross-entropies of the ranks of the seats
    `present[RELATIVE_SEATS]` and of the owners of the cells `on_board[B, H, W]`, and of the Huber
    loss of the logarithm of the moves left."""
    loss = torch.zeros_like(ends.moves_left)
    if heads.rank is not None:
        by_seat = functional.cross_entropy(heads.rank.transpose(1, 2), ends.ranks, reduction="none")
        loss = loss + settings.rank_weight * (by_seat * present).sum(1) / present.sum()
    if heads.territory is not None:
        by_cell = functional.cross_entropy(heads.territory, ends.owners, reduction="none")
        owned = (by_cell * on_board).sum((1, 2))
        loss = loss + settings.territory_weight * owned / on_board.sum((1, 2))
    if heads.moves_left is not None:
        by_sample = functional.huber_loss(heads.moves_left, ends.moves_left, reduction="none")
        loss = loss + settings.moves_left_weight * by_sample
    return loss
