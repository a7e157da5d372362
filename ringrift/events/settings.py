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
PositiveFloat = Annotated[float, Meta(gt=0.0)]

ENV_PREFIX = "RINGRIFT_"
ENV_OF_PROCESS = frozenset({"SERVER", "DATA", "NODE", "LOG", "THREADS", "HEALTH_PORT", "CREDENTIALS", "CA"})
"""Environment names that configure one process and are no setting of the system."""


class SelfplaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How games for training are made."""

    games: Positive = 192
    """games of one generation"""
    bootstrap_games: Positive = 512
    """games before the first network, searched with the handcrafted heuristic at the leaves; on hex8_2p the first network
    scored 86 % of 96 games against the heuristic after so many"""
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
