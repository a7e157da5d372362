"""What should change in the next training of a config? Its learning rate or its epochs, after
results that call for less.

- a loss anomaly that is major or worse, or a plateau: a lower learning rate
- candidates rejected in a row: a lower learning rate, since training brings no gain
- overfitting in a row (the validation loss is far above the training loss): fewer epochs
- a promotion: half of the way back to the settings

Each of them moves a factor on `training.learning_rate` or `training.epochs`. A factor is at most 1,
the value of the settings, and has a minimum, so that repeated reductions leave enough to learn.
Values that a person set (`ringrift tune`) are left unchanged. The next request of a training
carries the values (requirements G08.17, G08.19 and G13.07)."""

import math
from collections.abc import Iterator

from ringrift.deciders.kit import Configs, Context, Decider, Struct, replace
from ringrift.events import facts as f

RATE, EPOCHS = "training.learning_rate", "training.epochs"
USUAL = 1.0
NEARLY_USUAL = 0.95
"""a factor that has recovered to this counts as 1"""

Factors = dict[str, float]
Adjusted = Iterator[f.HyperparametersAdjusted]


class Tuning(Struct, frozen=True, kw_only=True):
    """The values of a config that differ from the settings, and the results since the last
    change."""

    values: dict[str, str] = {}
    factors: Factors = {}
    """of those `values` that were decided here"""
    trainings: int = 0
    """in all"""
    overfits: int = 0
    """in a row"""
    rejections: int = 0
    """in a row"""


DECIDER = Decider("tuning", Configs[Tuning])


@DECIDER.evolves
def trained(item: Tuning, fact: f.TrainingFinished, context: Context) -> Tuning:
    overfits = item.overfits + 1 if overfit(fact) > context.settings.tuning.overfit_gap else 0
    return replace(item, trainings=item.trainings + 1, overfits=overfits)


@DECIDER.evolves
def rejected(item: Tuning, fact: f.PromotionRejected, context: Context) -> Tuning:
    if fact.evidence and fact.evidence.score < context.settings.promotion.score_at_cap:
        return replace(item, rejections=item.rejections + 1)
    return item


@DECIDER.evolves
def promoted(item: Tuning, fact: f.ModelPromoted) -> Tuning:
    return replace(item, rejections=0)


@DECIDER.evolves
def adjusted(item: Tuning, fact: f.HyperparametersAdjusted) -> Tuning:
    # the counts start again, since the new values have no results yet
    return replace(item, values=fact.values, factors=fact.factors, overfits=0, rejections=0)


@DECIDER.decides
def on_settings(state: Configs[Tuning], fact: f.SettingsChanged, context: Context) -> Adjusted:
    """Apply the factors to the new settings."""
    for config, item in state.configs.items():
        yield from _moved(item, config, item.factors, "the settings changed", context)


@DECIDER.decides
def on_anomaly(item: Tuning, fact: f.LossAnomalyDetected, context: Context) -> Adjusted:
    """Lower the learning rate after a major or critical anomaly."""
    if fact.severity != "minor":
        why = f"{fact.severity} loss anomaly in generation {fact.generation}"
        yield from _slower(item, fact.config, why, context)


@DECIDER.decides
def on_plateau(item: Tuning, fact: f.PlateauDetected, context: Context) -> Adjusted:
    """Lower the learning rate."""
    why = f"no lower loss in {fact.trainings} trainings"
    yield from _slower(item, fact.config, why, context)


@DECIDER.decides
def on_rejection(item: Tuning, fact: f.PromotionRejected, context: Context) -> Adjusted:
    """Lower the learning rate after several rejections in a row."""
    if item.rejections >= context.settings.tuning.rejections:
        why = f"{item.rejections} candidates in a row were no better"
        yield from _slower(item, fact.config, why, context)


@DECIDER.decides
def on_training(item: Tuning, fact: f.TrainingFinished, context: Context) -> Adjusted:
    """Lower the epochs after overfitting several times in a row."""
    settings = context.settings.tuning
    if item.trainings < settings.trainings_min or item.overfits < settings.overfits:
        return
    factor = max(item.factors.get(EPOCHS, USUAL) * settings.epochs_step, settings.epochs_min)
    gap, times = f"{overfit(fact):.0%}", f"{item.overfits} times in a row"
    why = f"validation loss {gap} above that of training, {times}"
    yield from _moved(item, fact.config, {**item.factors, EPOCHS: factor}, why, context)


@DECIDER.decides
def on_promotion(item: Tuning, fact: f.ModelPromoted, context: Context) -> Adjusted:
    """Go half of the way back to the settings."""
    back = {name: math.sqrt(factor) for name, factor in item.factors.items()}
    yield from _moved(item, fact.config, back, "a network was promoted", context)


def overfit(fact: f.TrainingFinished) -> float:
    """How far the validation loss is above the training loss, as a share of it; 0 without
    validation."""
    if fact.validation_loss is None or fact.loss <= 0.0:
        return 0.0
    return fact.validation_loss / fact.loss - 1.0


def _slower(item: Tuning, config: str, why: str, context: Context) -> Adjusted:
    settings = context.settings.tuning
    factor = max(item.factors.get(RATE, USUAL) * settings.rate_step, settings.rate_min)
    return _moved(item, config, {**item.factors, RATE: factor}, why, context)


def _moved(item: Tuning, config: str, factors: Factors, why: str, context: Context) -> Adjusted:
    """The values under these factors, unless they are in force already; a person's values stay."""
    training = context.settings.training
    # what has values but no factors was not decided here
    persons = {name: value for name, value in item.values.items() if name not in item.factors}
    factors = {
        name: factor
        for name, factor in factors.items()
        if name not in persons and factor < NEARLY_USUAL
    }
    usual = {RATE: training.learning_rate, EPOCHS: training.epochs}
    values = persons | {name: f"{usual[name] * factor:.6g}" for name, factor in factors.items()}
    if values != item.values:
        yield f.HyperparametersAdjusted(
            **context.basis(config), values=values, factors=factors, why=why
        )
