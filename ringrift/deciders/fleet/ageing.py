"""What has waited for too long? Tickets of a request older than four hours, by recorded ticks, go
first (requirement G14.16).

It is said once a request: the dispatcher puts what is left of it on the queue again, in front. A
ticket that is done twice has one outcome."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context
from ringrift.deciders.pauses import Pauses
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    EvaluationFailed,
    EvaluationRequested,
    EvaluationScored,
    PipelinePaused,
    PipelineResumed,
    SelfplayFinished,
    SelfplayPlanned,
    SettingsChanged,
    TickRecorded,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    TrainingTimedOut,
    WorkEscalated,
    WorkKind,
)
from ringrift.events.tickets import request_of, tickets_of


class Waiting(Struct, frozen=True, kw_only=True):
    """A request that is not done: when it was made, and how many of its tickets are left."""

    config: str
    kind: WorkKind
    since: datetime
    left: int
    aged: bool = False


class AgeingState(Struct, frozen=True, kw_only=True):
    """Settings in force, pauses, and what is not done, by the position of the request as tickets
    name it."""

    settings: Settings = Settings(configs=())
    version: int = 0
    pauses: Pauses = Pauses()
    waiting: dict[str, Waiting] = {}


def evolve(state: AgeingState, event: Fact, meta: Context) -> AgeingState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case PipelinePaused():
            return replace(state, pauses=state.pauses.after(event))
        case PipelineResumed():
            # what was paused did not wait for workers: it begins to wait now
            waiting = {name: replace(item, since=meta.time) for name, item in state.waiting.items()}
            return replace(state, pauses=state.pauses.after(event), waiting=waiting)
        case SelfplayPlanned() | TrainingRequested() | EvaluationRequested():
            tickets = tickets_of(event, meta.position)
            item = Waiting(
                config=event.config, kind=_kind(event), since=meta.time, left=len(tickets)
            )
            return replace(state, waiting={**state.waiting, request_of(tickets[0].ticket): item})
        case (
            SelfplayFinished()
            | TrainingFinished()
            | TrainingFailed()
            | TrainingTimedOut()
            | EvaluationScored()
            | EvaluationFailed()
        ):
            return _done(state, event.ticket)
        case WorkEscalated():
            name = tickets_name(event)
            old = state.waiting.get(name)
            return (
                state
                if old is None
                else replace(state, waiting={**state.waiting, name: replace(old, aged=True)})
            )
    return state


def decide(state: AgeingState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """Each minute, the requests that have become old."""
    if not isinstance(event, TickRecorded):
        return ()
    found = []
    for name, item in state.waiting.items():
        waited = (meta.time - item.since).total_seconds()
        if (
            not item.aged
            and waited >= state.settings.scheduling.ageing_seconds
            and not state.pauses.stops(item.config, item.kind)
        ):
            position = f"EVENTS/{name.rpartition('-')[2]}"
            found.append(
                WorkEscalated(
                    config=item.config,
                    kind=item.kind,
                    request=position,
                    waited_seconds=waited,
                    settings_version=state.version,
                )
            )
    return tuple(found)


def tickets_name(event: WorkEscalated) -> str:
    """The name that the tickets of the request begin with."""
    return f"{event.kind}-{event.request.replace('/', '-').lower()}"


def _kind(event: SelfplayPlanned | TrainingRequested | EvaluationRequested) -> WorkKind:
    match event:
        case SelfplayPlanned():
            return "selfplay"
        case TrainingRequested():
            return "training"
    return "evaluation"


def _done(state: AgeingState, ticket: str) -> AgeingState:
    name = request_of(ticket)
    item = state.waiting.get(name)
    if item is None:
        return state
    waiting = {other: value for other, value in state.waiting.items() if other != name}
    if item.left > 1:
        waiting[name] = replace(item, left=item.left - 1)
    return replace(state, waiting=waiting)


DECIDER = Classic(
    name="ageing",
    state=AgeingState,
    reads=(
        SettingsChanged,
        PipelinePaused,
        PipelineResumed,
        SelfplayPlanned,
        TrainingRequested,
        EvaluationRequested,
        SelfplayFinished,
        TrainingFinished,
        TrainingFailed,
        TrainingTimedOut,
        EvaluationScored,
        EvaluationFailed,
        TickRecorded,
    ),
    writes=(WorkEscalated,),
    initial=AgeingState,
    evolve=evolve,
    decide=decide,
)
