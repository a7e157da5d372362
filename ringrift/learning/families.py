"""The families of networks: how each is trained, read and put to work. A new family is a row of `FAMILIES`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import torch

from ringrift.learning.nnue import FEATURES, NnueTrainer
from ringrift.learning.nnue_evaluator import NnueEvaluator
from ringrift.learning.training import Trainer
from ringrift.nets.checkpoint import Checkpoint
from ringrift.nets.evaluator import Evaluator
from ringrift.nets.nnue_checkpoint import NnueCheckpoint, is_nnue
from ringrift.nets.shapes import NNUES
from ringrift.search.harness import Model


class ModelHeader(Protocol):
    """What the header of every model says."""

    @property
    def architecture(self) -> str:
        """Name of the architecture."""

    @property
    def encoder(self) -> str:
        """Version of its input."""

    @property
    def parents(self) -> tuple[str, ...]:
        """Digests of the networks it comes from."""


@dataclass(frozen=True, slots=True)
class Family:
    """How the networks of one family are trained, their bytes read, and positions evaluated by them."""

    trains: Callable[[str], bool]
    """whether the architecture of this name is of the family"""
    wrote: Callable[[bytes], bool]
    """whether these bytes are one of its models"""
    trainer: type[Trainer]
    header: Callable[[bytes], ModelHeader]
    """raises CheckpointError"""
    model: Callable[[bytes, str, str], Model]
    """of bytes, their digest, and a device; raises CheckpointError"""


def _tower(data: bytes, digest: str, device: str) -> Model:
    checkpoint = Checkpoint.parse(data, digest=digest)
    return Model(Evaluator(checkpoint.header.config, checkpoint.network(), device=device).evaluate)


def _nnue(data: bytes, digest: str, device: str) -> Model:
    evaluator = NnueEvaluator.load(data, digest=digest)  # always on the CPU
    return Model(evaluator.evaluate, evaluator.has_policy, evaluator.network)


FAMILIES: Final = {
    "nnue": Family(
        trains=lambda name: name in NNUES,
        wrote=is_nnue,
        trainer=NnueTrainer,
        header=lambda data: NnueCheckpoint.parse(data, FEATURES).header,
        model=_nnue,
    ),
    "tower": Family(
        trains=lambda name: True,  # refuses what it does not know itself
        wrote=lambda data: True,
        trainer=Trainer,
        header=lambda data: Checkpoint.parse(data).header,
        model=_tower,
    ),
}
"""The first family that takes a name or bytes has them."""


def trainer_of(architecture: str) -> type[Trainer]:
    """What trains `architecture`."""
    return next(family.trainer for family in FAMILIES.values() if family.trains(architecture))


def header_of(data: bytes) -> ModelHeader:
    """The checked header of a model. Raises CheckpointError."""
    return next(family for family in FAMILIES.values() if family.wrote(data)).header(data)


def model_of(data: bytes, *, digest: str) -> Model:
    """A model, checked against its digest, at work on this machine. Raises CheckpointError."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return next(family for family in FAMILIES.values() if family.wrote(data)).model(data, digest, device)
