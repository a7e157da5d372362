"""Is the current network weaker than one before it? A sequential test errs now and then, and
ratings see it when both played on.

A level is reached when the drop is large enough, beyond its error, and both networks have played
enough; it only rises until the regression is cleared, which takes a drop below half of the lowest
bound, or another current network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.deciders.loop.rating import as_tried
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    ModelPromoted,
    ModelRolledBack,
    Rating,
    RatingsUpdated,
    RegressionCleared,
    RegressionDetected,
    SettingsChanged,
    Severity,
)
from ringrift.events.settings import RegressionSettings

MODELS_MAX = 16
"""networks that were current, remembered: an older one is of another time"""
LEVELS: tuple[Severity, ...] = ("minor", "major", "critical")


class ConfigRegression(Struct, frozen=True, kw_only=True):
    """One config: networks that became current, the current one last; the level told of it."""

    models: tuple[str, ...] = ()
    level: Severity | None = None
    of: str | None = None
    """network the level was told of"""


class RegressionState(Struct, frozen=True, kw_only=True):
    """Settings in force and every config that has a current network."""

    settings: Settings = Settings(configs=())
    version: int = 0
    configs: dict[str, ConfigRegression] = {}


class Drop(NamedTuple):
    """How far the current network is below the strongest before it, with the standard error, and
    which one to go back to."""

    elo: float
    error: float
    best: str
    good: str


def evolve(state: RegressionState, event: Fact, meta: Context) -> RegressionState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case ModelPromoted():
            item = _of(state, event.config)
            others = tuple(model for model in item.models if model != event.model)
            return _with(
                state, event.config, replace(item, models=(*others, event.model)[-MODELS_MAX:])
            )
        case ModelRolledBack():
            item = _of(state, event.config)
            others = tuple(
                model for model in item.models if model not in (event.model, event.current)
            )
            return _with(state, event.config, replace(item, models=(*others, event.current)))
        case RegressionDetected():
            return _with(
                state,
                event.config,
                replace(_of(state, event.config), level=event.severity, of=event.model),
            )
        case RegressionCleared():
            return _with(
                state, event.config, replace(_of(state, event.config), level=None, of=None)
            )
    return state


def decide(state: RegressionState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """Whether the current network has got worse, or is no longer the one that had."""
    match event:
        case RatingsUpdated():
            return _measured(state, event)
        case ModelPromoted():
            return _replaced(state, event.config, event.model, "a stronger network was promoted")
        case ModelRolledBack():
            return _replaced(state, event.config, event.current, "rolled back")
    return ()


def drop_of(
    models: tuple[str, ...], ratings: Mapping[str, Rating], settings: RegressionSettings
) -> Drop | None:
    """The last of `models` against those before it, by their ratings in trials; None while too few
    games tell.

    The error takes both ratings as independent, which is too large rather than too small for
    players of common opponents."""
    rows = {model: row for model, row in ratings.items() if row.games >= settings.games_min}
    known = [(model, rows[model[:12]]) for model in models if model[:12] in rows]
    if len(known) < 2 or known[-1][0] != models[-1]:
        return None
    *before, (_, now) = known
    best, top = max(before, key=lambda pair: pair[1].elo)
    good = next(model for model, row in reversed(before) if row.elo > top.elo - settings.minor_elo)
    return Drop(elo=top.elo - now.elo, error=math.hypot(top.se, now.se), best=best, good=good)


def level_of(elo: float, error: float, settings: RegressionSettings) -> Severity | None:
    """Level of a drop; None where it is small or within its error."""
    if elo < settings.standard_errors_min * error:
        return None
    bounds = (settings.minor_elo, settings.major_elo, settings.critical_elo)
    reached = [level for level, bound in zip(LEVELS, bounds, strict=True) if elo >= bound]
    return reached[-1] if reached else None


def _measured(state: RegressionState, event: RatingsUpdated) -> tuple[Fact, ...]:
    item, settings = _of(state, event.config), state.settings.regression
    drop = drop_of(
        item.models, as_tried(event.ratings, state.settings.evaluation.simulations), settings
    )
    if drop is None:
        return ()
    if item.level is not None and drop.elo < settings.cleared_below * settings.minor_elo:
        why = f"{drop.elo:.0f} Elo below the best one, cleared below {settings.cleared_below * settings.minor_elo:.0f}"
        return (_cleared(state, event.config, item.models[-1], why),)
    level = level_of(drop.elo, drop.error, settings)
    if level is None or (
        item.level is not None and LEVELS.index(level) <= LEVELS.index(item.level)
    ):
        return ()
    return (
        RegressionDetected(
            config=event.config,
            severity=level,
            model=item.models[-1],
            best=drop.best,
            rollback_to=drop.good,
            elo_drop=drop.elo,
            standard_error=drop.error,
            settings_version=state.version,
        ),
    )


def _replaced(state: RegressionState, config: str, current: str, why: str) -> tuple[Fact, ...]:
    item = _of(state, config)
    return () if item.of is None or item.of == current else (_cleared(state, config, item.of, why),)


def _cleared(state: RegressionState, config: str, model: str, why: str) -> RegressionCleared:
    return RegressionCleared(config=config, model=model, why=why, settings_version=state.version)


def _of(state: RegressionState, config: str) -> ConfigRegression:
    return state.configs.get(config, ConfigRegression())


def _with(state: RegressionState, config: str, item: ConfigRegression) -> RegressionState:
    return replace(state, configs={**state.configs, config: item})


DECIDER = Classic(
    name="regression",
    state=RegressionState,
    reads=(SettingsChanged, RatingsUpdated, ModelPromoted, ModelRolledBack),
    writes=(RegressionDetected, RegressionCleared),
    initial=RegressionState,
    evolve=evolve,
    decide=decide,
)
