"""How is self-play shared out among the configs? By six terms, each 0..1, in a weighted mean; by
how starved it is; within bounds.

    staleness   hours since its last shard, up to `stale_hours`
    velocity    its pace: what grows fast is worth more games
    curriculum  its weight against the largest
    quality     1 - quality: poor data need replacing
    diversity   games it lacks against the config with most
    value_of_information  value of information: how uncertain the rating of its current network is

A config with hardly any games gets its priority times 20, 50 or 200, and every share stays between
a floor and a cap: so neither can one starved config drown all others, nor can all others starve
one. Quotas bound what a board or config has; a floor goes first."""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime

from msgspec import Struct
from msgspec.structs import asdict, replace

from ringrift.deciders.kit import Classic, Context
from ringrift.deciders.loop.rating import as_tried
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    AllocationDecided,
    CurriculumReweighted,
    ModelPromoted,
    ModelRolledBack,
    Pace,
    QualityAssessed,
    RatingsUpdated,
    SelfplayFinished,
    SettingsChanged,
    ShardExported,
    TickRecorded,
    VelocityChanged,
)
from ringrift.events.settings import SchedulingSettings

PACES: dict[Pace | None, float] = {
    "regressing": 0.5,
    "stalled": 0.25,
    None: 0.5,
    "steady": 0.75,
    "fast": 1.0,
}
"""a regressing config gets more than a stalled one: it has shown that it can be better"""
UNCERTAIN_ELO = 50.0
"""standard error at which a rating is half as uncertain as none"""
PRIORITY_MIN = 0.01
"""so that starvation counts for a config that nothing speaks for"""
BUDGETS = ((100, 64), (500, 150), (1000, 200))
"""(games, simulations) below so many games: throughput, fast iteration, balanced (requirement
G14.12)"""
BUDGETS_BY_ELO = ((100.0, 200), (300.0, 400), (600.0, 800), (float("inf"), 1600))
"""(Elo above the heuristic, simulations) below it: standard, quality, ultimate, master; the
requirement leaves the numbers open"""

Shares = dict[str, float]


class ConfigLoad(Struct, frozen=True, kw_only=True):
    """What is known of one config."""

    games: int = 0
    exported_at: datetime | None = None
    pace: Pace | None = None
    quality: float = 0.5
    current: str | None = None
    error: float | None = None
    """standard error of the current network's rating, Elo"""


class SchedulingState(Struct, frozen=True, kw_only=True):
    """Settings in force, what is known of each config, the curriculum's weights and the shares told
    last."""

    settings: Settings = Settings(configs=())
    version: int = 0
    configs: dict[str, ConfigLoad] = {}
    weights: dict[str, float] = {}
    told: Shares = {}


def evolve(state: SchedulingState, event: Fact, meta: Context) -> SchedulingState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case SelfplayFinished():
            return _with(state, event.config, games=_of(state, event.config).games + event.games)
        case ShardExported() if event.supersedes is None:
            return _with(state, event.config, exported_at=meta.time)
        case VelocityChanged():
            return _with(state, event.config, pace=event.pace)
        case QualityAssessed():
            return _with(state, event.config, quality=event.adjusted)
        case ModelPromoted():
            return _with(state, event.config, current=event.model, error=None)
        case ModelRolledBack():
            return _with(state, event.config, current=event.current, error=None)
        case RatingsUpdated():
            current = _of(state, event.config).current
            row = (
                as_tried(event.ratings, state.settings.evaluation.simulations).get(current[:12])
                if current
                else None
            )
            return _with(state, event.config, error=row.se) if row else state
        case CurriculumReweighted():
            return replace(state, weights=event.weights)
        case AllocationDecided():
            return replace(state, told=event.shares)
    return state


