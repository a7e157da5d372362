"""Training of the towers: `ringrift.learning.training` with their networks, losses and starts."""

from ringrift.learning.batches import Sampled
from ringrift.learning.loss import Losses, tower_losses
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import TrainingError
from ringrift.nets.architectures import Tower, build
from ringrift.nets.batch import Batcher
from ringrift.nets.checkpoint import TowerCheckpoint, weights_of
from ringrift.nets.shapes import AUXILIARY
from ringrift.nets.symmetry import grid_tables
from ringrift.nets.tensors import Arrays
from ringrift.rules.geometry import geometry


class TowerTrainer(Trainer):
    """A `Trainer` for towers, which may have auxiliary heads, a parent and a teacher."""

    network: Tower
    CHECKPOINT = TowerCheckpoint

    def _auxiliary(self) -> list[str]:
        return [name for name in AUXILIARY if getattr(self.settings, f"{name}_weight")]

    def _new_network(self) -> Tower:
        name, hex_board = self.settings.architecture, self.window.config.shape.hex
        return build(name, hex_board=hex_board, seed=self.seed, auxiliary=self._auxiliary())

    def _new_encoder(self) -> Batcher:
        towers = filter(None, (self.network, self._teacher))
        features = any(tower.shape.features for tower in towers)
        config = self.window.config
        return Batcher(geometry(config), grid_tables(config), features=features)

    def _losses(self, network: Tower, sampled: Sampled) -> Losses:
        return tower_losses(network, sampled, self.settings)

    def _start_weights(self, parent: Arrays) -> Arrays:
        # Auxiliary heads depend on the settings; a head that the parent lacks starts fresh.
        own = weights_of(self.network)
        fresh = {name: own[name] for name in own if name.partition(".")[0] in AUXILIARY}
        return fresh | {name: parent[name] for name in own.keys() & parent.keys()}

    def _load_teacher(self, data: bytes) -> Tower:
        teacher = TowerCheckpoint.parse(data)
        if teacher.header.config != self.window.config:
            raise TrainingError(
                f"a teacher for {teacher.header.config_key} cannot teach {self.window.config.key}"
            )
        return teacher.network().to(self.device).eval().requires_grad_(False)
