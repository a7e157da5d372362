"""When do we train? Once enough games of a generation are played and exported and hold enough new
samples, or fewer with a clear outcome. Games that were played ahead count for up to half of them,
so that no training waits for the last ticket.

One training of a config runs at a time. It starts from the newest weights
(`ringrift.deciders.loop.lineage`) and sees the newest shards (`ringrift.deciders.loop.window`). A
failed or silent one is requested again (`ringrift.deciders.loop.attempts`). Poor or stale data and
waiting matches hold a due training back, and so does a cool-down unless a trainer is free
(`ringrift.deciders.loop.held_back`). Configs of a group have one training
(`ringrift.deciders.loop.together`)."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.feedback.experiments import ARMS, Arms
from ringrift.deciders.kit import (
    STEERING,
    Configs,
    Context,
    Decider,
    seed_from,
    successor,
    tick_seconds,
)
from ringrift.deciders.loop import together
from ringrift.deciders.loop.attempts import ATTEMPTS, ATTEMPTS_MAX, Attempts
from ringrift.deciders.loop.held_back import (
    READINESS,
    Defect,
    Readiness,
    cooling_seconds,
    intensity,
    waits,
)
from ringrift.deciders.loop.lineage import LINEAGE, Lineage
from ringrift.deciders.loop.progress import PROGRESS, Progress
from ringrift.deciders.loop.window import WINDOW, Window, newest_shards, shard_weights
from ringrift.events import Settings, facts as f

GROUP = "its group"
"""what a training waits for that is of several configs"""


class Training(Struct, frozen=True, kw_only=True):
    """The data of a config, its networks, and the training in flight."""

    progress: Progress = Progress()
    window: Window = Window()
    readiness: Readiness = Readiness()
    lineage: Lineage = Lineage()
    attempts: Attempts = Attempts()
    arms: Arms = Arms()
    trained: int = -1
    """newest generation that a training was requested on"""
    hyperparameters: dict[str, str] = {}
    """settings that differ for this config"""
    delayed: str = ""
    """what the due training waits for, as recorded"""
    planned_at: datetime | None = None
    planned_for: int = -1
    """when its newest generation was planned first, and which that is"""
    waiting_since: datetime | None = None
    """when it began to wait for its group"""
    within: bool = False
    """the ticket of its newest training is that of another config"""


class Trainings(Configs[Training], frozen=True, kw_only=True):
    """Every config that has played, and whether waiting matches hold trainings back."""

    held_back: bool = False
    ticked: datetime | None = None
    trainers: dict[str, bool] = {}
    """whether a node trains, for those with a trainer or an assignment"""


Decisions = Iterator[
    f.TrainingTimedOut | f.TrainingBlocked | f.TrainingDelayed | f.TrainingRequested
]
PARTS = (PROGRESS, WINDOW, READINESS, LINEAGE, ATTEMPTS, ARMS)
DECIDER = Decider("training", Trainings, parts=PARTS, wakes=STEERING)
DECIDER.keeps(f.HyperparametersAdjusted, hyperparameters=lambda fact: fact.values)


@DECIDER.decides
def decide(state: Trainings, context: Context) -> Decisions:
    """Time silent trainings out, and request that of every config or group that is due: at once or,
    during its cool-down, once a trainer is free, the one that has cooled down most first."""
    cooling: list[tuple[float, tuple[str, ...], tuple[str, ...]]] = []
    free = max(1, sum(state.trainers.values())) - _running(state, context)
    for line in together.lines(state.configs, context.settings.training):
        ready = list[str]()
        for config in line:
            item = state.configs[config]
            yield from _timed_out(config, item, context)
            if due(item, context.settings):
                wait = waits(config, item.readiness, item.attempts, context)
                if state.held_back and wait != "pause":
                    yield from _delayed(config, item, "fewer matches", None, context)
                elif not wait:
                    ready.append(config)
        seconds = min((_cooling(state, config, context) for config in ready), default=0.0)
        if awaited := together.awaited(line, ready, state.configs, context):
            busy = any(state.configs[config].attempts.running for config in awaited)
            limit = None if busy else context.settings.training.together_seconds
            for config in ready:
                item = state.configs[config]
                yield from _delayed(config, item, "a trainer", limit, context, awaited)
        elif seconds:
            cooling.append((seconds, tuple(ready), line))
        elif ready:
            free -= 1
            yield from _requested(state, ready, line, context)
    for seconds, names, line in sorted(cooling):
        free -= 1
        if free >= 0:
            yield from _requested(state, names, line, context)
        else:
            for config in names:
                yield from _delayed(config, state.configs[config], "a trainer", seconds, context)


def _running(state: Trainings, context: Context) -> int:
    """Trainings in flight, but for those that a pause stops."""
    return sum(
        item.attempts.running is not None
        and not item.within
        and not context.pauses.stops(config, "training")
        for config, item in state.configs.items()
    )


def _cooling(state: Trainings, config: str, context: Context) -> float:
    item = state.configs[config]
    return cooling_seconds(item.readiness, item.attempts, context)


def _delayed(
    config: str,
    item: Training,
    reason: Literal["a trainer", "fewer matches"],
    seconds_max: float | None,
    context: Context,
    others: tuple[str, ...] = (),
) -> Iterator[f.TrainingDelayed]:
    """What a due training waits for, once."""
    if item.delayed != (GROUP if others else reason) and not item.readiness.blocked:
        yield f.TrainingDelayed(
            **context.basis(config),
            generation=item.readiness.generation,
            reason=reason,
            seconds_max=seconds_max,
            others=others,
        )


def due(item: Training, settings: Settings) -> str:
    """Why to train now, empty if not."""
    attempts, progress, training = item.attempts, item.progress, settings.training
    if item.readiness.generation < 0:
        return ""  # nothing was played, so what failed was not asked for here
    if attempts.failed:
        attempt = attempts.count + 1
        return f"attempt {attempt} of {ATTEMPTS_MAX}" if attempt <= ATTEMPTS_MAX else ""
    if item.arms.second_due:
        return f"arm b of experiment {item.arms.id}"
    if attempts.running or item.trained >= item.readiness.generation:
        return ""
    if not progress.suffices(settings.shard.games) or not progress.enough(training):
        return ""
    new, needed = progress.samples_new, progress.needed(training)
    if new >= needed:
        return f"{new} new samples, {needed} needed"
    limit = f"{training.early_half_width:.1%}"
    return f"{new} new samples, enough as the wins are known within {limit}"


def _requested(
    state: Trainings, ready: Sequence[str], line: Sequence[str], context: Context
) -> Decisions:
    """The request of the due configs of a line, or that their data are not good enough."""
    fit = list[str]()
    for config in ready:
        if defect := _defect(state.configs[config], context):
            yield from _blocked(config, state.configs[config], defect, context)
        else:
            fit.append(config)
    if not fit:
        return
    lead, settings = fit[0], context.settings
    start = together.start(lead, line, state.configs, settings)
    due_now = [one for one in fit if one in start.configs]
    requests = [_request(one, state.configs[one], start, context) for one in due_now]
    rest = [one for one in start.configs if one not in ready]
    others = (
        *(one.windows[0] for one in requests[1:]),
        *together.older(rest, state.configs, requests, settings.training),
    )
    yield from (replace(one, within=lead) for one in requests[1:])
    yield replace(requests[0], others=others)


def _defect(item: Training, context: Context) -> tuple[Defect, str] | None:
    # the data of a failed training, or of arm a, were good enough for its first attempt
    again = item.attempts.failed or item.arms.second_due
    return None if again else item.readiness.defect(context.settings, context.time)


def _blocked(
    config: str, item: Training, defect: tuple[Defect, str], context: Context
) -> Iterator[f.TrainingBlocked]:
    if not item.readiness.blocked:
        yield f.TrainingBlocked(
            **context.basis(config),
            generation=item.readiness.generation,
            reason=defect[0],
            detail=defect[1],
        )


def _request(
    config: str, item: Training, start: together.Start, context: Context
) -> f.TrainingRequested:
    settings, training = context.settings, context.settings.training
    generation = successor(item.readiness.generation)
    shards = newest_shards(item.window.shards, training.window_samples)
    samples = sum(count for _, count in shards)
    request = f.TrainingRequested(
        **context.basis(config),
        generation=generation,
        architecture=start.architecture,
        parent=start.parent,
        teacher=start.teacher,
        shards=tuple(digest for digest, _ in shards),
        samples=samples,
        seed=seed_from(settings.seed, config, "training", generation, item.attempts.count),
        reason=due(item, settings),
        hyperparameters=item.hyperparameters,
        intensity=_intensity(item, start.parent, samples, context),
    )
    if len(start.configs) == 1:  # no experiment is made with several configs
        request = item.arms.request(request)
    sizes, usual = dict(item.window.shards), training.shard_quality_power
    power = float(request.hyperparameters.get("training.shard_quality_power", usual))
    seen = tuple((digest, sizes.get(digest, 0)) for digest in request.shards)
    return replace(request, shard_weights=shard_weights(seen, item.window.qualities, power))


def _intensity(item: Training, parent: str | None, samples: int, context: Context) -> float:
    """Factor on the epochs: by the quality of the data, larger without a parent, and no more than
    the new samples repay."""
    training = context.settings.training
    quality = item.readiness.quality(context.settings, context.time)
    wanted = intensity(quality, training) * (1.0 if parent else training.first_intensity)
    new = item.progress.samples_new + (item.progress.samples_asked if item.attempts.failed else 0)
    most = training.passes_max * new if new else math.inf
    if parent is None or not item.readiness.generation:
        most = min(most, training.first_samples)
    passed = max(samples * training.epochs * wanted, 1.0)
    return round(max(wanted * min(1.0, most / passed), together.INTENSITY_MIN), 4)


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
def planned(item: Training, fact: f.SelfplayPlanned, context: Context) -> Training:
    if fact.spare or fact.generation == item.planned_for:
        return item
    return replace(item, planned_at=context.time, planned_for=fact.generation)


@DECIDER.evolves
def requested(item: Training, fact: f.TrainingRequested) -> Training:
    within = fact.within is not None
    return replace(item, trained=fact.generation - 1, delayed="", waiting_since=None, within=within)


@DECIDER.evolves
def delayed(item: Training, fact: f.TrainingDelayed, context: Context) -> Training:
    if fact.others:
        return replace(item, delayed=GROUP, waiting_since=context.time)
    return replace(item, delayed=fact.reason, waiting_since=None)


@DECIDER.evolves
def trainer_seen(state: Trainings, fact: f.ConsumerStarted) -> Trainings:
    if fact.consumer != "trainer" or fact.node in state.trainers:
        return state
    return replace(state, trainers={**state.trainers, fact.node: True})


@DECIDER.evolves
def trainer_gone(state: Trainings, fact: f.ConsumerStopped | f.NodePresenceChanged) -> Trainings:
    stays = fact.present if isinstance(fact, f.NodePresenceChanged) else fact.consumer != "trainer"
    if stays or fact.node not in state.trainers:
        return state
    left = {node: trains for node, trains in state.trainers.items() if node != fact.node}
    return replace(state, trainers=left)


@DECIDER.evolves
def assigned(state: Trainings, fact: f.NodeAssigned) -> Trainings:
    trains = "training" in fact.kinds
    if state.trainers.get(fact.node) is trains:
        return state
    return replace(state, trainers={**state.trainers, fact.node: trains})


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
