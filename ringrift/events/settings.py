"""Settings: one typed struct, defaults in one place, each number with its reason.

A value is looked for on the command line (`--set training.batch=256`), then in the environment (`RINGRIFT_TRAINING_BATCH`),
then in a JSON file, then here. A name or value that does not fit is refused, never replaced by the default. The settings in
force are a fact (`SettingsChanged`) and every decision cites their version.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ringrift.events.errors import SettingsError

Positive = Annotated[int, Meta(ge=1)]
NonNegative = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
NonNegativeFloat = Annotated[float, Meta(ge=0.0)]
ModelOfConfig = Annotated[str, Meta(pattern="^(square8|square19|hex8|hexagonal)_[234]p=[0-9a-f]{64}$")]
"""A config and the digest of a network for it."""
PositiveFloat = Annotated[float, Meta(gt=0.0)]

ENV_PREFIX = "RINGRIFT_"
ENV_OF_PROCESS = frozenset({"SERVER", "DATA", "NODE", "LOG", "THREADS", "HEALTH_PORT", "HEALTH_HOST"})
"""Environment names that configure one process and are no setting of the system."""


class SelfplaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How games for training are made."""

    games: Positive = 256
    """games of one generation; on hex8_2p the second network scored 72 % against the first after so many, 55 % after 192"""
    bootstrap_games: Positive = 160
    """games before the first network, searched with the handcrafted heuristic at the leaves: enough for a network that beats
    random play. On hex8_2p the first network scored 85 % of 96 games against the heuristic after 256 of them, 90 % after 512;
    a network's own games teach more"""
    games_per_ticket: Positive = 96
    """lockstep games of one ticket: a batch of 64 to 128 leaves keeps the network's cost a position low on a CPU"""
    simulations: Positive = 32
    """search budget a decision"""
    considered: Positive = 16
    """actions sampled at the root (Gumbel AlphaZero, Danihelka et al. 2022, uses 16)"""
    temperature_plies: NonNegative = 24
    """plies at the start of a game whose Gumbel noise has full scale; afterwards the best action is played"""
    pie: bool = False
    """pie rule, two seats only"""
    max_moves: Positive = 4000
    """a game longer than this is an error: the rules bound every game (section 19), the longest seen has 1,500 plies"""


class ShardSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How games become training samples."""

    games: Positive = 64
    """games of one shard"""


class TrainingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When and how a network is trained."""

    architecture: str = "v2-micro"
    min_samples: Positive = 5000
    """new samples since the last training before the next one (requirement G08.02)"""
    window_samples: Positive = 90_000
    """newest samples a training may see; older play is weaker play"""
    epochs: PositiveFloat = 2.0
    """passes over the window: steps = epochs * window / batch"""
    batch: Positive = 256
    learning_rate: PositiveFloat = 2e-3
    weight_decay: Annotated[float, Meta(ge=0.0)] = 1e-4
    value_weight: PositiveFloat = 1.0
    """weight of the value loss against the policy loss"""
    rank_weight: NonNegativeFloat = 0.0
    """weights of the auxiliary losses, which shape the trunk: final rank of every seat, final owner of every cell, moves left.
    Off until an experiment shows that they pay"""
    territory_weight: NonNegativeFloat = 0.0
    moves_left_weight: NonNegativeFloat = 0.0
    init: tuple[ModelOfConfig, ...] = ()
    """networks that the first training of a config starts from, such as `square8_4p=<digest>` of one made by
    `ringrift model transfer`"""
    distill_from: tuple[ModelOfConfig, ...] = ()
    """networks that teach the trainings of a config, of any architecture; `distill_weight` of the targets is theirs"""
    distill_weight: Fraction = 0.5
    validation_fraction: Fraction = 0.05
    """share of the games kept out of the gradient and used for the validation loss"""
    checkpoint_steps: Positive = 100
    """steps between checkpoints: what a killed trainer repeats at most"""


class EvaluationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a candidate is measured."""

    simulations: Positive = 32
    pairs_per_ticket: Positive = 32
    """starts of one promotion ticket; the sequential test looks after each"""
    baseline_pairs: Positive = 48
    """starts against random and against the heuristic, once a candidate"""
    opening_plies: NonNegative = 8
    """plies drawn from the policy with noise so that games of a pair differ from those of the next"""


class PromotionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sequential test that promotes: elo0 is not worth it, elo1 is (Wald 1945; bounds log(b/(1-a)), log((1-b)/a))."""

    elo0: float = 0.0
    elo1: float = 40.0
    alpha: Annotated[float, Meta(gt=0.0, lt=0.5)] = 0.05
    beta: Annotated[float, Meta(gt=0.0, lt=0.5)] = 0.05
    max_pairs: Positive = 64
    """starts after which an undecided test goes by `score_at_cap`"""
    score_at_cap: Fraction = 0.52
    """share of points that promotes when the test is still open at the cap"""


class OperationSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When somebody or something is in trouble, and what is done about it."""

    node_suspected_seconds: PositiveFloat = 300.0
    node_degraded_seconds: PositiveFloat = 600.0
    node_lost_seconds: PositiveFloat = 1800.0
    """silence after which a node is suspected, degraded, lost (requirement G16.13: 5, 10, 30 minutes)"""
    pressure_caution: Fraction = 0.60
    pressure_warning: Fraction = 0.70
    pressure_critical: Fraction = 0.80
    pressure_emergency: Fraction = 0.90
    """share of memory or file descriptors in use at which the tier begins (requirement G18.01)"""
    pressure_hysteresis: Fraction = 0.05
    """a tier ends so far below its beginning, or the fleet would flap at the border"""
    disk_caution: Fraction = 0.80
    disk_warning: Fraction = 0.95
    disk_critical: Fraction = 0.97
    disk_emergency: Fraction = 0.99
    """the same of the disk: three quarters full is how most disks live, so work stops later"""
    disk_hysteresis: Fraction = 0.01
    dead_letter_retries: NonNegative = 4
    dead_letter_retry_seconds: PositiveFloat = 300.0
    """wait before the first automatic retry of a dead letter; every next one waits four times as long, the last 5 h"""
    dead_letters_max: Positive = 50
    """so many unresolved dead letters are an alarm (requirement G15.06)"""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything an operator may turn. `generations` 0 means: go on until stopped."""

    configs: tuple[Annotated[str, Meta(pattern="^(square8|square19|hex8|hexagonal)_[234]p$")], ...] = ("hex8_2p",)
    generations: NonNegative = 0
    seed: NonNegative = 1
    selfplay: SelfplaySettings = SelfplaySettings()
    shard: ShardSettings = ShardSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    promotion: PromotionSettings = PromotionSettings()
    operation: OperationSettings = OperationSettings()


SHARED_MACHINE = Settings(
    operation=OperationSettings(pressure_caution=0.80, pressure_warning=0.90, pressure_critical=0.95, pressure_emergency=0.98)
)
"""defaults where the loop brings its own server: a laptop's user fills 70 % of its memory before we start, and wants us to play"""


def model_for(chosen: Iterable[str], config: str) -> str | None:
    """The digest that `chosen` (of `ModelOfConfig`) names for a config, the last one if several; None if none."""
    return dict(text.split("=") for text in chosen).get(config)


def names(kind: type[Struct] = Settings, prefix: str = "") -> Iterator[str]:
    """Dotted name of every setting, in the order of declaration."""
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from names(field.type, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Settings named by `RINGRIFT_...` variables. Raises SettingsError for a variable that names nothing."""
    known = {name.upper().replace(".", "_"): name for name in names()}
    found: dict[str, str] = {}
    for variable, value in environ.items():
        key = variable.removeprefix(ENV_PREFIX)
        if key == variable or key in ENV_OF_PROCESS:
            continue
        if key not in known:
            raise SettingsError(f"environment variable {variable} names no setting{_near(key, known)}")
        found[known[key]] = value
    return found


def from_arguments(arguments: Iterable[str]) -> dict[str, str]:
    """Settings given as `name=value`. Raises SettingsError if one has no `=`."""
    found: dict[str, str] = {}
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if not sign:
            raise SettingsError(f"setting {argument!r} has no value: write {argument}=VALUE")
        found[name] = value
    return found


def load(*sources: Mapping[str, str], file: bytes | None = None, base: Settings | None = None) -> Settings:
    """Settings from `base` (the defaults), then a JSON `file`, then `sources`, the last one winning.

    Raises SettingsError that names the setting, the value and what was expected."""
    tree: dict[str, Any] = msgspec.to_builtins(base or Settings())
    if file is not None:
        try:
            given = msgspec.json.decode(file, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise SettingsError(f"settings file: {error}") from error
        for name, value in _leaves(given):
            _put(tree, name, value)
    for source in sources:
        for name, text in source.items():
            _put(tree, name, _parse(text))
    try:
        return msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"setting refused: {error}") from error


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    known = list(names())
    if name not in known:
        raise SettingsError(f"no setting is called {name!r}{_near(name, known)}")
    *path, last = name.split(".")
    for part in path:
        tree = tree[part]
    if isinstance(tree[last], (list, tuple)) and isinstance(value, str):
        value = [part for part in value.split(",") if part]
    tree[last] = value


def _parse(text: str) -> Any:
    """A number or boolean as JSON reads it, anything else as text."""
    try:
        return msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return text


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
