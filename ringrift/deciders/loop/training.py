"""When do we train? Once the games of a generation are played and exported and hold enough new
samples, or fewer with a clear outcome.

One training of a config runs at a time. It starts from the newest weights
(`ringrift.deciders.loop.lineage`) and sees the newest shards (`ringrift.deciders.loop.window`). A
failed or silent one is requested again (`ringrift.deciders.loop.attempts`). Poor or stale data, a
cool-down and waiting matches hold a due training back (`ringrift.deciders.loop.held_back`)."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import (
    STEERING,
    Configs,
    Context,
    Decider,
    seed_from,
    successor,
    tick_seconds,
)
from ringrift.deciders.loop.attempts import ATTEMPTS, ATTEMPTS_MAX, Attempts
from ringrift.deciders.loop.held_back import READINESS, Readiness, intensity, waits
from ringrift.deciders.loop.lineage import LINEAGE, Lineage
from ringrift.deciders.loop.progress import PROGRESS, Progress
from ringrift.deciders.loop.window import WINDOW, Window, newest_shards, shard_weights
from ringrift.events import Settings, facts as f


class Training(Struct, frozen=True, kw_only=True):
    """The data of a config, its networks, and the training in flight."""

    progress: Progress = Progress()
    window: Window = Window()
    readiness: Readiness = Readiness()
    lineage: Lineage = Lineage()
    attempts: Attempts = Attempts()
    trained: int = -1
    """newest generation that a training was requested on"""
    hyperparameters: dict[str, str] = {}
    """settings that differ for this config"""


class Trainings(Configs[Training], frozen=True, kw_only=True):
    """Every config that has played, and whether waiting matches hold trainings back."""

    held_back: bool = False
    ticked: datetime | None = None


Decisions = Iterator[f.TrainingTimedOut | f.TrainingBlocked | f.TrainingRequested]
PARTS = (PROGRESS, WINDOW, READINESS, LINEAGE, ATTEMPTS)
DECIDER = Decider("training", Trainings, parts=PARTS, wakes=STEERING)
DECIDER.keeps(f.HyperparametersAdjusted, hyperparameters=lambda fact: fact.values)


@DECIDER.decides
def decide(state: Trainings, context: Context) -> Decisions:
    """Time silent trainings out, and request that of every config that is due."""
    for config, item in state.configs.items():
        yield from _timed_out(config, item, context)
        reason = due(item, context.settings)
        if (
            reason
            and not state.held_back
            and not waits(config, item.readiness, item.attempts, context)
        ):
            yield from _requested(config, item, reason, context)


def due(item: Training, settings: Settings) -> str:
    """Why to train now, empty if not."""
    attempts, progress, training = item.attempts, item.progress, settings.training
    if item.readiness.generation < 0:
        return ""  # nothing was played, so what failed was not asked for here
    if attempts.failed:
        attempt = attempts.count + 1
        return f"attempt {attempt} of {ATTEMPTS_MAX}" if attempt <= ATTEMPTS_MAX else ""
    if attempts.running or item.trained >= item.readiness.generation:
        return ""
    if not progress.idle(settings.shard.games) or not progress.enough(training):
        return ""
    new, needed = progress.samples_new, progress.needed(training)
    if new >= needed:
        return f"{new} new samples, {needed} needed"
    limit = f"{training.early_half_width:.1%}"
    return f"{new} new samples, enough as the wins are known within {limit}"


def _requested(config: str, item: Training, reason: str, context: Context) -> Decisions:
    """The request, or that its data are not good enough."""
    settings, training, readiness = context.settings, context.settings.training, item.readiness
    # the data of a failed training were good enough for its first attempt
    defect = None if item.attempts.failed else readiness.defect(settings, context.time)
    if defect:
        if not readiness.blocked:
            yield f.TrainingBlocked(
                **context.basis(config),
                generation=readiness.generation,
                reason=defect[0],
                detail=defect[1],
            )
        return
    generation = successor(readiness.generation)
    architecture, parent, teacher = item.lineage.next(settings, config)
    shards = newest_shards(item.window.shards, training.window_samples)
    qualities = item.window.qualities
    yield f.TrainingRequested(
        **context.basis(config),
        generation=generation,
        architecture=architecture,
        parent=parent,
        teacher=teacher,
        shards=tuple(digest for digest, _ in shards),
        samples=sum(samples for _, samples in shards),
        seed=seed_from(settings.seed, config, "training", generation, item.attempts.count),
        reason=reason,
        shard_weights=shard_weights(shards, qualities, training.shard_quality_power),
        hyperparameters=item.hyperparameters,
        intensity=intensity(readiness.quality(settings, context.time), training),
    )


def _timed_out(config: str, item: Training, context: Context) -> Decisions:
    running = item.attempts.running
    silent_max = context.settings.training.silent_seconds_max
    if running and running.ticket and running.silent_seconds >= silent_max:
        yield f.TrainingTimedOut(
            **context.basis(config),
            generation=successor(item.trained),
            ticket=running.ticket,
            silent_seconds=running.silent_seconds,
        )


@DECIDER.evolves
def requested(item: Training, fact: f.TrainingRequested) -> Training:
    return replace(item, trained=fact.generation - 1)


@DECIDER.evolves
def deadlock_broken(item: Training, fact: f.DeadlockBroken) -> Training:
    return replace(item, trained=min(item.trained, item.readiness.generation - 1))


@DECIDER.evolves
def pressed(state: Trainings, fact: f.Backpressure) -> Trainings:
    return replace(state, held_back=isinstance(fact, f.EvaluationBackpressureEngaged))


@DECIDER.evolves
def ticked(state: Trainings, fact: f.TickRecorded, context: Context) -> Trainings:
    passed = tick_seconds(state.ticked, context.time)
    configs = {
        name: replace(item, attempts=item.attempts.silent_for(passed))
        for name, item in state.configs.items()
    }
    return replace(state, ticked=context.time, configs=configs)
