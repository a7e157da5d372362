"""Trainings, the networks they make, and what their losses tell."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ringrift.events.facts.vocabulary import ConfigName, Count, Fact, Severity, Sha256, Token


class ModelTainted(Fact, frozen=True, kw_only=True):
    """`model` learned from games that are retracted, itself or (`inherited`) through the weights it
    began from.

    `retraction` is the position of the retraction, `clean` the nearest network before it that did
    not."""

    config: ConfigName
    model: Sha256
    generation: Count
    retraction: str
    inherited: bool
    clean: Sha256 | None


class HyperparametersAdjusted(Fact, frozen=True, kw_only=True):
    """What trainings of this config do other than the settings say, whole, from the next request
    on; empty: nothing.

    `values` by the dotted name of the setting, as text like on the command line. A person or the
    log decides it."""

    config: ConfigName
    values: dict[str, str]
    why: str
    settings_version: Count
    factors: dict[str, float] = {}
    """of `values`, those that no person set: times what the setting says"""


class TrainingRequested(Fact, frozen=True, kw_only=True):
    """Train `architecture` on `shards`, starting from the weights of `parent` if there is one. A
    `teacher` is a network whose policy and values are mixed into the targets."""

    config: ConfigName
    generation: Annotated[int, Meta(ge=1)]
    architecture: str
    parent: Sha256 | None
    teacher: Sha256 | None = None
    shards: tuple[Sha256, ...]
    samples: Count
    seed: Count
    reason: str
    settings_version: Count
    weights: tuple[float, ...] = ()
    """what the samples of each shard weigh in the loss; empty: all alike"""
    hyperparameters: dict[str, str] = {}
    """settings that are others for this training"""
    intensity: Annotated[float, Meta(gt=0.0)] = 1.0
    """times the epochs of the settings: poor data are learned from less"""


class TrainingStarted(Fact, frozen=True, kw_only=True):
    """A trainer took the ticket; `resumed_step` > 0 if it goes on from a checkpoint."""

    config: ConfigName
    generation: Count
    ticket: str
    node: str
    device: str
    resumed_step: Count


class TrainingCheckpointed(Fact, frozen=True, kw_only=True):
    """A training that takes long is alive: written with a checkpoint, some minutes apart, and kept,
    for decisions depend on it."""

    config: ConfigName
    generation: Count
    ticket: str
    step: Count
    steps: Count
    loss: float
    node: str


class TrainingProgressed(Fact, frozen=True, kw_only=True):
    """Loss curves while training runs; kept for days only, no decision may depend on it."""

    config: ConfigName
    generation: Count
    ticket: str
    step: Count
    steps: Count
    loss: float
    policy_loss: float
    value_loss: float
    validation_loss: float | None
    samples_per_second: float


class TrainingFinished(Fact, frozen=True, kw_only=True):
    """Training ended and `model` is in the object store."""

    config: ConfigName
    generation: Count
    ticket: str
    model: Sha256
    steps: Count
    samples: Count
    loss: float
    policy_loss: float
    value_loss: float
    validation_loss: float | None
    train_seconds: float
    node: str


class TrainingFailed(Fact, frozen=True, kw_only=True):
    """Training of this ticket was given up after its last delivery."""

    config: ConfigName
    generation: Count
    ticket: str
    reason: str
    node: str


class ModelRegistered(Fact, frozen=True, kw_only=True):
    """An immutable network exists: what its header says and where it came from."""

    config: ConfigName
    model: Sha256
    generation: Count
    architecture: str
    encoder: str
    parameters: Annotated[int, Meta(ge=1)]
    parents: tuple[Sha256, ...]
    ticket: str


class ModelDerived(Fact, frozen=True, kw_only=True):
    """An immutable network was made from others without training, by `method`; trainings can start
    from it."""

    config: ConfigName
    model: Sha256
    architecture: str
    encoder: str
    parameters: Annotated[int, Meta(ge=1)]
    parents: tuple[Sha256, ...]
    method: str


class FallbackModelUsed(Fact, frozen=True, kw_only=True):
    """A worker could not fetch the network `wanted`, and did this ticket with `used`, which had
    been current before it.

    `age_seconds` is how long ago `used` became current; `tries` and `seconds` what was spent on the
    wanted one, `reason` why the last try failed."""

    config: ConfigName
    ticket: str
    wanted: Sha256
    used: Sha256
    age_seconds: float
    tries: Count
    seconds: float
    reason: str
    node: Token


class LossAnomalyDetected(Fact, frozen=True, kw_only=True):
    """A training ended with, or ran into, a loss far above what this config's trainings led to
    expect.

    `deviations` tells how far above `expected` in (robust) standard deviations; `severity` follows
    from it."""

    config: ConfigName
    generation: Count
    ticket: str
    severity: Severity
    loss: float
    expected: float
    deviations: float
    settings_version: Count


class PlateauDetected(Fact, frozen=True, kw_only=True):
    """The loss of this config has not fallen for `trainings` trainings; said again when that makes
    it more severe."""

    config: ConfigName
    generation: Count
    severity: Severity
    trainings: Annotated[int, Meta(ge=1)]
    best: float
    settings_version: Count


class PlateauCleared(Fact, frozen=True, kw_only=True):
    """The loss fell again, to `best`, after `trainings` trainings in which it did not."""

    config: ConfigName
    generation: Count
    trainings: Annotated[int, Meta(ge=1)]
    best: float
    settings_version: Count


class TrainingBlocked(Fact, frozen=True, kw_only=True):
    """A training is due but its data are not good enough: the generation plays on, and what is new
    is looked at again."""

    config: ConfigName
    generation: Count
    reason: Literal["quality", "stale data"]
    detail: str
    settings_version: Count


class TrainingTimedOut(Fact, frozen=True, kw_only=True):
    """A training gave no sign of life for `silent_seconds` of recorded time; its ticket is void,
    whoever holds it."""

    config: ConfigName
    generation: Count
    ticket: str
    silent_seconds: float
    settings_version: Count
