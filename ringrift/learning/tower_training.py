"""Training of the towers: `ringrift.learning.training` with their networks, losses and starts."""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ringrift.learning.batches import Sampled, Sampler
from ringrift.learning.loss import Losses, losses
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import TrainingError
from ringrift.nets import checkpoint as networks
from ringrift.nets.architectures import Tower, build
from ringrift.nets.shapes import AUXILIARY


class TowerTrainer(Trainer):
    """A `Trainer` for towers, which may have auxiliary heads, a parent and a teacher."""

    def _new_network(self) -> nn.Module:
        hex_board = self.window.config.shape.hex
        return build(
            self.settings.architecture,
            hex_board=hex_board,
            seed=self.seed,
            auxiliary=self._auxiliary(),
        )

    def _new_sampler(self, chosen: NDArray[np.int64], root_value_mix: float) -> Sampler:
        towers = (cast(Tower, self.network), self._teacher)
        return Sampler(
            self.window,
            chosen,
            batch=self.settings.batch,
            seed=self.seed,
            root_value_mix=root_value_mix,
            features=any(tower.shape.features for tower in towers if tower),
            ends=bool(self._auxiliary()),
        )

    def _auxiliary(self) -> list[str]:
        """Return the auxiliary heads with a weight."""
        return [name for name in AUXILIARY if getattr(self.settings, f"{name}_weight")]

    def _losses(self, network: nn.Module, sampled: Sampled) -> Losses:
        return losses(cast(Tower, network), sampled, self.settings)

    def _load_start(self, start: bytes) -> None:
        parent = networks.Checkpoint.parse(start)
        if (
            parent.header.architecture != self.settings.architecture
            or parent.header.config != self.window.config
        ):
            raise TrainingError(
                f"cannot start {self.settings.architecture} for {self.window.config.key} from a "
                f"{parent.header.architecture} for {parent.header.config_key}"
            )
        # Auxiliary heads depend on the settings; a head that the parent lacks starts fresh.
        own = networks.weights_of(self.network)
        fresh = {name: own[name] for name in own if name.partition(".")[0] in AUXILIARY}
        found = {name: parent.weights[name] for name in own.keys() & parent.weights.keys()}
        networks.load_weights(self.network, fresh | found)

    def _load_teacher(self, data: bytes) -> Tower:
        teacher = networks.Checkpoint.parse(data)
        if teacher.header.config != self.window.config:
            raise TrainingError(
                f"a teacher for {teacher.header.config_key} cannot teach {self.window.config.key}"
            )
        return teacher.network().to(self.device).eval().requires_grad_(False)

    def model(self, *, notes: dict[str, str] | None = None) -> bytes:
        """Return the current network as the bytes of a checkpoint that names its parents."""
        parents = tuple(
            dict.fromkeys(digest for digest in (self._parent, self._teacher_digest) if digest)
        )
        if self._teacher_digest:
            notes = {"distilled_from": self._teacher_digest, **(notes or {})}
        network = cast(Tower, self.network)
        return networks.save(
            network,
            architecture=self.settings.architecture,
            config=self.window.config,
            parents=parents,
            notes=notes,
        )
