"""Which architecture earns its training time? Elo gained per hour of training, by config and
architecture, and a share of it all.

The gain of a network is its Elo above the network that was current when it was trained, in the
first table that rates both; the first network of a config is held against the heuristic. Old gains
fade by half every `half_life_trainings` of the architecture, so that one that has reached its end
makes room. Shares follow the gain an hour, and each keeps a floor: what is never tried proves
nothing."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.feedback.scheduling import bounded
from ringrift.deciders.kit import Classic, Context
from ringrift.deciders.loop.rating import as_tried
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    ArchitectureSharesDecided,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    Rating,
    RatingsUpdated,
    SettingsChanged,
    TrainingFinished,
)
from ringrift.events.settings import ArchitectureSettings

HEURISTIC = "baseline:heuristic"
PENDING_MAX = 16
"""networks that wait for a rating, remembered: older ones were lost on the way"""
RATE_MIN = 1.0
"""Elo an hour that an architecture without a gain counts with"""


class Pending(Struct, frozen=True, kw_only=True):
    """A network that is not rated yet: its architecture, hours of training, and the network it is
    held against."""

    model: str
    architecture: str
    hours: float
    rival: str | None


class Account(Struct, frozen=True, kw_only=True):
    """What an architecture has brought and cost, newer trainings counting more."""

    elo: float = 0.0
    hours: float = 0.0
    trainings: int = 0


class ConfigArchitectures(Struct, frozen=True, kw_only=True):
    """One config: the current network, hours of the newest training, networks that wait, accounts
    by architecture."""

    current: str | None = None
    hours: dict[str, float] = {}
    """by model, between the two facts that tell of it"""
    pending: tuple[Pending, ...] = ()
    accounts: dict[str, Account] = {}
    settled: tuple[str, ...] = ()
    """networks that the newest table settled"""


class ArchitecturesState(Struct, frozen=True, kw_only=True):
    """Settings in force and every config that was trained."""

    settings: Settings = Settings(configs=())
    version: int = 0
    configs: dict[str, ConfigArchitectures] = {}


def evolve(state: ArchitecturesState, event: Fact, meta: Context) -> ArchitecturesState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case TrainingFinished():
            return _with(state, event.config, hours={event.model: event.train_seconds / 3600.0})
        case ModelRegistered():
            return _registered(state, event)
        case ModelPromoted():
            return _with(state, event.config, current=event.model)
        case ModelRolledBack():
            return _with(state, event.config, current=event.current)
        case RatingsUpdated():
            return _rated(state, event)
    return state


def decide(state: ArchitecturesState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """Shares after a table that rated a new network."""
    if not isinstance(event, RatingsUpdated) or not (item := _of(state, event.config)).settled:
        return ()
    rates = {name: rate(account) for name, account in item.accounts.items()}
    return (
        ArchitectureSharesDecided(
            config=event.config,
            elo_per_hour=rates,
            shares=shares(rates, state.settings.architectures),
            trainings={name: account.trainings for name, account in item.accounts.items()},
            settings_version=state.version,
        ),
    )


def rate(account: Account) -> float:
    """Elo gained per hour of training."""
    return account.elo / max(account.hours, 1e-6)


def shares(rates: dict[str, float], settings: ArchitectureSettings) -> dict[str, float]:
    """Shares of training, in proportion to Elo an hour, none below the floor; they sum to 1."""
    raw = {name: max(value, RATE_MIN) for name, value in rates.items()}
    return bounded(raw, dict.fromkeys(raw, settings.floor / len(raw)), dict.fromkeys(raw, 1.0))


def booked(account: Account, gain: float, hours: float, settings: ArchitectureSettings) -> Account:
    """The account after one more training; what was there before fades."""
    kept = 0.5 ** (1.0 / settings.half_life_trainings)
    return Account(
        elo=kept * account.elo + gain,
        hours=kept * account.hours + hours,
        trainings=account.trainings + 1,
    )


def _registered(state: ArchitecturesState, event: ModelRegistered) -> ArchitecturesState:
    item = _of(state, event.config)
    if event.model not in item.hours:
        return state
    new = Pending(
        model=event.model,
        architecture=event.architecture,
        hours=item.hours[event.model],
        rival=item.current,
    )
    return _with(state, event.config, pending=(*item.pending, new)[-PENDING_MAX:], hours={})


def _rated(state: ArchitecturesState, event: RatingsUpdated) -> ArchitecturesState:
    item, elo = (
        _of(state, event.config),
        _by_model(event.ratings, state.settings.evaluation.simulations),
    )
    accounts = dict(item.accounts)
    settled = []
    for waiting in item.pending:
        rival = waiting.rival[:12] if waiting.rival else HEURISTIC
        if waiting.model[:12] in elo and rival in elo:
            gain = elo[waiting.model[:12]] - elo[rival]
            before = accounts.get(waiting.architecture, Account())
            accounts[waiting.architecture] = booked(
                before, gain, waiting.hours, state.settings.architectures
            )
            settled.append(waiting.model)
    left = tuple(waiting for waiting in item.pending if waiting.model not in settled)
    return _with(state, event.config, pending=left, accounts=accounts, settled=tuple(settled))


def _by_model(ratings: tuple[Rating, ...], simulations: int) -> dict[str, float]:
    """Elo in trials by the first digits of the network; that of the heuristic under `HEURISTIC`."""
    elo = {model: row.elo for model, row in as_tried(ratings, simulations).items()}
    heuristic = next(
        (row.elo for row in ratings if row.participant.startswith(f"{HEURISTIC}:")), None
    )
    return elo if heuristic is None else {**elo, HEURISTIC: heuristic}


def _of(state: ArchitecturesState, config: str) -> ConfigArchitectures:
    return state.configs.get(config, ConfigArchitectures())


def _with(state: ArchitecturesState, config: str, **changes: object) -> ArchitecturesState:
    return replace(state, configs={**state.configs, config: replace(_of(state, config), **changes)})


DECIDER = Classic(
    name="architectures",
    state=ArchitecturesState,
    reads=(
        SettingsChanged,
        TrainingFinished,
        ModelRegistered,
        ModelPromoted,
        ModelRolledBack,
        RatingsUpdated,
    ),
    writes=(ArchitectureSharesDecided,),
    initial=ArchitecturesState,
    evolve=evolve,
    decide=decide,
)
