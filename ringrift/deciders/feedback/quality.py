"""How good is the training data of a config? Each shard is assessed together with the shards before
it, by statistics of their games.

Components, each 0 to 1, where they can be measured:

    decisive    share of games with a winner
    length      exp(-z^2 / 2), z = shift of the mean length in standard deviations of a game
    openings    share of games with different openings
    opponents   effective number of opponents as a part of two: 1/2 if a network only meets itself
    agreement   decisions whose root value was highest for the winner, 0 at chance level
    parity      share of games that replay to their recorded end

The score is drawn towards the neutral 0.5 if there are few games (requirements G07.02, G07.03), and
by age (G07.04) when it is used: see `faded`. The thresholds of degraded and recovered differ, so
that neither alternates."""

import math
from collections import Counter
from collections.abc import Iterator

from msgspec.structs import asdict, replace

from ringrift.deciders.kit import Configs, Context, Decider, Struct
from ringrift.events import facts as f
from ringrift.events.settings import QualityWeights

NEUTRAL = 0.5
CONFIDENCE_STEPS = ((500, 1.0), (50, 0.75), (0, 0.5))
"""(games, confidence), requirement G07.02; exactly 500 games count as 500 or more"""
OPPONENTS_WANTED = 2


class Judged(Struct, frozen=True, kw_only=True):
    """A shard of the window: the statistics of its games, and how many games did not replay."""

    summary: f.ShardSummary
    rejected: int
    index: int = 0


class Quality(Struct, frozen=True, kw_only=True):
    """The newest shards of a config, oldest first, and whether its quality is degraded."""

    window: tuple[Judged, ...] = ()
    degraded: bool = False


DECIDER = Decider("quality", Configs[Quality])


@DECIDER.evolves
def exported(item: Quality, fact: f.ShardExported, context: Context) -> Quality:
    summary = fact.summary
    new = summary and Judged(summary=summary, rejected=fact.rejected, index=fact.index)
    if fact.supersedes:
        window = (new if shard.index == fact.index else shard for shard in item.window)
        return replace(item, window=tuple(shard for shard in window if shard))
    if new is None:
        return item
    return replace(item, window=(*item.window, new)[-context.settings.quality.window_shards :])


@DECIDER.evolves
def crossed(item: Quality, fact: f.QualityChange) -> Quality:
    return replace(item, degraded=isinstance(fact, f.QualityDegraded))


@DECIDER.decides
def assess(
    item: Quality, fact: f.ShardExported, context: Context
) -> Iterator[f.QualityAssessed | f.QualityChange]:
    """Assess the window after a shard, and report a crossed threshold."""
    settings = context.settings.quality
    in_window = any(shard.index == fact.index for shard in item.window)
    if not in_window or (fact.summary is None and not fact.supersedes):
        return
    components = measure(item.window, f.seats_of(fact.config))
    games = sum(shard.summary.games for shard in item.window)
    score, sure = mean(components, settings.weights), confidence(games)
    adjusted = weigh(score, sure)
    yield f.QualityAssessed(
        **context.basis(fact.config),
        shard=fact.digest,
        games=min(games, f.COUNT_MAX),
        score=score,
        confidence=sure,
        adjusted=adjusted,
        components=components,
    )
    if not item.degraded and adjusted < settings.degraded_below:
        weakest = min(components, key=lambda name: components[name])
        yield f.QualityDegraded(**context.basis(fact.config), adjusted=adjusted, weakest=weakest)
    if item.degraded and adjusted >= settings.recovered_from:
        yield f.QualityRecovered(**context.basis(fact.config), adjusted=adjusted)


def measure(window: tuple[Judged, ...], seats: int) -> dict[str, float]:
    """Components of the shards in the window that can be measured, by name."""
    shards = [shard.summary for shard in window]
    games, rejected = sum(shard.games for shard in shards), sum(shard.rejected for shard in window)
    decisions = sum(shard.decisions for shard in shards)
    agreed = sum(shard.agreed for shard in shards)
    found = {
        "decisive": sum(sum(shard.wins) for shard in shards) / games,
        "openings": sum(shard.openings for shard in shards) / games,
        "opponents": min(1.0, opponents(shards) / OPPONENTS_WANTED),
        "parity": games / (games + rejected),
    }
    if len(shards) > 1:
        found["length"] = usual_length(shards[-1], shards[:-1])
    if decisions:
        found["agreement"] = max(0.0, (agreed / decisions - 1 / seats) / (1 - 1 / seats))
    return found


def opponents(shards: list[f.ShardSummary]) -> float:
    """Effective number of opponents in the games (inverse Simpson index, the exponential of the
    Renyi entropy of order 2): 1 if a network only meets itself, k if each of k opponents, itself
    included, has as many games."""
    met = Counter[str]()
    for shard in shards:
        met.update(shard.opponents)
    games = sum(shard.games for shard in shards)
    counts = games - met.total(), *met.values()
    return games**2 / sum(count**2 for count in counts)


def usual_length(newest: f.ShardSummary, before: list[f.ShardSummary]) -> float:
    """1 if the games are as long as those before, falling with the shift of their mean length in
    standard deviations of a game."""
    games = sum(shard.games for shard in before)
    expected = sum(shard.plies for shard in before) / games
    variance = max(sum(shard.plies_squared for shard in before) / games - expected**2, 1.0)
    return math.exp(-((newest.plies / newest.games - expected) ** 2) / variance / 2.0)


def mean(components: dict[str, float], weights: QualityWeights) -> float:
    """Weighted mean of the measured components."""
    weight: dict[str, float] = asdict(weights)
    total = math.fsum(weight[name] for name in components)
    return math.fsum(weight[name] * value for name, value in components.items()) / total


def confidence(games: int) -> float:
    """Confidence in an assessment of a number of games: 0.5 below 50, 0.75 below 500, then 1
    (requirement G07.02)."""
    return next(value for least, value in CONFIDENCE_STEPS if games >= least)


def weigh(score: float, sure: float) -> float:
    """The score, drawn to neutral by lack of confidence (requirement G07.03)."""
    return sure * score + (1.0 - sure) * NEUTRAL


def faded(adjusted: float, age_seconds: float, half_life_seconds: float) -> float:
    """An assessment of this age: its distance from neutral halves every half-life (requirement
    G07.04)."""
    return NEUTRAL + (adjusted - NEUTRAL) * math.exp2(-max(age_seconds, 0.0) / half_life_seconds)
