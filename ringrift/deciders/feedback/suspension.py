"""Which configs fail again and again? After several failed trainings in a row, self-play of the
config is suspended, since no network learns from its games (requirement G17.10).

A suspended config trains once more after a time that doubles with each failure, on the samples it
has, or as soon as a person has tuned it. The first training that finishes ends the suspension."""

from collections.abc import Iterator
from datetime import datetime

from ringrift.deciders.kit import Configs, Context, Decider, Struct, noted, replace
from ringrift.events import facts as f

DOUBLINGS_MAX = 20
"""with more, the time exceeds any setting"""


class Failing(Struct, frozen=True, kw_only=True):
    """Failed trainings in a row, and the suspension in force with its newest retry."""

    failures: int = 0
    tickets: tuple[str, ...] = ()
    """with an outcome"""
    suspended_at: datetime | None = None
    retry_seconds: float = 0.0
    retries: int = 0
    retrying: bool = False


DECIDER = Decider("suspension", Configs[Failing])
Failed = f.TrainingFailed | f.TrainingTimedOut


@DECIDER.evolves
def failed(item: Failing, fact: Failed) -> Failing:
    if fact.ticket in item.tickets:
        return item
    tickets = noted(item.tickets, fact.ticket)
    return replace(item, failures=item.failures + 1, tickets=tickets)


@DECIDER.evolves
def finished(item: Failing, fact: f.TrainingFinished) -> Failing:
    return replace(item, failures=0, tickets=noted(item.tickets, fact.ticket))


@DECIDER.evolves
def suspended(item: Failing, fact: f.SelfplaySuspended, context: Context) -> Failing:
    seconds = fact.retry_seconds
    return replace(item, suspended_at=context.time, retry_seconds=seconds, retrying=False)


@DECIDER.evolves
def retried(item: Failing, fact: f.TrainingRetried) -> Failing:
    return replace(item, retries=fact.retry, retrying=True)


@DECIDER.evolves
def restored(item: Failing, fact: f.SelfplayRestored) -> Failing:
    return replace(item, suspended_at=None, retries=0, retrying=False)


@DECIDER.decides
def on_failure(item: Failing, fact: Failed, context: Context) -> Iterator[f.SelfplaySuspended]:
    """Suspend a config that fails again and again, and one whose retry failed."""
    settings = context.settings.scheduling
    again = item.suspended_at is not None
    if not item.retrying if again else item.failures < settings.failures_max:
        return
    hours = settings.retry_hours * 2.0 ** min(item.retries, DOUBLINGS_MAX)
    why = fact.reason if isinstance(fact, f.TrainingFailed) else "the trainer is silent"
    yield f.SelfplaySuspended(
        **context.basis(fact.config),
        failures=item.failures,
        retry_seconds=min(hours, settings.retry_hours_max) * 3600.0,
        why=why,
    )


@DECIDER.decides
def on_tick(
    state: Configs[Failing], fact: f.TickRecorded, context: Context
) -> Iterator[f.TrainingRetried]:
    """Retry when it is time."""
    for config, item in state.configs.items():
        if item.suspended_at is None or item.retrying or config not in context.settings.configs:
            continue
        if (context.time - item.suspended_at).total_seconds() >= item.retry_seconds:
            yield f.TrainingRetried(**context.basis(config), retry=item.retries + 1)


@DECIDER.decides
def on_tuning(
    item: Failing, fact: f.HyperparametersAdjusted, context: Context
) -> Iterator[f.TrainingRetried]:
    """Retry with the values that a person has set."""
    if item.suspended_at is not None and not item.retrying:
        yield f.TrainingRetried(**context.basis(fact.config), retry=item.retries + 1)


@DECIDER.decides
def on_success(
    item: Failing, fact: f.TrainingFinished, context: Context
) -> Iterator[f.SelfplayRestored]:
    """End the suspension."""
    if item.suspended_at is not None:
        yield f.SelfplayRestored(**context.basis(fact.config))
