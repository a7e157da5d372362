"""Who waits for whom? Each part of a config's loop waits for another; if they wait in a circle,
nobody will ever move.

    self-play waits for training     once the training of its generation was asked for
    self-play waits for evaluation   while a network is on trial
    training waits for self-play     when it was given up, until another generation is played
    evaluation waits for training    while there is no network to measure

Work in the hands of workers ends the waiting, so a circle is looked for only while nothing is asked
of any worker. It must have lasted for a while of recorded ticks: shards are cut and networks
published without a ticket. Breaking it plays the generation on (requirement G14.20)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.deciders.pauses import Pauses
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    DeadlockBroken,
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    ModelPromoted,
    ModelRegistered,
    ModelRolledBack,
    PipelinePaused,
    PipelineResumed,
    PromotionRejected,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    ShardExported,
    TickRecorded,
    TrainingBlocked,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    TrainingTimedOut,
)

TICK_SECONDS_MAX = 300.0
"""a longer pause between two ticks counts as this: nobody ran"""
KINDS = ("selfplay", "training", "evaluation")


class ConfigWaiting(Struct, frozen=True, kw_only=True):
    """One config: what is asked of workers, where its loop stands, and the recorded time in which
    nothing was asked."""

    games: int = 0
    """of generations, asked for and not played; spare ones keep nobody waiting"""
    trainings: int = 0
    matches: int = 0
    generation: int = 0
    asked: bool = False
    """the training of the generation in play has been asked for"""
    given_up: bool = False
    """and has failed"""
    trials: int = 0
    idle_seconds: float = 0.0

    @property
    def busy(self) -> bool:
        """Whether something is asked of a worker."""
        return bool(self.games or self.trainings or self.matches)


class WaitingState(Struct, frozen=True, kw_only=True):
    """Settings in force, pauses, the last tick, and every config that has played."""

    settings: Settings = Settings(configs=())
    version: int = 0
    pauses: Pauses = Pauses()
    ticked: datetime | None = None
    configs: dict[str, ConfigWaiting] = {}


def evolve(state: WaitingState, event: Fact, meta: Context) -> WaitingState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case PipelinePaused() | PipelineResumed():
            configs = {
                name: replace(item, idle_seconds=0.0) for name, item in state.configs.items()
            }
            return replace(state, pauses=state.pauses.after(event), configs=configs)
        case TickRecorded():
            return _ticked(state, meta.time)
        case (
            SelfplayPlanned()
            | SelfplayFinished()
            | ShardExported()
            | TrainingRequested()
            | TrainingFinished()
            | TrainingFailed()
            | TrainingTimedOut()
            | TrainingBlocked()
            | ModelRegistered()
            | EvaluationRequested()
            | EvaluationScored()
            | EvaluationFailed()
            | ModelPromoted()
            | PromotionRejected()
            | ModelRolledBack()
            | DeadlockBroken()
        ):
            item = state.configs.get(event.config, ConfigWaiting())
            return replace(state, configs={**state.configs, event.config: moved(item, event)})
    return state


def moved(item: ConfigWaiting, event: Fact) -> ConfigWaiting:
    """The config after a fact of its own."""
    match event:
        case SelfplayPlanned() | SelfplayFinished() if event.spare:
            return item
        case ShardExported():
            return item if item.asked else replace(item, idle_seconds=0.0)
        case SelfplayPlanned():
            changes = {
                "games": item.games + event.games,
                "generation": event.generation,
                "asked": False,
                "given_up": False,
            }
        case SelfplayFinished():
            changes = {"games": max(0, item.games - event.games - event.lost)}
        case TrainingRequested():
            changes = {"trainings": item.trainings + 1, "asked": True, "given_up": False}
        case TrainingFinished():
            changes = {"trainings": max(0, item.trainings - 1)}
        case TrainingFailed() | TrainingTimedOut():
            changes = {"trainings": max(0, item.trainings - 1), "given_up": True}
        case ModelRegistered():
            changes = {"trials": item.trials + 1}
        case EvaluationRequested():
            changes = {"matches": item.matches + 1}
        case EvaluationScored() | EvaluationFailed():
            changes = {"matches": max(0, item.matches - 1)}
        case ModelPromoted() | PromotionRejected():
            changes = {"trials": max(0, item.trials - 1), "generation": event.generation}
        case _:
            changes = {}
    return replace(item, idle_seconds=0.0, **changes)


def decide(state: WaitingState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """Each minute, the circles that have lasted for too long."""
    if not isinstance(event, TickRecorded):
        return ()
    limit, last = state.settings.scheduling.deadlock_seconds, state.settings.generations
    return tuple(
        DeadlockBroken(
            config=name,
            cycle=cycle,
            waited_seconds=item.idle_seconds,
            settings_version=state.version,
        )
        for name, item in state.configs.items()
        if item.idle_seconds >= limit
        and name in state.settings.configs
        and not (last and item.generation >= last)
        and not any(state.pauses.stops(name, kind) for kind in KINDS)
        and (cycle := circle(waits_of(item)))
    )


def waits_of(item: ConfigWaiting) -> dict[str, str]:
    """Who waits for whom in the loop of a config that asks nothing of any worker."""
    waits = {"evaluation": "training"}
    if item.trials:
        waits |= {"self-play": "evaluation", "evaluation": "verdict", "verdict": "evaluation"}
    elif item.asked:
        waits["self-play"] = "training"
    if item.given_up:
        waits["training"] = "self-play"
    return waits


def circle(waits: Mapping[str, str]) -> tuple[str, ...]:
    """The first circle in who waits for whom, from its alphabetically first member on; empty if
    there is none."""
    for start in sorted(waits):
        seen = [start]
        while (following := waits.get(seen[-1])) is not None:
            if following == start:
                return tuple(seen)
            if following in seen:
                break
            seen.append(following)
    return ()


def _ticked(state: WaitingState, now: datetime) -> WaitingState:
    passed = (now - state.ticked).total_seconds() if state.ticked else 0.0
    passed = min(max(passed, 0.0), TICK_SECONDS_MAX)
    configs = {
        name: replace(item, idle_seconds=0.0 if item.busy else item.idle_seconds + passed)
        for name, item in state.configs.items()
    }
    return replace(state, ticked=now, configs=configs)


DECIDER = Classic(
    name="waiting",
    state=WaitingState,
    reads=(
        SettingsChanged,
        PipelinePaused,
        PipelineResumed,
        SelfplayPlanned,
        SelfplayFinished,
        ShardExported,
        TrainingRequested,
        TrainingFinished,
        TrainingFailed,
        TrainingTimedOut,
        TrainingBlocked,
        ModelRegistered,
        EvaluationRequested,
        EvaluationScored,
        EvaluationFailed,
        ModelPromoted,
        PromotionRejected,
        ModelRolledBack,
        TickRecorded,
    ),
    writes=(DeadlockBroken,),
    initial=WaitingState,
    evolve=evolve,
    decide=decide,
)
