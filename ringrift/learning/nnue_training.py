"""Training an NNUE on the same windows of samples as the towers."""

from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ringrift.learning.batches import Sampled, Sampler
from ringrift.learning.loss import Losses, policy_loss
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import TrainingError
from ringrift.nets.architectures import Tower
from ringrift.nets.checkpoint import CheckpointError, load_weights
from ringrift.nets.nnue import checkpoint as checkpoints
from ringrift.nets.nnue.batch import NnueBatcher
from ringrift.nets.nnue.network import Nnue, build
from ringrift.nets.shapes import NNUES, UnknownArchitecture


class NnueTrainer(Trainer):
    """A `Trainer` for NNUEs, which have no auxiliary heads."""

    ROOT_VALUE_MIX: ClassVar[float] = 0.5
    """Outcomes alone overfit: trained on 240 games of hex8_2p for 4 epochs, the winners of 60
    others were predicted in 58 % of positions, with half root values in 65 % (before `CELL_SHARE`;
    one seed)."""

    def _load_teacher(self, data: bytes) -> Tower:
        raise TrainingError(
            f"{self.settings.architecture} cannot be distilled; "
            "remove its config from training.distill_from"
        )

    def _new_network(self) -> nn.Module:
        try:
            return build(self.settings.architecture, self.window.config, seed=self.seed)
        except UnknownArchitecture as error:
            raise TrainingError(str(error)) from error

    def _new_sampler(self, chosen: NDArray[np.int64], root_value_mix: float) -> Sampler:
        shape = NNUES.get(self.settings.architecture)
        encoder = NnueBatcher(self.window.config, policy=shape is not None and shape.policy > 0)
        return Sampler(
            self.window,
            chosen,
            batch=self.settings.batch,
            seed=self.seed,
            root_value_mix=root_value_mix,
            encoder=encoder,
        )

    def _losses(self, network: nn.Module, sampled: Sampled) -> Losses:
        return nnue_losses(cast(Nnue, network), sampled, self.settings.value_weight)

    def _after_step(self) -> None:
        cast(Nnue, self.network).clip()

    def _load_start(self, start: bytes) -> None:
        own, config = self.settings.architecture, self.window.config
        try:
            parent = checkpoints.NnueCheckpoint.parse(start, config=config)
        except CheckpointError as error:
            raise TrainingError(
                f"cannot start {own} for {config.key} from the parent network: {error}"
            ) from error
        if parent.header.architecture != own:
            raise TrainingError(
                f"cannot start {own} for {config.key} from a {parent.header.architecture}"
            )
        load_weights(self.network, parent.weights)

    def model(self, *, notes: dict[str, str] | None = None) -> bytes:
        """Return the current network as the bytes of a checkpoint that names its parent."""
        parents = () if self._parent is None else (self._parent,)
        return checkpoints.save(
            cast(Nnue, self.network),
            architecture=self.settings.architecture,
            config=self.window.config,
            parents=parents,
            notes=notes,
        )


def nnue_losses(network: Nnue, sampled: Sampled, value_weight: float) -> Losses:
    """Return the same losses as for towers; the policy loss is 0 for a network without policy."""
    logits, values = network(*sampled.batch.arguments())
    weight = sampled.weight / sampled.weight.sum()
    squared = (values - sampled.values) ** 2 * sampled.present
    value = (weight * squared.sum(1) / sampled.present.sum()).sum()
    policy = (
        (weight * policy_loss(logits, sampled)).sum()
        if network.shape.policy
        else torch.zeros_like(value)
    )
    return Losses(policy + value_weight * value, policy, value)
