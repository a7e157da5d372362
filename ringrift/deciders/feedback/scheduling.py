"""How is self-play shared among the configs? By a weighted mean of seven terms, each 0 to 1, times
a factor for starved configs and the operator's, within limits
(`ringrift.deciders.feedback.allocation`).

    staleness             hours since the newest shard with samples, up to `stale_hours`
    velocity              Elo per hour compared with the config's own history
    curriculum            weight relative to the largest one
    quality               1 - quality: poor data need replacing
    diversity             1 - component `opponents` of quality: the newest games had few
    value_of_information  uncertainty of the rating of the current network
    efficiency            Elo for its cost compared with the other configs

A config with few games gets its priority times 1.5, one with hardly any times 20, 50 or 200, all of
them together at most half of the games, and every share stays between a minimum and a cap, so that
neither starved configs nor all others together can take everything. A suspended config
(`ringrift.deciders.feedback.suspension`) has no priority."""

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import asdict, replace

from ringrift.deciders.feedback.allocation import Shares, allocate
from ringrift.deciders.kit import Configs, Context, Decider, Struct, noted
from ringrift.deciders.loop.rating import as_tried
from ringrift.events import facts as f
from ringrift.events.settings import SchedulingSettings, SelfplaySettings, Settings

UNKNOWN = 0.5
STALLED = 0.25
"""term of a velocity of 0: a regressing config gets more, since it has been better before"""
USUAL_WEIGHT = 0.1
"""of the newest velocity in the usual one: the last ten count most"""
ELO_PER_HOUR_MIN = 0.5
"""least usual velocity, so that noise around 0 does not count as speed"""
UNCERTAIN_ELO = 50.0
"""standard error of a rating that counts half as uncertain as no rating"""


class Load(Struct, frozen=True, kw_only=True):
    """Inputs of the terms of one config."""

    games: int = 0
    exported_at: datetime | None = None
    """of the newest shard with new samples"""
    velocity: float | None = None
    """Elo per hour"""
    usual: float = 0.0
    """mean size of the velocities so far, newer ones count more; 0 before the first"""
    efficiency: f.EfficiencyMeasured | None = None
    suspended: bool = False
    quality: float = 0.5
    opponents: float = 0.5
    """component of quality; as much as self-play of one network has, until it is known"""
    current: str | None = None
    error: float | None = None
    """standard error of the current network's Elo above the anchor"""
    tickets: tuple[str, ...] = ()
    """with an outcome"""


class Loads(Configs[Load], frozen=True, kw_only=True):
    """Inputs by config, the weights of the curriculum, and the newest shares."""

    weights: dict[str, float] = {}
    shares: Shares = {}


DECIDER = Decider(
    "scheduling",
    Loads,
    wakes=(f.SettingsChanged, f.TickRecorded),
    # they come several times a second and move no share by much: the next tick sees it
    quiet=(f.SelfplayFinished, f.ShardExported),
)
DECIDER.keeps(f.EfficiencyMeasured, efficiency=lambda fact: fact)
DECIDER.keeps(f.SelfplaySuspended, suspended=lambda fact: True)
DECIDER.keeps(f.SelfplayRestored, suspended=lambda fact: False)
DECIDER.keeps(
    f.QualityAssessed,
    quality=lambda fact: fact.adjusted,
    opponents=lambda fact: fact.components.get("opponents", UNKNOWN),
)
DECIDER.keeps(f.CurriculumReweighted, weights=lambda fact: fact.weights)
DECIDER.keeps(f.AllocationDecided, shares=lambda fact: fact.shares)


@DECIDER.evolves
def played(item: Load, fact: f.SelfplayFinished) -> Load:
    if fact.ticket in item.tickets:
        return item
    tickets = noted(item.tickets, fact.ticket)
    return replace(item, games=item.games + fact.games, tickets=tickets)


@DECIDER.evolves
def moved(item: Load, fact: f.VelocityChanged) -> Load:
    if fact.elo_per_hour is None:
        return replace(item, velocity=None)
    size = abs(fact.elo_per_hour)
    usual = item.usual + USUAL_WEIGHT * (size - item.usual) if item.usual else size
    return replace(item, velocity=fact.elo_per_hour, usual=usual)


