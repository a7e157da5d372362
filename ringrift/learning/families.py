"""Families of networks, towers and NNUEs: how each is trained and stored."""

from typing import Any, ClassVar

from torch import Tensor

from ringrift.learning.batches import Sampled
from ringrift.learning.loss import Losses, losses, tower_losses
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import TrainingError
from ringrift.nets.architectures import Tower, build
from ringrift.nets.batch import Batcher, NnueBatcher
from ringrift.nets.boards import nnue_rows
from ringrift.nets.checkpoint import Checkpoint, TowerCheckpoint, weights_of
from ringrift.nets.nnue import network as nnue
from ringrift.nets.nnue.stored import is_nnue
from ringrift.nets.shapes import AUXILIARY, NNUES, UnknownArchitecture
from ringrift.nets.symmetry import grid_tables
from ringrift.nets.tensors import Arrays
from ringrift.rules.config import Config
from ringrift.rules.geometry import geometry


class TowerTrainer(Trainer):
    """A `Trainer` for towers, which may have auxiliary heads, a parent and a teacher."""

    network: Tower
    CHECKPOINT = TowerCheckpoint

    def _auxiliary(self) -> list[str]:
        return [name for name in AUXILIARY if getattr(self.settings, f"{name}_weight")]

    def _new_network(self) -> Tower:
        name, hex_board = self.settings.architecture, self.window.config.shape.hex
        options = [*self._auxiliary(), *(("boards",) if len(self.windows) > 1 else ())]
        return build(name, hex_board=hex_board, seed=self.seed, auxiliary=options)

    def _new_encoder(self, config: Config) -> Batcher:
        towers = filter(None, (self.network, self._teacher))
        features = any(tower.shape.features for tower in towers)
        return Batcher(geometry(config), grid_tables(config), features=features)

    def _losses(self, network: Tower, sampled: Sampled) -> Losses:
        if network.shape.boards:
            network.learn_on(sampled.config)
        return tower_losses(network, sampled, self.settings)

    def _start_weights(self, parent: Checkpoint[Any]) -> Arrays:
        # Auxiliary heads and numbers of boards depend on the training; those that the parent lacks
        # start fresh.
        own, several = weights_of(self.network), len(self.windows) > 1
        found = parent.weights if several else parent.weights_on(self.window.config)
        options = (*AUXILIARY, "stem_board")
        fresh = {name: own[name] for name in own if name.partition(".")[0] in options}
        return fresh | {name: found[name] for name in own.keys() & found.keys()}

    def _load_teacher(self, data: bytes) -> Tower:
        if len(self.windows) > 1:
            raise TrainingError("a training on several configs takes no teacher")
        teacher = TowerCheckpoint.parse(data).network(self.window.config)
        return teacher.to(self.device).eval().requires_grad_(False)


class NnueTrainer(Trainer):
    """A `Trainer` for NNUEs, which have no auxiliary heads."""

    network: nnue.Nnue
    CHECKPOINT = nnue.NnueCheckpoint
    ROOT_VALUE_MIX: ClassVar[float] = 0.5
    """Outcomes alone overfit: trained on 240 games of hex8_2p for 4 epochs, the winners of 60
    others were predicted in 58 % of positions, with half root values in 65 % (before `CELL_SHARE`;
    one seed)."""

    def _new_network(self) -> nnue.Nnue:
        try:
            return nnue.build(self.settings.architecture, self.window.config, seed=self.seed)
        except UnknownArchitecture as error:
            raise TrainingError(str(error)) from error

    def _new_encoder(self, config: Config) -> NnueBatcher:
        own = self.window.config
        rows = None if own.shape == config.shape else nnue_rows(own, config)
        return NnueBatcher(config, policy=self.network.shape.policy > 0, rows=rows)

    def _losses(self, network: nnue.Nnue, sampled: Sampled) -> Losses:
        network.seats = sampled.config.seats
        logits, values = network(*sampled.batch)
        weight, policy = self.settings.value_weight, network.shape.policy > 0
        return losses(logits, values, sampled, weight, policy=policy)

    def _train_step(self) -> Tensor:
        result = super()._train_step()
        self.network.clip()
        return result


def trainer_of(architecture: str) -> type[Trainer]:
    """Return the trainer of `architecture`; that of towers rejects unknown ones."""
    return NnueTrainer if architecture in NNUES else TowerTrainer


def checkpoint_of(data: bytes, *, digest: str | None = None) -> Checkpoint[Any]:
    """Return the checked header and weights of a model. Raises also if `digest` is
    given and is not that of the bytes."""
    kind = nnue.NnueCheckpoint if is_nnue(data) else TowerCheckpoint
    return kind.parse(data, digest=digest)
