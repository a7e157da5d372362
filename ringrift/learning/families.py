"""Families of networks: how each is trained, loaded and evaluated. A new family is a row of
`FAMILIES`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from ringrift.learning.nnue_training import NnueTrainer
from ringrift.learning.tower_training import TowerTrainer
from ringrift.learning.training import Trainer
from ringrift.nets.checkpoint import Checkpoint, Header, TowerCheckpoint
from ringrift.nets.evaluator import Evaluator
from ringrift.nets.nnue.checkpoint import NnueCheckpoint, is_nnue
from ringrift.nets.nnue.evaluator import NnueEvaluator
from ringrift.nets.shapes import NNUES
from ringrift.search.harness import Model


@dataclass(frozen=True, slots=True)
class Family:
    """How networks of one family are trained, loaded and evaluated."""

    trains: Callable[[str], bool]
    """Whether the architecture of this name belongs to the family."""
    wrote: Callable[[bytes], bool]
    """Whether these bytes are a model of the family."""
    trainer: type[Trainer]
    checkpoint: type[Checkpoint[Any]]
    model: Callable[[bytes, str, str], Model]
    """Returns the model in the bytes with this digest, on a device. Raises CheckpointError."""


def _tower(data: bytes, digest: str, device: str) -> Model:
    return Model(Evaluator.load(data, digest=digest, device=device).evaluate)


def _nnue(data: bytes, digest: str, device: str) -> Model:
    evaluator = NnueEvaluator.load(data, digest=digest)  # always on the CPU
    return Model(evaluator.evaluate, evaluator.has_policy, evaluator.network)


FAMILIES: Final = {
    "nnue": Family(
        trains=lambda name: name in NNUES,
        wrote=is_nnue,
        trainer=NnueTrainer,
        checkpoint=NnueCheckpoint,
        model=_nnue,
    ),
    "tower": Family(
        trains=lambda name: True,  # rejects unknown architectures itself
        wrote=lambda data: True,
        trainer=TowerTrainer,
        checkpoint=TowerCheckpoint,
        model=_tower,
    ),
}
"""In order of precedence: the first family that accepts a name or bytes is used."""


def trainer_of(architecture: str) -> type[Trainer]:
    """Return the trainer of `architecture`."""
    return next(family.trainer for family in FAMILIES.values() if family.trains(architecture))


def checkpoint_of(data: bytes) -> Checkpoint[Any]:
    """Return the checked header and weights of a model. Raises CheckpointError."""
    return _family_of(data).checkpoint.parse(data)


def header_of(data: bytes) -> Header:
    """Return the checked header of a model. Raises CheckpointError."""
    return checkpoint_of(data).header


def model_of(data: bytes, *, digest: str) -> Model:
    """Return a model for evaluation on this machine. Raises CheckpointError, also if the bytes do
    not have the digest."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return _family_of(data).model(data, digest, device)


def _family_of(data: bytes) -> Family:
    return next(family for family in FAMILIES.values() if family.wrote(data))
