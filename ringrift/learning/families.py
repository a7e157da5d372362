"""The families of networks: how each is trained, read and put to work. A new family is a row of
`FAMILIES`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from ringrift.learning.nnue_training import NnueTrainer
from ringrift.learning.training import Trainer
from ringrift.nets.checkpoint import Checkpoint, Header
from ringrift.nets.evaluator import Evaluator
from ringrift.nets.nnue.checkpoint import NnueCheckpoint, is_nnue
from ringrift.nets.nnue.evaluator import NnueEvaluator
from ringrift.nets.shapes import NNUES
from ringrift.search.harness import Model

AnyCheckpoint = Checkpoint | NnueCheckpoint


@dataclass(frozen=True, slots=True)
class Family:
    """How the networks of one family are trained, their bytes read, and positions evaluated by
    them."""

    trains: Callable[[str], bool]
    """whether the architecture of this name is of the family"""
    wrote: Callable[[bytes], bool]
    """whether these bytes are one of its models"""
    trainer: type[Trainer]
    checkpoint: Callable[[bytes], AnyCheckpoint]
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
        checkpoint=NnueCheckpoint.parse,
        model=_nnue,
    ),
    "tower": Family(
        trains=lambda name: True,  # refuses what it does not know itself
        wrote=lambda data: True,
        trainer=Trainer,
        checkpoint=Checkpoint.parse,
        model=_tower,
    ),
}
"""The first family that takes a name or bytes has them."""


def trainer_of(architecture: str) -> type[Trainer]:
    """What trains `architecture`."""
    return next(family.trainer for family in FAMILIES.values() if family.trains(architecture))


def checkpoint_of(data: bytes) -> AnyCheckpoint:
    """A model's checked header and weights. Raises CheckpointError."""
    return _family_of(data).checkpoint(data)


def header_of(data: bytes) -> Header:
    """The checked header of a model. Raises CheckpointError."""
    return checkpoint_of(data).header


def model_of(data: bytes, *, digest: str) -> Model:
    """A model, checked against its digest, at work on this machine. Raises CheckpointError."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return _family_of(data).model(data, digest, device)


def _family_of(data: bytes) -> Family:
    return next(family for family in FAMILIES.values() if family.wrote(data))
