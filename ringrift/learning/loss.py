"""The loss: cross-entropy of the improved policy over the legal moves, and squared error of the values."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ringrift.learning.batches import Sampled
from ringrift.nets.architectures import Tower


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over the samples, by weight. `policy` is in nats and includes the entropy of the target."""

    total: Tensor
    policy: Tensor
    value: Tensor


def losses(network: Tower, sampled: Sampled, value_weight: float) -> Losses:
    """Policy loss + `value_weight` * value loss of `network` on a batch."""
    logits, values = network(*sampled.batch.arguments())
    weight = sampled.weight / sampled.weight.sum()
    policy = (weight * policy_loss(logits, sampled)).sum()
    squared = (values - sampled.values) ** 2 * sampled.present
    value = (weight * squared.sum(1) / sampled.present.sum()).sum()
    return Losses(policy + value_weight * value, policy, value)


def policy_loss(logits: Tensor, sampled: Sampled) -> Tensor:
    """Cross-entropy [B] of each sample: sum over its legal moves of -target * log softmax(logits)."""
    count = len(sampled.weight)
    positions = sampled.batch.positions
    table = logits.new_full((count, sampled.moves_max), -torch.inf)
    normaliser = table.index_put((positions, sampled.slot), logits).logsumexp(1)
    expected = logits.new_zeros(count).index_add(0, positions, sampled.policy * logits)
    return normaliser - expected
