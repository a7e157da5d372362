"""Trainings, the networks they produce, and the findings about their losses."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from ringrift.events.facts.vocabulary import *
from ringrift.events.settings import HYPERPARAMETERS

Parents = Annotated[tuple[Sha256, ...], Meta(max_length=100)]
Hyperparameters = dict[Name, Annotated[str, Meta(max_length=200)]]


class ConfigWindow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shards of a config on which a network is trained.

    Without a `generation` it only keeps the network from forgetting that config. The other fields
    are as in `TrainingRequested`."""

    config: ConfigName
    generation: Positive | None = None
    shards: Annotated[tuple[Sha256, ...], Meta(max_length=ITEMS_MAX)]
    samples: Count
    shard_weights: Annotated[tuple[NonNegative, ...], Meta(max_length=ITEMS_MAX)] = ()
    intensity: Above0 = 1.0

    def __post_init__(self) -> None:
        law(len(self.shard_weights) in (0, len(self.shards)), "every shard has a weight, or none")


class TrainingRequested(ConfigDecision, subject="training.{config}.requested"):
    """Train `architecture` on `shards`, starting from the weights of `parent` if given.

    The policy and values of `teacher` are mixed into the targets, if given. `others` are windows of
    other configs for the same network; the requests of those that get a generation of it have no
    ticket, and name the config of this one as `within`."""

    generation: Positive
    architecture: Name
    parent: Sha256 | None
    teacher: Sha256 | None = None
    shards: Annotated[tuple[Sha256, ...], Meta(max_length=ITEMS_MAX)]
    samples: Count
    seed: Count
    reason: Text
    shard_weights: Annotated[tuple[NonNegative, ...], Meta(max_length=ITEMS_MAX)] = ()
    """weight of the samples of each shard in the loss; empty: all equal"""
    hyperparameters: Hyperparameters = {}
    """settings that differ for this training"""
    intensity: Above0 = 1.0
    """factor on the epochs of the settings: fewer for data of poor quality"""
    others: Annotated[tuple[ConfigWindow, ...], Meta(max_length=11)] = ()
    within: ConfigName | None = None
    experiment: Position | None = None
    """of which the training is a part, and its arm"""
    arm: ArmName | None = None

    def __post_init__(self) -> None:
        law((self.experiment is None) == (self.arm is None), "an experiment has arms")
        law(len(self.shard_weights) in (0, len(self.shards)), "every shard has a weight, or none")
        law(HYPERPARAMETERS.issuperset(self.hyperparameters), "a hyperparameter is unknown")
        named = {self.config, *(other.config for other in self.others)}
        law(len(named) == 1 + len(self.others), "a config has one window")
        law(not (self.others and self.within), "a request within another one has no others")

    @property
    def windows(self) -> tuple[ConfigWindow, ...]:
        """The windows of all configs, its own first."""
        own = ConfigWindow(
            config=self.config,
            generation=self.generation,
            shards=self.shards,
            samples=self.samples,
            shard_weights=self.shard_weights,
            intensity=self.intensity,
        )
        return (own, *self.others)

    @property
    def generations(self) -> dict[str, int]:
        """The configs that get a generation of the network, its own first."""
        return {one.config: one.generation for one in self.windows if one.generation}


class TrainingBlocked(GenerationDecision, subject="training.{config}.blocked"):
    """A training is due but its data are not good enough: self-play of the generation continues
    until newer data are."""

    reason: Literal["quality", "stale data"]
    detail: Text


class TrainingDelayed(GenerationDecision, subject="training.{config}.delayed", for_people=True):
    """A training is due and waits: for a trainer, because others are trained first during its
    cool-down, or until fewer matches wait. `others` are configs that it is trained together with
    and waits for. `seconds_max` is the longest that it waits for this, if that is known."""

    reason: Literal["a trainer", "fewer matches"]
    seconds_max: NonNegative | None = None
    others: Annotated[tuple[ConfigName, ...], Meta(max_length=11)] = ()


class TrainingStarted(GenerationFact, subject="training.{config}.started"):
    """A trainer took the ticket; `resumed_step` > 0 if it resumed from a checkpoint."""

    device: Text
    resumed_step: Count


class TrainingCheckpointed(GenerationFact, subject="training.{config}.checkpointed"):
    """A training in progress wrote a checkpoint; recorded every few minutes and kept, because
    decisions depend on it."""

    step: Count
    steps: Count
    loss: Finite


class TrainingProgressed(ConfigFact, subject="training.{config}.progressed", for_people=True):
    """One point of the loss curves of a training; no decision may depend on it."""

    generation: Count
    ticket: Name
    step: Count
    steps: Count
    loss: Finite
    policy_loss: Finite
    value_loss: Finite
    validation_loss: Finite | None
    samples_per_second: NonNegative


class TrainingFinished(GenerationFact, subject="training.{config}.finished"):
    """A training ended and `model` is in the object store.

    If it was on several configs, each that gets a generation has this fact, with its own steps and
    losses and its share of the time."""

    model: Sha256
    steps: Count
    samples: Count
    loss: Finite
    policy_loss: Finite
    value_loss: Finite
    validation_loss: Finite | None
    train_seconds: NonNegative


