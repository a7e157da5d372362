"""How good are the data we play? Each shard of self-play is judged together with the ones before
it, by what its games were like.

Components, each 0..1, where they can be measured:

    decisive    games with a winner length      games as long as this config's were before: exp(-z^2
    / 2), z = shift of the mean in standard deviations of a game openings    games that opened
    differently opponents   1 from two participants on, 1/2 for self-play of one agreement
    decisions whose root value was highest for the winner, 0 at what guessing gives parity
    games that replay to their recorded end

Few games prove little: the score is drawn towards the neutral 0.5 by lack of confidence
(requirements G07.02, G07.03), and by age (G07.04) where it is read: see `faded`. Degraded and
recovered have bounds of their own, so that neither flaps."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import asdict, replace

from ringrift.deciders.kit import Classic, Context
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    QualityAssessed,
    QualityDegraded,
    QualityRecovered,
    SettingsChanged,
    ShardExported,
    ShardSummary,
)
from ringrift.events.settings import QualityWeights

NEUTRAL = 0.5
CONFIDENCE_STEPS = ((500, 1.0), (50, 0.75), (0, 0.5))
"""(games, confidence), requirement G07.02; exactly 500 games count as 500 or more"""
OPPONENTS_WANTED = 2


class Judged(Struct, frozen=True, kw_only=True):
    """A shard of the window: what its games were like, and how many did not replay."""

    summary: ShardSummary
    rejected: int
    index: int = 0


class ConfigQuality(Struct, frozen=True, kw_only=True):
    """One config: the newest shards, oldest first, and whether its quality is degraded."""

    window: tuple[Judged, ...] = ()
    degraded: bool = False


class QualityState(Struct, frozen=True, kw_only=True):
    """Settings in force and every config that has a shard."""

    settings: Settings = Settings(configs=())
    version: int = 0
    configs: dict[str, ConfigQuality] = {}


def evolve(state: QualityState, event: Fact, meta: Context) -> QualityState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case ShardExported() if event.supersedes:
            item = _of(state, event.config)
            window = tuple(
                one for shard in item.window if (one := _revised(shard, event)) is not None
            )
            return _with(state, event.config, replace(item, window=window))
        case ShardExported() if event.summary is not None:
            item = _of(state, event.config)
            window = (
                *item.window,
                Judged(summary=event.summary, rejected=event.rejected, index=event.index),
            )
            return _with(
                state,
                event.config,
                replace(item, window=window[-state.settings.quality.window_shards :]),
            )
        case QualityDegraded() | QualityRecovered():
            return _with(
                state,
                event.config,
                replace(_of(state, event.config), degraded=isinstance(event, QualityDegraded)),
            )
    return state


def decide(state: QualityState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """The assessment after one more shard, and whether it crossed a bound."""
    if not isinstance(event, ShardExported) or (event.summary is None and not event.supersedes):
        return ()
    item, settings = _of(state, event.config), state.settings.quality
    if not any(shard.index == event.index for shard in item.window):
        return ()
    components = measure(item.window, int(event.config[-2]))
    games = sum(shard.summary.games for shard in item.window)
    score, sure = mean(components, settings.weights), confidence(games)
    adjusted = weigh(score, sure)
    assessed = QualityAssessed(
        config=event.config,
        shard=event.digest,
        games=games,
        score=score,
        confidence=sure,
        adjusted=adjusted,
        components=components,
        settings_version=state.version,
    )
    if not item.degraded and adjusted < settings.degraded_below:
        weakest = min(components, key=lambda name: components[name])
        return (
            assessed,
            QualityDegraded(
                config=event.config,
                adjusted=adjusted,
                weakest=weakest,
                settings_version=state.version,
            ),
        )
    if item.degraded and adjusted >= settings.recovered_from:
        return assessed, QualityRecovered(
            config=event.config, adjusted=adjusted, settings_version=state.version
        )
    return (assessed,)


def _revised(shard: Judged, event: ShardExported) -> Judged | None:
    """The shard as it is once `event` took the place of one; None if nothing of it is left."""
    if shard.index != event.index:
        return shard
    return (
        Judged(summary=event.summary, rejected=event.rejected, index=event.index)
        if event.summary
        else None
    )


def measure(window: tuple[Judged, ...], seats: int) -> dict[str, float]:
    """Components of the shards in the window, by name; those that cannot be measured are left
    out."""
    shards = [shard.summary for shard in window]
    games, rejected = sum(shard.games for shard in shards), sum(shard.rejected for shard in window)
    decisions, agreed = (
        sum(shard.decisions for shard in shards),
        sum(shard.agreed for shard in shards),
    )
    participants = {name for shard in shards for name in shard.participants}
    found = {
        "decisive": sum(sum(shard.wins) for shard in shards) / games,
        "openings": sum(shard.openings for shard in shards) / games,
        "opponents": min(1.0, len(participants) / OPPONENTS_WANTED),
        "parity": games / (games + rejected),
    }
    if len(shards) > 1:
        found["length"] = usual_length(shards[-1], shards[:-1])
    if decisions:
        found["agreement"] = max(0.0, (agreed / decisions - 1 / seats) / (1 - 1 / seats))
    return found


def usual_length(newest: ShardSummary, before: list[ShardSummary]) -> float:
    """1 where the games are as long as those before, less the further their mean has moved in
    standard deviations of a game."""
    games = sum(shard.games for shard in before)
    expected = sum(shard.plies for shard in before) / games
    variance = max(sum(shard.plies_squared for shard in before) / games - expected**2, 1.0)
    return math.exp(-((newest.plies / newest.games - expected) ** 2) / variance / 2.0)


def mean(components: dict[str, float], weights: QualityWeights) -> float:
    """Weighted mean of the components there are."""
    weight: dict[str, float] = asdict(weights)
    total = math.fsum(weight[name] for name in components)
    return math.fsum(weight[name] * value for name, value in components.items()) / total


def confidence(games: int) -> float:
    """How far so many games are believed: 0.5 below 50, 0.75 below 500, then 1 (requirement
    G07.02)."""
    return next(value for least, value in CONFIDENCE_STEPS if games >= least)


def weigh(score: float, sure: float) -> float:
    """The score, drawn to neutral by lack of confidence (requirement G07.03)."""
    return sure * score + (1.0 - sure) * NEUTRAL


def faded(adjusted: float, age_seconds: float, half_life_seconds: float) -> float:
    """An assessment of that age: its distance from neutral halves every half-life (requirement
    G07.04)."""
    return NEUTRAL + (adjusted - NEUTRAL) * math.exp2(-max(age_seconds, 0.0) / half_life_seconds)


def _of(state: QualityState, config: str) -> ConfigQuality:
    return state.configs.get(config, ConfigQuality())


def _with(state: QualityState, config: str, item: ConfigQuality) -> QualityState:
    return replace(state, configs={**state.configs, config: item})


DECIDER = Classic(
    name="quality",
    state=QualityState,
    reads=(SettingsChanged, ShardExported),
    writes=(QualityAssessed, QualityDegraded, QualityRecovered),
    initial=QualityState,
    evolve=evolve,
    decide=decide,
)
