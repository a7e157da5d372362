"""What should the next training of a config do otherwise? Smaller steps, or fewer of them, by what
trainings and matches showed.

    loss anomaly, major or worse      smaller steps: the loss jumped plateau
    smaller steps: the loss does not fall any more candidates rejected, in a row     smaller steps:
    what comes of training is no better than what there is overfitting, in a row             fewer
    epochs: the loss on games kept back is far above that on the others promotion
    half of the way back to what the settings say

Each moves a factor on `training.learning_rate` or `training.epochs`: 1 is what the settings say and
the most, and neither falls below its bound, so that what is lowered again and again still learns.
What a person set (`ringrift tune`) is left alone. The next request of a training carries the values
(requirements G08.17, G08.19 and G13.07)."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    HyperparametersAdjusted,
    LossAnomalyDetected,
    ModelPromoted,
    PlateauDetected,
    PromotionRejected,
    SettingsChanged,
    TrainingFinished,
)

RATE, EPOCHS = "training.learning_rate", "training.epochs"
USUAL = 1.0
NEARLY_USUAL = 0.95
"""a factor that is back here on its way to 1 is 1"""

Factors = dict[str, float]


class ConfigTuning(Struct, frozen=True, kw_only=True):
    """One config: what is other than the settings say, and what was seen since that changed
    last."""

    values: dict[str, str] = {}
    factors: Factors = {}
    """of `values`, those that were decided here"""
    trainings: int = 0
    """since the beginning"""
    overfits: int = 0
    """in a row, as the next"""
    rejections: int = 0


class TuningState(Struct, frozen=True, kw_only=True):
    """Settings in force and every config that was trained."""

    settings: Settings = Settings(configs=())
    version: int = 0
    configs: dict[str, ConfigTuning] = {}


def evolve(state: TuningState, event: Fact, meta: Context) -> TuningState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case TrainingFinished():
            item = _of(state, event.config)
            overfits = (
                item.overfits + 1 if overfit(event) > state.settings.tuning.overfit_gap else 0
            )
            return _with(state, event.config, trainings=item.trainings + 1, overfits=overfits)
        case PromotionRejected() if (
            event.evidence and event.evidence.score < state.settings.promotion.score_at_cap
        ):
            return _with(state, event.config, rejections=_of(state, event.config).rejections + 1)
        case ModelPromoted():
            return _with(state, event.config, rejections=0)
        case HyperparametersAdjusted():  # what is other now has to show first
            return _with(
                state,
                event.config,
                values=event.values,
                factors=event.factors,
                overfits=0,
                rejections=0,
            )
    return state


def decide(state: TuningState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """The factors after what a training or a match showed."""
    settings = state.settings.tuning
    match event:
        case SettingsChanged():
            why = "the settings changed"
            return tuple(
                fact
                for name, item in state.configs.items()
                for fact in _moved(state, name, item.factors, why)
            )
        case LossAnomalyDetected() if event.severity != "minor":
            return _slower(
                state,
                event.config,
                f"{event.severity} loss anomaly in generation {event.generation}",
            )
        case PlateauDetected():
            return _slower(state, event.config, f"no lower loss in {event.trainings} trainings")
        case PromotionRejected() if _of(state, event.config).rejections >= settings.rejections:
            return _slower(
                state,
                event.config,
                f"{_of(state, event.config).rejections} candidates in a row were no better",
            )
        case TrainingFinished() if _overfits(state, event.config):
            item = _of(state, event.config)
            factor = max(
                item.factors.get(EPOCHS, USUAL) * settings.epochs_step, settings.epochs_min
            )
            why = f"validation loss {overfit(event):.0%} above that of training, {item.overfits} times in a row"
            return _moved(state, event.config, {**item.factors, EPOCHS: factor}, why)
        case ModelPromoted():
            back = {
                name: math.sqrt(factor) for name, factor in _of(state, event.config).factors.items()
            }
            return _moved(state, event.config, back, "a network was promoted")
    return ()


def overfit(event: TrainingFinished) -> float:
    """Share by which the loss on games kept back is above that on the others; 0 where none were
    kept back."""
    return (
        event.validation_loss / event.loss - 1.0
        if event.validation_loss is not None and event.loss > 0.0
        else 0.0
    )


def _overfits(state: TuningState, config: str) -> bool:
    item, settings = _of(state, config), state.settings.tuning
    return item.trainings >= settings.trainings_min and item.overfits >= settings.overfits


def _slower(state: TuningState, config: str, why: str) -> tuple[Fact, ...]:
    settings, factors = state.settings.tuning, _of(state, config).factors
    factor = max(factors.get(RATE, USUAL) * settings.rate_step, settings.rate_min)
    return _moved(state, config, {**factors, RATE: factor}, why)


def _moved(state: TuningState, config: str, factors: Factors, why: str) -> tuple[Fact, ...]:
    """The values with these factors, where they are not in force already; a person's stay."""
    item, training = _of(state, config), state.settings.training
    persons = {name: value for name, value in item.values.items() if name not in item.factors}
    factors = {
        name: factor
        for name, factor in factors.items()
        if name not in persons and factor < NEARLY_USUAL
    }
    usual = {RATE: training.learning_rate, EPOCHS: training.epochs}
    values = persons | {name: f"{usual[name] * factor:.6g}" for name, factor in factors.items()}
    if values == item.values:
        return ()
    return (
        HyperparametersAdjusted(
            config=config, values=values, factors=factors, why=why, settings_version=state.version
        ),
    )


def _of(state: TuningState, config: str) -> ConfigTuning:
    return state.configs.get(config, ConfigTuning())


def _with(state: TuningState, config: str, **changes: object) -> TuningState:
    return replace(state, configs={**state.configs, config: replace(_of(state, config), **changes)})


DECIDER = Classic(
    name="tuning",
    state=TuningState,
    reads=(
        SettingsChanged,
        TrainingFinished,
        LossAnomalyDetected,
        PlateauDetected,
        PromotionRejected,
        ModelPromoted,
    ),
    writes=(HyperparametersAdjusted,),
    initial=TuningState,
    evolve=evolve,
    decide=decide,
)
