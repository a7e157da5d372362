"""How is self-play shared among the configs? By a weighted mean of six terms, each 0 to 1, times a
factor for starved configs, within limits (`ringrift.deciders.feedback.allocation`).

    staleness             hours since the newest shard, up to `stale_hours`
    velocity              the pace: fast configs are worth more games
    curriculum            weight relative to the largest one
    quality               1 - quality: poor data need replacing
    diversity             games missing compared with the config that has most
    value_of_information  uncertainty of the rating of the current network

A config with hardly any games gets its priority times 20, 50 or 200, and every share stays between
a minimum and a cap, so that neither one starved config nor all others together can take
everything."""

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import asdict, replace

from ringrift.deciders.feedback.allocation import Shares, allocate
from ringrift.deciders.kit import Configs, Context, Decider, Struct, noted
from ringrift.deciders.loop.rating import as_tried
from ringrift.events import facts as f
from ringrift.events.settings import SchedulingSettings, Settings

PACES = {"regressing": 0.5, "stalled": 0.25, None: 0.5, "steady": 0.75, "fast": 1.0}
"""a regressing config gets more than a stalled one, since it has been better before"""
UNCERTAIN_ELO = 50.0
"""standard error of a rating that counts half as uncertain as no rating"""
BUDGETS = ((100, 64), (500, 150), (1000, 200))
"""(games, simulations) up to a number of games: throughput, fast iteration, balanced (requirement
G14.12)"""
BUDGETS_BY_ELO = ((100.0, 200), (300.0, 400), (600.0, 800), (float("inf"), 1600))
"""(Elo above the heuristic, simulations) up to an Elo: standard, quality, ultimate, master; the
requirement does not give the numbers"""


class Load(Struct, frozen=True, kw_only=True):
    """Inputs of the terms of one config."""

    games: int = 0
    exported_at: datetime | None = None
    pace: f.Pace | None = None
    quality: float = 0.5
    current: str | None = None
    error: float | None = None
    """standard error of the current network's Elo above the anchor"""
    tickets: tuple[str, ...] = ()
    """with an outcome"""


class Loads(Configs[Load], frozen=True, kw_only=True):
    """Inputs by config, the weights of the curriculum, and the newest shares."""

    weights: dict[str, float] = {}
    shares: Shares = {}


DECIDER = Decider("scheduling", Loads, wakes=(f.SettingsChanged, f.TickRecorded))
DECIDER.keeps(f.VelocityChanged, pace=lambda fact: fact.pace)
DECIDER.keeps(f.QualityAssessed, quality=lambda fact: fact.adjusted)
DECIDER.keeps(f.CurriculumReweighted, weights=lambda fact: fact.weights)
DECIDER.keeps(f.AllocationDecided, shares=lambda fact: fact.shares)


@DECIDER.evolves
def played(item: Load, fact: f.SelfplayFinished) -> Load:
    if fact.ticket in item.tickets:
        return item
    tickets = noted(item.tickets, fact.ticket)
    return replace(item, games=item.games + fact.games, tickets=tickets)


@DECIDER.evolves
def exported(item: Load, fact: f.ShardExported, context: Context) -> Load:
    if fact.supersedes is not None:
        return item
    item = replace(item, games=item.games + fact.imported)
    # imported games are old, however new their shard is
    old = fact.imported and fact.imported == fact.games
    return item if old else replace(item, exported_at=context.time)


@DECIDER.evolves
def became_current(item: Load, fact: f.IncumbentChanged) -> Load:
    return replace(item, current=fact.current, error=None)


@DECIDER.evolves
def rated(item: Load, fact: f.RatingsUpdated, context: Context) -> Load:
    ratings = as_tried(fact.ratings, context.settings.evaluation.simulations)
    row = ratings.get(item.current[:12]) if item.current else None
    return replace(item, error=row.se) if row else item


@DECIDER.decides
def share_out(state: Loads, context: Context) -> Iterator[f.AllocationDecided]:
    """Change the shares once one of them has moved far enough."""
    settings = context.settings.scheduling
    if not context.settings.configs:
        return
    terms = terms_of(state, context.settings, context.time)
    games = {config: state.configs.get(config, Load()).games for config in terms}
    priorities = {config: priority(values, settings) for config, values in terms.items()}
    shares = allocate(priorities, games, settings)
    if _differ(shares, state.shares, settings.change_min):
        yield f.AllocationDecided(
            shares=shares, terms=terms, settings_version=context.settings_version
        )


def _differ(shares: Shares, before: Shares, change_min: float) -> bool:
    """Whether other configs are on, or a share has moved by that part of itself."""
    if shares.keys() != before.keys():
        return True
    moves = (abs(share / before[config] - 1.0) for config, share in shares.items())
    return max(moves) >= change_min


def terms_of(state: Loads, settings: Settings, now: datetime) -> dict[str, dict[str, float]]:
    """The six terms of every config, each 0 to 1."""
    items = {config: state.configs.get(config, Load()) for config in settings.configs}
    weights = {config: state.weights.get(config, 1.0) for config in items}
    heaviest, most = max(weights.values()), max(1, *(item.games for item in items.values()))
    stale_hours = settings.scheduling.stale_hours
    terms = {}
    for config, item in items.items():
        error, hours = item.error, stale_hours  # a config without a shard counts as stale
        if item.exported_at:
            hours = (now - item.exported_at).total_seconds() / 3600.0
        terms[config] = {
            "staleness": min(max(hours / stale_hours, 0.0), 1.0),
            "velocity": PACES[item.pace],
            "curriculum": weights[config] / heaviest,
            "quality": 1.0 - item.quality,
            "diversity": 1.0 - item.games / most,
            "value_of_information": 1.0 if error is None else error / (error + UNCERTAIN_ELO),
        }
    return terms


def priority(terms: dict[str, float], settings: SchedulingSettings) -> float:
    """Weighted mean of the terms, 0 to 1 (requirement G14.08)."""
    weights: dict[str, float] = asdict(settings.weights)
    return sum(weights[name] * value for name, value in terms.items()) / sum(weights.values())


def budget(games: int, gap: float | None) -> int:
    """Simulations per decision by games played and, from 1,000 on, by Elo above the heuristic
    (requirement G14.12)."""
    for below, simulations in BUDGETS:
        if games < below:
            return simulations
    return next(simulations for below, simulations in BUDGETS_BY_ELO if (gap or 0.0) < below)
