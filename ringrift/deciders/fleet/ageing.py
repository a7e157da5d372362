"""Which requests have waited for too long? Those of whose tickets none was done for four hours, by
recorded ticks, get priority (requirement G14.16). One that is worked off by its share does not: a
generation of a large board takes longer, and in front of all others it took the whole fleet.

This is decided once per request: the dispatcher puts its remaining tickets on the queue again, in
front. A ticket that is done twice has one outcome."""

from collections.abc import Iterator
from datetime import datetime

from ringrift.deciders.kit import Context, Decider, Struct, changed, replace
from ringrift.events import facts as f
from ringrift.events.tickets import kind_of, request_of, tickets_of


class Waiting(Struct, frozen=True, kw_only=True):
    """An unfinished request: since when none of its tickets was done, how many it has, and which
    are done."""

    config: str
    kind: f.WorkKind
    since: datetime
    tickets: int
    done: tuple[str, ...] = ()
    aged: bool = False


class Ageing(Struct, frozen=True, kw_only=True):
    """Unfinished requests, by the position of the request as tickets name it."""

    waiting: dict[str, Waiting] = {}


DECIDER = Decider("ageing", Ageing)


@DECIDER.evolves
def resumed(state: Ageing, fact: f.PipelineResumed, context: Context) -> Ageing:
    # requests that were paused did not wait for workers, so their waiting begins now
    waiting = {name: replace(item, since=context.time) for name, item in state.waiting.items()}
    return Ageing(waiting=waiting)


@DECIDER.evolves
def requested(
    state: Ageing,
    fact: f.SelfplayPlanned | f.TrainingRequested | f.EvaluationRequested,
    context: Context,
) -> Ageing:
    if isinstance(fact, f.EvaluationRequested) and fact.spare:
        return state  # it is played where evaluators are idle, or never
    tickets = tickets_of(fact, context.position)
    if not tickets:
        return state
    kind = kind_of(tickets[0])
    item = Waiting(config=fact.config, kind=kind, since=context.time, tickets=len(tickets))
    return Ageing(waiting={**state.waiting, request_of(tickets[0].ticket): item})


@DECIDER.evolves
def done(
    state: Ageing, fact: f.SelfplayFinished | f.TrainingEnded | f.EvaluationEnded, context: Context
) -> Ageing:
    name = request_of(fact.ticket)
    item = state.waiting.get(name)
    if item is None or fact.ticket in item.done:
        return state
    waiting = {**state.waiting}
    del waiting[name]
    if len(item.done) + 1 < item.tickets:
        waiting[name] = replace(item, since=context.time, done=(*item.done, fact.ticket))
    return Ageing(waiting=waiting)


@DECIDER.evolves
def escalated(state: Ageing, fact: f.WorkEscalated) -> Ageing:
    name = f"{fact.kind}-{fact.request.replace('/', '-').lower()}"
    return Ageing(waiting=changed(state.waiting, name, aged=True))


@DECIDER.decides
def escalate(state: Ageing, fact: f.TickRecorded, context: Context) -> Iterator[f.WorkEscalated]:
    """Escalate the requests that are too old."""
    limit = context.settings.scheduling.ageing_seconds
    for name, item in state.waiting.items():
        waited = (context.time - item.since).total_seconds()
        if not (item.aged or waited < limit or context.pauses.stops(item.config, item.kind)):
            yield f.WorkEscalated(
                **context.basis(item.config),
                kind=item.kind,
                request=f"EVENTS/{name.rpartition('-')[2]}",
                waited_seconds=waited,
            )
