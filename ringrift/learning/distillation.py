"""Distillation: training on the outputs of another network for the same samples (Hinton et al.
2015; requirement G04.15)."""

import torch

from ringrift.learning.batches import Sampled
from ringrift.learning.loss import probabilities
from ringrift.nets.architectures import Tower


def soften(sampled: Sampled, teacher: Tower, weight: float) -> Sampled:
    """Return the samples with a share `weight` of their targets replaced by the policy and the
    values of `teacher`.

    Both losses are linear in the target (the squared error up to a constant), so this mixes the
    losses."""
    with torch.no_grad():
        logits, values = teacher(*sampled.batch)
        policy = (1 - weight) * sampled.policy + weight * probabilities(logits.float(), sampled)
        mixed = (1 - weight) * sampled.values + weight * values.float() * sampled.present
    return sampled._replace(policy=policy, values=mixed)
