"""Training an NNUE on the same windows of samples as the towers."""

from typing import ClassVar

from torch import Tensor

from ringrift.learning.batches import Sampled
from ringrift.learning.loss import Losses, losses
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import TrainingError
from ringrift.nets.architectures import Tower
from ringrift.nets.nnue.batch import NnueBatcher
from ringrift.nets.nnue.checkpoint import NnueCheckpoint
from ringrift.nets.nnue.network import Nnue, build
from ringrift.nets.shapes import UnknownArchitecture


class NnueTrainer(Trainer):
    """A `Trainer` for NNUEs, which have no auxiliary heads."""

    network: Nnue
    CHECKPOINT = NnueCheckpoint
    ROOT_VALUE_MIX: ClassVar[float] = 0.5
    """Outcomes alone overfit: trained on 240 games of hex8_2p for 4 epochs, the winners of 60
    others were predicted in 58 % of positions, with half root values in 65 % (before `CELL_SHARE`;
    one seed)."""

    def _load_teacher(self, data: bytes) -> Tower:
        raise TrainingError(
            f"{self.settings.architecture} cannot be distilled; "
            "remove its config from training.distill_from"
        )

    def _new_network(self) -> Nnue:
        try:
            return build(self.settings.architecture, self.window.config, seed=self.seed)
        except UnknownArchitecture as error:
            raise TrainingError(str(error)) from error

    def _new_encoder(self) -> NnueBatcher:
        return NnueBatcher(self.window.config, policy=self.network.shape.policy > 0)

    def _losses(self, network: Nnue, sampled: Sampled) -> Losses:
        logits, values = network(*sampled.batch)
        weight, policy = self.settings.value_weight, network.shape.policy > 0
        return losses(logits, values, sampled, weight, policy=policy)

    def _train_step(self) -> Tensor:
        result = super()._train_step()
        self.network.clip()
        return result