class TrainingFailed(GenerationFact, subject="training.{config}.failed"):
    """A training failed on its last delivery."""

    reason: Text


class TrainingTimedOut(GenerationDecision, subject="training.{config}.timed-out"):
    """A training showed no sign of life for `silent_seconds` of recorded time; its ticket is void,
    and a result that still arrives is refused."""

    ticket: Name
    silent_seconds: NonNegative


class HyperparametersAdjusted(ConfigDecision, subject="hyperparameters.{config}.adjusted"):
    """Settings that differ for the trainings of this config from the next request on, complete;
    empty: none.

    `values` maps the dotted names of settings to text, as on the command line."""

    values: Hyperparameters
    why: Text
    factors: dict[Name, Annotated[float, Meta(gt=1e-9, le=1.0)]] = {}
    """factors on the settings, for those of `values` that were not set by a person"""

    def __post_init__(self) -> None:
        law(HYPERPARAMETERS.issuperset(self.values), "a hyperparameter is unknown")
        law(self.values.keys() >= self.factors.keys(), "a factor is one of a value")


class ModelRegistered(ConfigFact, subject="model.{config}.registered"):
    """A trained network exists, with the data of its header and its origin.

    One that the loop did not train has generation 0, and says what it comes from and why it was
    registered. `serves` are other configs that it was trained for, with its generation there."""

    model: Sha256
    generation: Count
    architecture: Name
    encoder: Name
    parameters: Positive
    parents: Parents
    ticket: Name
    source: Text = ""
    why: Text = ""
    serves: dict[ConfigName, Positive] = {}

    def __post_init__(self) -> None:
        law(self.model not in self.parents, "a network is not its own parent")
        law(self.config not in self.serves, "a network serves its own config anyway")


class ModelDerived(ConfigFact, subject="model.{config}.derived"):
    """A network was derived from others without training, by `method`; trainings can start from
    it."""

    model: Sha256
    architecture: Name
    encoder: Name
    parameters: Positive
    parents: Parents
    method: Name
    generation: ClassVar[int] = 0  # as those that the loop did not train

    def __post_init__(self) -> None:
        law(self.model not in self.parents, "a network is not its own parent")


class ModelAdopted(ConfigDecision, subject="model.{config}.adopted"):
    """A network of the config `origin` is on trial in this one as it is: it becomes current if it
    wins more than its fair share against the heuristic.

    One with a `generation` was trained for this config too, and is judged as one of its own. The
    other fields are those of its registration."""

    model: Sha256
    origin: ConfigName
    generation: Count = 0
    architecture: Name
    encoder: Name
    parameters: Positive
    parents: Parents
    why: Text


class ModelRetired(ConfigDecision, subject="model.{config}.retired"):
    """A network lost, and nothing needs it any more, so its blob is deleted; `ringrift model keep
    FILE` stores it again."""

    model: Sha256
    why: Text


ModelMade = ModelRegistered | ModelDerived
"""facts by which a network exists"""


class ModelTainted(ConfigFact, subject="model.{config}.tainted"):
    """`model` was trained on games that are retracted now, or (`inherited`) descends from such a
    network.

    `retraction` is the position of the retraction, `clean_ancestor` the nearest ancestor that is
    not tainted."""

    model: Sha256
    generation: Count
    retraction: Position
    inherited: bool
    clean_ancestor: Sha256 | None


class FallbackModelUsed(TicketFact, subject="model.{config}.fallback-model-used"):
    """A worker could not fetch the network `wanted` and used the earlier incumbent `used` for this
    ticket.

    `used` became the incumbent `age_seconds` ago. `reason` is the error of the last of
    `fetch_tries` attempts."""

    wanted: Sha256
    used: Sha256
    age_seconds: NonNegative
    fetch_tries: Count
    fetch_seconds: NonNegative
    reason: Text


class LossAnomalyDetected(GenerationDecision, subject="loss.{config}.anomaly-detected"):
    """A training had a loss far above what earlier trainings of the config led to expect.

    `deviations` is the distance from `expected` in robust standard deviations; `severity` follows
    from it."""

    ticket: Name
    severity: Severity
    loss: Finite
    expected: Finite
    deviations: NonNegative


class PlateauDetected(GenerationDecision, subject="loss.{config}.plateau-detected"):
    """The loss of a config has not fallen for `trainings` trainings; repeated when the severity
    rises."""

    severity: Severity
    trainings: Positive
    best_loss: Finite


class PlateauCleared(GenerationDecision, subject="loss.{config}.plateau-cleared"):
    """The loss fell to `best_loss`, after `trainings` trainings without a gain."""

    trainings: Positive
    best_loss: Finite


TrainingEnded = TrainingFinished | TrainingFailed | TrainingTimedOut
LossFinding = LossAnomalyDetected | PlateauDetected
