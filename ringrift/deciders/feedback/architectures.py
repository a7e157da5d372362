"""How is training shared among architectures? By the Elo that each gained per hour of training,
with a minimum share for every one.

The gain of a network is its Elo above the network that was current when it was trained, in the
first rating table with both; the first network of a config is compared with the heuristic. Old
gains decay by half every `half_life_trainings` of the architecture, so that one that stops
improving makes room."""

from collections.abc import Iterator

from ringrift.deciders.feedback.allocation import bounded
from ringrift.deciders.kit import Configs, Context, Decider, Struct, replace
from ringrift.deciders.loop.rating import as_tried, heuristic_elo
from ringrift.events import facts as f
from ringrift.events.settings import ArchitectureSettings

HEURISTIC = "baseline:heuristic"
PENDING_MAX = 16
"""unrated networks that are remembered; ratings of older ones were lost"""
RATE_MIN = 1.0
"""Elo per hour that an architecture without a gain counts with"""


class Pending(Struct, frozen=True, kw_only=True):
    """A network without a rating: its architecture, hours of training, and the network to compare
    it with."""

    model: str
    architecture: str
    hours: float
    rival: str | None


class Account(Struct, frozen=True, kw_only=True):
    """Elo gained and hours spent by an architecture, newer trainings counting more."""

    elo: float = 0.0
    hours: float = 0.0
    trainings: int = 0


class Architectures(Struct, frozen=True, kw_only=True):
    """The current network of a config, its unrated networks, and accounts by architecture."""

    current: str | None = None
    hours: dict[str, float] = {}
    """of the newest training by model, until the model is registered"""
    pending: tuple[Pending, ...] = ()
    accounts: dict[str, Account] = {}
    settled: tuple[str, ...] = ()
    """networks that the newest table rated for the first time"""


DECIDER = Decider("architectures", Configs[Architectures])


@DECIDER.evolves
def trained(item: Architectures, fact: f.TrainingFinished) -> Architectures:
    return replace(item, hours={fact.model: fact.train_seconds / 3600.0})


@DECIDER.evolves
def registered(item: Architectures, fact: f.ModelRegistered | f.ModelAdopted) -> Architectures:
    hours, name = item.hours.get(fact.model), fact.architecture
    if hours is None:
        return item
    new = Pending(model=fact.model, architecture=name, hours=hours, rival=item.current)
    return replace(item, pending=(*item.pending, new)[-PENDING_MAX:], hours={})


@DECIDER.evolves
def became_current(item: Architectures, fact: f.IncumbentChanged) -> Architectures:
    return replace(item, current=fact.current)


@DECIDER.evolves
def rated(item: Architectures, fact: f.RatingsUpdated, context: Context) -> Architectures:
    elo = _by_model(fact.ratings, context.settings.evaluation.simulations)
    accounts, settled = dict(item.accounts), []
    for waiting in item.pending:
        rival = waiting.rival[:12] if waiting.rival else HEURISTIC
        if waiting.model[:12] in elo and rival in elo:
            gain = elo[waiting.model[:12]] - elo[rival]
            before = accounts.get(waiting.architecture, Account())
            account = booked(before, gain, waiting.hours, context.settings.architectures)
            accounts[waiting.architecture] = account
            settled.append(waiting.model)
    left = tuple(waiting for waiting in item.pending if waiting.model not in settled)
    return replace(item, pending=left, accounts=accounts, settled=tuple(settled))


@DECIDER.decides
def share_out(
    item: Architectures, fact: f.RatingsUpdated, context: Context
) -> Iterator[f.ArchitectureSharesDecided]:
    """Change the shares after a table that rated a new network."""
    if item.settled:
        rates = {name: rate(account) for name, account in item.accounts.items()}
        yield f.ArchitectureSharesDecided(
            **context.basis(fact.config),
            elo_per_hour=rates,
            shares=shares(rates, context.settings.architectures),
            trainings={name: account.trainings for name, account in item.accounts.items()},
        )


def rate(account: Account) -> float:
    """Elo gained per hour of training."""
    return account.elo / max(account.hours, 1e-6)


def shares(rates: dict[str, float], settings: ArchitectureSettings) -> dict[str, float]:
    """Shares of training in proportion to Elo per hour, none below the minimum; they sum to 1."""
    raw = {name: max(value, RATE_MIN) for name, value in rates.items()}
    return bounded(raw, dict.fromkeys(raw, settings.floor / len(raw)), dict.fromkeys(raw, 1.0))


def booked(account: Account, gain: float, hours: float, settings: ArchitectureSettings) -> Account:
    """The account after one more training; earlier ones decay."""
    kept = 0.5 ** (1.0 / settings.half_life_trainings)
    elo, hours = kept * account.elo + gain, kept * account.hours + hours
    return Account(elo=elo, hours=hours, trainings=account.trainings + 1)


def _by_model(ratings: tuple[f.Rating, ...], simulations: int) -> dict[str, float]:
    """Elo in trials by the first 12 digits of the network, and under `HEURISTIC` that of the
    heuristic."""
    elo = {model: row.elo for model, row in as_tried(ratings, simulations).items()}
    heuristic = heuristic_elo(ratings)
    return elo if heuristic is None else {**elo, HEURISTIC: heuristic}