@DECIDER.evolves
def exported(item: Load, fact: f.ShardExported, context: Context) -> Load:
    if fact.supersedes is not None:
        return item
    item = replace(item, games=item.games + fact.imported)
    # imported games are old, however new their shard is
    old = fact.imported and fact.imported == fact.games
    return item if old or not fact.samples else replace(item, exported_at=context.time)


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
    factors = {name: float(by) for name, by in (one.split("=") for one in settings.priorities)}
    priorities = {}
    for config, values in terms.items():
        few = settings.few_factor if games[config] < settings.few_games else 1.0
        wanted = priority(values, settings) * few * factors.get(config, 1.0)
        suspended = state.configs.get(config, Load()).suspended
        priorities[config] = 0.0 if suspended else wanted
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
    """The seven terms of every config, each 0 to 1."""
    items = {config: state.configs.get(config, Load()) for config in settings.configs}
    weights = {config: state.weights.get(config, 1.0) for config in items}
    heaviest = max(weights.values())
    stale_hours = settings.scheduling.stale_hours
    gains = gains_of(items)
    mean = sum(gains.values()) / len(gains) if gains else 0.0
    terms = {}
    for config, item in items.items():
        error, hours = item.error, stale_hours  # a config without a shard counts as stale
        if item.exported_at:
            hours = (now - item.exported_at).total_seconds() / 3600.0
        terms[config] = {
            "staleness": min(max(hours / stale_hours, 0.0), 1.0),
            "velocity": velocity_term(item.velocity, item.usual),
            "curriculum": weights[config] / heaviest,
            "quality": 1.0 - item.quality,
            "diversity": 1.0 - item.opponents,
            "value_of_information": 1.0 if error is None else error / (error + UNCERTAIN_ELO),
            "efficiency": UNKNOWN,
        }
        if config in gains and mean > 0.0:
            terms[config]["efficiency"] = gains[config] / (gains[config] + mean)
    return terms


def velocity_term(now: float | None, usual: float) -> float:
    """0.25 at a standstill, 0.625 at the usual velocity of the config, towards 1 above it, and
    towards 0.5 the faster it gets weaker; continuous and rising with the size of the velocity."""
    if now is None:
        return UNKNOWN
    size = abs(now) / (abs(now) + max(usual, ELO_PER_HOUR_MIN))
    return STALLED + (1.0 - STALLED if now > 0.0 else STALLED) * size


def gains_of(items: dict[str, Load]) -> dict[str, float]:
    """Elo gained for its cost by each config that was measured: for money if all of them cost
    some, else for hours of nodes; at least 0."""
    known = {name: item.efficiency for name, item in items.items() if item.efficiency}
    paid = all(one.elo_per_cost is not None for one in known.values())
    gains = {
        name: (one.elo_per_cost or 0.0) if paid else one.elo_per_node_hour
        for name, one in known.items()
    }
    return {name: max(gain, 0.0) for name, gain in gains.items()}


def priority(terms: dict[str, float], settings: SchedulingSettings) -> float:
    """Weighted mean of the terms, 0 to 1 (requirement G14.08)."""
    weights: dict[str, float] = asdict(settings.weights)
    return sum(weights[name] * value for name, value in terms.items()) / sum(weights.values())


def budget(games: int, gap: float | None, settings: SelfplaySettings) -> int:
    """Simulations per decision by games played and, after the last of these steps, by Elo above the
    heuristic (requirement G14.12)."""
    for below, simulations in _steps(settings.budget_games):
        if games < below:
            return simulations
    least, *more = _steps(settings.budget_elo)
    reached = [simulations for elo, simulations in more if (gap or 0.0) >= elo]
    return reached[-1] if reached else least[1]


def _steps(steps: tuple[str, ...]) -> list[tuple[int, int]]:
    """Limits and budgets, from the lowest limit on."""
    pairs = (step.split("=") for step in steps)
    return sorted((int(limit), int(simulations)) for limit, simulations in pairs)