def decide(state: SchedulingState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """New shares, once one of them has moved far enough to matter."""
    configs, settings = state.settings.configs, state.settings.scheduling
    if not configs:
        return ()
    terms, games = (
        terms_of(state, meta.time),
        {config: _of(state, config).games for config in configs},
    )
    shares = allocate(
        {config: priority(terms[config], settings) for config in configs}, games, settings
    )
    if not _differ(shares, state.told, settings.change_min):
        return ()
    return (AllocationDecided(shares=shares, terms=terms, settings_version=state.version),)


def _differ(shares: Shares, told: Shares, change_min: float) -> bool:
    """Whether other configs are on, or a share has moved by that part of itself."""
    return (
        shares.keys() != told.keys()
        or max(abs(share / told[config] - 1.0) for config, share in shares.items()) >= change_min
    )


def terms_of(state: SchedulingState, now: datetime) -> dict[str, dict[str, float]]:
    """The six terms of every config, each 0..1."""
    items = {config: _of(state, config) for config in state.settings.configs}
    weights = {config: state.weights.get(config, 1.0) for config in items}
    heaviest, most = max(weights.values()), max(1, *(item.games for item in items.values()))
    stale_hours = state.settings.scheduling.stale_hours
    hours = {
        config: (now - item.exported_at).total_seconds() / 3600.0
        if item.exported_at
        else stale_hours
        for config, item in items.items()
    }
    return {
        config: {
            "staleness": min(max(hours[config] / stale_hours, 0.0), 1.0),
            "velocity": PACES[item.pace],
            "curriculum": weights[config] / heaviest,
            "quality": 1.0 - item.quality,
            "diversity": 1.0 - item.games / most,
            "value_of_information": 1.0
            if item.error is None
            else item.error / (item.error + UNCERTAIN_ELO),
        }
        for config, item in items.items()
    }


def priority(terms: dict[str, float], settings: SchedulingSettings) -> float:
    """Weighted mean of the terms, 0..1: the weights are normalised (requirement G14.08)."""
    weights: dict[str, float] = asdict(settings.weights)
    return sum(weights[name] * value for name, value in terms.items()) / sum(weights.values())


def starvation(games: int, settings: SchedulingSettings) -> float:
    """Factor on the priority of a config with so few games (requirement G14.09); the tiers' bounds
    are this project's."""
    if games < settings.ultra_games:
        return settings.ultra_factor
    if games < settings.emergency_games:
        return settings.emergency_factor
    return settings.critical_factor if games < settings.critical_games else 1.0


def allocate(
    priorities: dict[str, float], games: dict[str, int], settings: SchedulingSettings
) -> Shares:
    """Shares that sum to 1: priority times starvation, each between floor and cap, boards and
    configs within their quotas."""
    raw = {
        config: max(value, PRIORITY_MIN) * starvation(games[config], settings)
        for config, value in priorities.items()
    }
    count = len(raw)
    low, cap = settings.floor / count, min(1.0, max(settings.cap, 2.0 / count))
    if not settings.quotas:
        return bounded(raw, dict.fromkeys(raw, low), dict.fromkeys(raw, cap))
    quotas = {
        name: float(most) for name, _, most in (quota.partition("=") for quota in settings.quotas)
    }
    high = {config: max(low, min(cap, quotas.get(config, 1.0))) for config in raw}
    boards: dict[str, list[str]] = {}
    for config in raw:
        boards.setdefault(config.partition("_")[0], []).append(config)
    most = {
        board: min(sum(high[name] for name in names), max(low * len(names), quotas.get(board, 1.0)))
        for board, names in boards.items()
    }
    of_board = bounded(
        {board: sum(raw[name] for name in names) for board, names in boards.items()},
        {board: low * len(names) for board, names in boards.items()},
        most,
    )
    return {
        config: share
        for board, names in boards.items()
        for config, share in bounded(
            {name: raw[name] for name in names},
            dict.fromkeys(names, low),
            {name: high[name] for name in names},
            of_board[board],
        ).items()
    }


def bounded(raw: Shares, low: Shares, high: Shares, total: float = 1.0) -> Shares:
    """min(max(s * raw, low), high) with the one s for which they sum to `total`. Needs raw > 0 and
    sum(low) <= total; where the upper bounds leave less than `total`, they are all exceeded in
    proportion."""
    room = sum(high.values())
    if room <= total:
        return {name: most * total / room for name, most in high.items()}

    def at(scale: float) -> Shares:
        return {name: min(max(scale * value, low[name]), high[name]) for name, value in raw.items()}

    # the sum grows with s, in straight lines between the scales at which somebody leaves a bound
    bends = sorted({bound[name] / value for bound in (low, high) for name, value in raw.items()})
    last = bisect_left(bends, total, hi=len(bends) - 1, key=lambda scale: sum(at(scale).values()))
    under, over = (bends[last - 1] if last else 0.0), bends[last]
    before, after = sum(at(under).values()), sum(at(over).values())
    scale = under + (over - under) * (total - before) / (after - before) if after > before else over
    shares = at(scale)
    reached = sum(shares.values())  # the total but for rounding
    return {name: share * total / reached for name, share in shares.items()}


def budget(games: int, gap: float | None) -> int:
    """Simulations a decision by games played and, from 1,000 on, by Elo above the heuristic
    (requirement G14.12)."""
    for below, simulations in BUDGETS:
        if games < below:
            return simulations
    return next(simulations for below, simulations in BUDGETS_BY_ELO if (gap or 0.0) < below)


def _of(state: SchedulingState, config: str) -> ConfigLoad:
    return state.configs.get(config, ConfigLoad())


def _with(state: SchedulingState, config: str, **changes: object) -> SchedulingState:
    return replace(state, configs={**state.configs, config: replace(_of(state, config), **changes)})


DECIDER = Classic(
    name="scheduling",
    state=SchedulingState,
    reads=(
        SettingsChanged,
        SelfplayFinished,
        ShardExported,
        VelocityChanged,
        QualityAssessed,
        ModelPromoted,
        ModelRolledBack,
        RatingsUpdated,
        CurriculumReweighted,
        TickRecorded,
    ),
    writes=(AllocationDecided,),
    initial=SchedulingState,
    evolve=evolve,
    decide=decide,
)
