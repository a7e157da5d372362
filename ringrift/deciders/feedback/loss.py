"""Is training going well? A loss far above what the config's own trainings led to expect is an
anomaly; one that no longer falls, a plateau.

The bound adapts (requirement G13.16): expected is the median of the newest losses, the spread their
median absolute deviation, so that one anomaly does not move the bound that would have caught the
next. A training's loss is its validation loss where it has one."""

from __future__ import annotations

from statistics import median
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    LossAnomalyDetected,
    PlateauCleared,
    PlateauDetected,
    SettingsChanged,
    Severity,
    TrainingFinished,
)
from ringrift.events.settings import LossSettings

NORMAL_DEVIATION = 1.4826
"""standard deviation of a normal distribution in units of its median absolute deviation"""
SEVERITIES: tuple[Severity, ...] = ("minor", "major", "critical")


class ConfigLoss(Struct, frozen=True, kw_only=True):
    """One config: newest losses, oldest first; the best so far and how many trainings ago; the
    plateau that has been told."""

    losses: tuple[float, ...] = ()
    """of the trainings before the newest"""
    newest: float | None = None
    best: float | None = None
    trainings: int = 0
    """since the best"""
    waited: int = 0
    """trainings that the newest gain took, 0 unless the newest training brought one"""
    told: Severity | None = None


class LossState(Struct, frozen=True, kw_only=True):
    """Settings in force and every config that was trained."""

    settings: Settings = Settings(configs=())
    version: int = 0
    configs: dict[str, ConfigLoss] = {}


def evolve(state: LossState, event: Fact, meta: Context) -> LossState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case TrainingFinished():
            return _with(
                state,
                event.config,
                _trained(_of(state, event.config), final_loss(event), state.settings.loss),
            )
        case PlateauDetected():
            return _with(
                state, event.config, replace(_of(state, event.config), told=event.severity)
            )
        case PlateauCleared():
            return _with(
                state, event.config, replace(_of(state, event.config), told=None, waited=0)
            )
    return state


def decide(state: LossState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """What the training that just ended tells."""
    if not isinstance(event, TrainingFinished):
        return ()
    item = _of(state, event.config)
    return (*_anomaly(state, event, item), *_plateau(state, event, item))


def final_loss(event: TrainingFinished) -> float:
    """The loss that is compared: on games the network has not seen, if any were kept out."""
    return event.loss if event.validation_loss is None else event.validation_loss


def deviations_above(
    loss: float, history: tuple[float, ...], settings: LossSettings
) -> tuple[float, float]:
    """Expected loss, and how many robust standard deviations `loss` lies above it; 0 with too short
    a history."""
    if len(history) < settings.history_min:
        return loss, 0.0
    expected = median(history)
    spread = NORMAL_DEVIATION * median(abs(value - expected) for value in history)
    return expected, max(
        0.0, (loss - expected) / max(spread, settings.spread_min * abs(expected), 1e-12)
    )


def severity_of(deviations: float, settings: LossSettings) -> Severity | None:
    """None within the bounds."""
    bounds = (settings.minor_deviations, settings.major_deviations, settings.critical_deviations)
    reached = [name for name, bound in zip(SEVERITIES, bounds, strict=True) if deviations >= bound]
    return reached[-1] if reached else None


def plateau_severity(trainings: int, settings: LossSettings) -> Severity | None:
    """Severity of so many trainings without a gain: one, two, four times `plateau_trainings`."""
    reached = [
        name
        for name, times in zip(SEVERITIES, (1, 2, 4), strict=True)
        if trainings >= times * settings.plateau_trainings
    ]
    return reached[-1] if reached else None


def _trained(item: ConfigLoss, loss: float, settings: LossSettings) -> ConfigLoss:
    losses = item.losses if item.newest is None else (*item.losses, item.newest)
    item = replace(item, losses=losses[-settings.history :], newest=loss, waited=0)
    if item.best is None or loss < item.best - settings.plateau_gain * abs(item.best):
        return replace(item, best=loss, trainings=0, waited=item.trainings + 1)
    return replace(item, trainings=item.trainings + 1)


def _anomaly(state: LossState, event: TrainingFinished, item: ConfigLoss) -> tuple[Fact, ...]:
    loss = final_loss(event)
    expected, deviations = deviations_above(loss, item.losses, state.settings.loss)
    severity = severity_of(deviations, state.settings.loss)
    if severity is None:
        return ()
    return (
        LossAnomalyDetected(
            config=event.config,
            generation=event.generation,
            ticket=event.ticket,
            severity=severity,
            loss=loss,
            expected=expected,
            deviations=deviations,
            settings_version=state.version,
        ),
    )


def _plateau(state: LossState, event: TrainingFinished, item: ConfigLoss) -> tuple[Fact, ...]:
    best = cast(float, item.best)
    if item.waited and item.told is not None:
        return (
            PlateauCleared(
                config=event.config,
                generation=event.generation,
                trainings=item.waited,
                best_loss=best,
                settings_version=state.version,
            ),
        )
    severity = plateau_severity(item.trainings, state.settings.loss)
    if severity is None or severity == item.told:
        return ()
    return (
        PlateauDetected(
            config=event.config,
            generation=event.generation,
            severity=severity,
            trainings=item.trainings,
            best_loss=best,
            settings_version=state.version,
        ),
    )


def _of(state: LossState, config: str) -> ConfigLoss:
    return state.configs.get(config, ConfigLoss())


def _with(state: LossState, config: str, item: ConfigLoss) -> LossState:
    return replace(state, configs={**state.configs, config: item})


DECIDER = Classic(
    name="loss",
    state=LossState,
    reads=(SettingsChanged, TrainingFinished),
    writes=(LossAnomalyDetected, PlateauDetected, PlateauCleared),
    initial=LossState,
    evolve=evolve,
    decide=decide,
)
