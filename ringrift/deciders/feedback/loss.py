"""Is training going well? A loss far above the config's recent losses is an anomaly; a loss that
stops falling is a plateau.

The thresholds adapt (requirement G13.16): the expected loss is the median of the newest losses and
the spread their median absolute deviation, so that one anomaly does not hide the next. The loss of
a training is its validation loss where it has one."""

from collections.abc import Iterator
from statistics import median

from ringrift.deciders.kit import Configs, Context, Decider, Struct, replace
from ringrift.events import facts as f
from ringrift.events.settings import BySeverity, LossSettings

Findings = Iterator[f.LossAnomalyDetected | f.PlateauDetected | f.PlateauCleared]
NORMAL_DEVIATION = 1.4826
"""standard deviation of a normal distribution in units of its median absolute deviation"""


class Loss(Struct, frozen=True, kw_only=True):
    """The losses of a config, oldest first and without the newest, and the reported plateau."""

    losses: tuple[float, ...] = ()
    newest: float | None = None
    best: float | None = None
    trainings: int = 0
    """since the best loss"""
    waited: int = 0
    """trainings that the newest gain took, 0 if the newest training brought none"""
    reported: f.Severity | None = None
    """severity of the plateau that was reported"""


DECIDER = Decider("loss", Configs[Loss])
DECIDER.keeps(f.PlateauDetected, reported=lambda fact: fact.severity)


@DECIDER.evolves
def trained(item: Loss, fact: f.TrainingFinished, context: Context) -> Loss:
    settings, loss = context.settings.loss, final_loss(fact)
    # the newest loss stays out of the history that it is compared with
    losses = item.losses if item.newest is None else (*item.losses, item.newest)
    item = replace(item, losses=losses[-settings.history :], newest=loss, waited=0)
    if item.best is None or loss < item.best - settings.plateau_gain * abs(item.best):
        return replace(item, best=loss, trainings=0, waited=item.trainings + 1)
    return replace(item, trainings=item.trainings + 1)


@DECIDER.evolves
def moving(item: Loss, fact: f.PlateauCleared) -> Loss:
    return replace(item, reported=None, waited=0)


@DECIDER.decides
def anomaly(item: Loss, fact: f.TrainingFinished, context: Context) -> Findings:
    """Report a loss far above the expected one."""
    settings, loss = context.settings.loss, final_loss(fact)
    expected, deviations = deviations_above(loss, item.losses, settings)
    if severity := settings.deviations.reached(deviations):
        yield f.LossAnomalyDetected(
            **context.basis(fact.config),
            generation=fact.generation,
            ticket=fact.ticket,
            severity=severity,
            loss=loss,
            expected=expected,
            deviations=min(deviations, f.VALUE_MAX),
        )


@DECIDER.decides
def plateau(item: Loss, fact: f.TrainingFinished, context: Context) -> Findings:
    """Report a plateau that began, got worse or ended."""
    best = item.best or 0.0
    if item.waited and item.reported is not None:
        yield f.PlateauCleared(
            **context.basis(fact.config),
            generation=fact.generation,
            trainings=item.waited,
            best_loss=best,
        )
        return
    severity = plateau_severity(item.trainings, context.settings.loss)
    if severity not in (None, item.reported):
        yield f.PlateauDetected(
            **context.basis(fact.config),
            generation=fact.generation,
            severity=severity,
            trainings=item.trainings,
            best_loss=best,
        )


def final_loss(fact: f.TrainingFinished) -> float:
    """The loss that is compared: the validation loss if the training has one."""
    return fact.loss if fact.validation_loss is None else fact.validation_loss


def deviations_above(
    loss: float, history: tuple[float, ...], settings: LossSettings
) -> tuple[float, float]:
    """Expected loss, and how many robust standard deviations `loss` is above it; 0 if the history
    is too short."""
    if len(history) < settings.history_min:
        return loss, 0.0
    expected = median(history)
    spread = NORMAL_DEVIATION * median(abs(value - expected) for value in history)
    deviations = (loss - expected) / max(spread, settings.spread_min * abs(expected), 1e-12)
    return expected, max(0.0, deviations)


def plateau_severity(trainings: int, settings: LossSettings) -> f.Severity | None:
    """Severity after a number of trainings without a gain: at one, two and four times
    `plateau_trainings`."""
    once = settings.plateau_trainings
    return BySeverity(minor=once, major=2 * once, critical=4 * once).reached(trainings)
