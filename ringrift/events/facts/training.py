"""Trainings, the networks they make, and what their losses tell."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ringrift.events.facts.vocabulary import ConfigName, Count, Fact, Severity, Sha256, Token

PROGRESS_KEPT_SECONDS = 7 * 24 * 3600
"""loss curves are read for days, and no decision depends on them"""


class ModelTainted(Fact, subject="model.{config}.tainted"):
    """`model` learned from games that are retracted, itself or (`inherited`) through the weights it
    began from.

    `retraction` is the position of the retraction, `clean` the nearest network before it that did
    not."""

    config: ConfigName
    model: Sha256
    generation: Count
    retraction: str
    inherited: bool
    clean_ancestor: Sha256 | None


class HyperparametersAdjusted(Fact, subject="hyperparameters.{config}.adjusted"):
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


class TrainingRequested(Fact, subject="training.{config}.requested"):
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
    shard_weights: tuple[float, ...] = ()
    """what the samples of each shard weigh in the loss; empty: all alike"""
    hyperparameters: dict[str, str] = {}
    """settings that are others for this training"""
    intensity: Annotated[float, Meta(gt=0.0)] = 1.0
    """times the epochs of the settings: poor data are learned from less"""


class TrainingStarted(Fact, subject="training.{config}.started"):
    """A trainer took the ticket; `resumed_step` > 0 if it goes on from a checkpoint."""

    config: ConfigName
    generation: Count
    ticket: str
    node: str
    device: str
    resumed_step: Count


class TrainingCheckpointed(Fact, subject="training.{config}.checkpointed"):
    """A training that takes long is alive: written with a checkpoint, some minutes apart, and kept,
    for decisions depend on it."""

    config: ConfigName
    generation: Count
    ticket: str
    step: Count
    steps: Count
    loss: float
    node: str


class TrainingProgressed(
    Fact, subject="training.{config}.progressed", kept_seconds=PROGRESS_KEPT_SECONDS
):
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


class TrainingFinished(Fact, subject="training.{config}.finished"):
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


class TrainingFailed(Fact, subject="training.{config}.failed"):
    """Training of this ticket was given up after its last delivery."""

    config: ConfigName
    generation: Count
    ticket: str
    reason: str
    node: str


class ModelRegistered(Fact, subject="model.{config}.registered"):
    """An immutable network exists: what its header says and where it came from."""

    config: ConfigName
    model: Sha256
    generation: Count
    architecture: str
    encoder: str
    parameters: Annotated[int, Meta(ge=1)]
    parents: tuple[Sha256, ...]
    ticket: str


class ModelDerived(Fact, subject="model.{config}.derived"):
    """An immutable network was made from others without training, by `method`; trainings can start
    from it."""

    config: ConfigName
    model: Sha256
    architecture: str
    encoder: str
    parameters: Annotated[int, Meta(ge=1)]
    parents: tuple[Sha256, ...]
    method: str


class FallbackModelUsed(Fact, subject="model.{config}.fallback-model-used"):
    """A worker could not fetch the network `wanted`, and did this ticket with `used`, which had
    been current before it.

    `age_seconds` is how long ago `used` became current; `tries` and `seconds` what was spent on the
    wanted one, `reason` why the last try failed."""

    config: ConfigName
    ticket: str
    wanted: Sha256
    used: Sha256
    age_seconds: float
    fetch_tries: Count
    fetch_seconds: float
    reason: str
    node: Token


class LossAnomalyDetected(Fact, subject="loss.{config}.anomaly-detected"):
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


class PlateauDetected(Fact, subject="loss.{config}.plateau-detected"):
    """The loss of this config has not fallen for `trainings` trainings; said again when that makes
    it more severe."""

    config: ConfigName
    generation: Count
    severity: Severity
    trainings: Annotated[int, Meta(ge=1)]
    best_loss: float
    settings_version: Count


class PlateauCleared(Fact, subject="loss.{config}.plateau-cleared"):
    """The loss fell again, to `best`, after `trainings` trainings in which it did not."""

    config: ConfigName
    generation: Count
    trainings: Annotated[int, Meta(ge=1)]
    best_loss: float
    settings_version: Count


class TrainingBlocked(Fact, subject="training.{config}.blocked"):
    """A training is due but its data are not good enough: the generation plays on, and what is new
    is looked at again."""

    config: ConfigName
    generation: Count
    reason: Literal["quality", "stale data"]
    detail: str
    settings_version: Count


class TrainingTimedOut(Fact, subject="training.{config}.timed-out"):
    """A training gave no sign of life for `silent_seconds` of recorded time; its ticket is void,
    whoever holds it."""

    config: ConfigName
    generation: Count
    ticket: str
    silent_seconds: float
    settings_version: Count
