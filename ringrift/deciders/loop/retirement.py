"""When is a network deleted? When it lost long ago and nothing needs it.

A network has lost when it was rejected, or another one has replaced it. It is deleted once it was
not used for `archive.models_delete_hours`, unless an archive takes what is idle. Current networks,
their parents, the newest ones before them, those on trial, those that a person keeps, those that
settings name and those that an unfinished request names stay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ringrift.deciders.kit import Context, Decider, Struct, changed, replace
from ringrift.events import facts as f
from ringrift.events.tickets import Outcome, Request, request_of, tickets_of

FORMER_MAX = 4
"""networks before the current one that stay: opponents, and what workers use in place of one that
they cannot fetch"""
RETIRED_MAX = 64
"""networks that are retired on one tick, to keep batches of decisions small"""
RUNNING_MAX = 10_000
"""unfinished requests that are remembered"""


class Known(Struct, frozen=True, kw_only=True):
    """A network in the bucket: its config, its parents, and when it was used last."""

    config: str
    parents: tuple[str, ...] = ()
    used: datetime
    lost: bool = False


class Running(Struct, frozen=True, kw_only=True):
    """An unfinished request: the networks that it names, its tickets, and which are done."""

    models: tuple[str, ...]
    tickets: int
    done: tuple[str, ...] = ()


class Networks(Struct, frozen=True, kw_only=True):
    """All networks in the bucket, and what needs some of them."""

    models: dict[str, Known] = {}
    current: dict[str, str] = {}
    former: dict[str, tuple[str, ...]] = {}
    """by config, the newest last"""
    trials: tuple[tuple[str, str], ...] = ()
    """configs, and the networks of others on trial there"""
    kept: tuple[str, ...] = ()
    running: dict[str, Running] = {}

    def used(self, model: str | None, time: datetime, **changes: object) -> Networks:
        """After a use of a network."""
        return replace(self, models=changed(self.models, model or "", used=time, **changes))


DECIDER = Decider("retirement", Networks)


@DECIDER.evolves
def registered(state: Networks, fact: f.ModelRegistered, context: Context) -> Networks:
    new = Known(config=fact.config, parents=fact.parents, used=context.time)
    return replace(state, models={**state.models, fact.model: new})


@DECIDER.evolves
def adopted(state: Networks, fact: f.ModelAdopted, context: Context) -> Networks:
    state = replace(state, trials=(*state.trials, (fact.config, fact.model)))
    return state.used(fact.model, context.time)


@DECIDER.evolves
def rejected(state: Networks, fact: f.PromotionRejected, context: Context) -> Networks:
    return _judged(state, fact).used(fact.model, context.time, lost=True)


@DECIDER.evolves
def became_current(state: Networks, fact: f.IncumbentChanged, context: Context) -> Networks:
    config, before = fact.config, state.current.get(fact.config)
    names = (*state.former.get(config, ()), *((before,) if before else ()))
    former = tuple(dict.fromkeys(name for name in names if name != fact.current))[-FORMER_MAX:]
    state = replace(
        state,
        current={**state.current, config: fact.current},
        former={**state.former, config: former},
    )
    return (
        _judged(state, fact).used(before, context.time, lost=True).used(fact.current, context.time)
    )


@DECIDER.evolves
def kept(state: Networks, fact: f.ModelKept, context: Context) -> Networks:
    others = tuple(model for model in state.kept if model != fact.model)
    if fact.kept:
        return replace(state, kept=(*others, fact.model))
    again = Known(config=fact.config, used=context.time, lost=True)  # if it was retired before
    models = {fact.model: again, **state.models}
    return replace(state, kept=others, models=models)


@DECIDER.evolves
def gone(state: Networks, fact: f.ModelRetired | f.ModelArchived) -> Networks:
    left = {model: known for model, known in state.models.items() if model != fact.model}
    return replace(state, models=left)


@DECIDER.evolves
def requested(state: Networks, fact: Request, context: Context) -> Networks:
    if not (models := _named(fact)):
        return state
    tickets = tickets_of(fact, context.position)
    item = Running(models=models, tickets=len(tickets))
    newest = {**state.running, request_of(tickets[0].ticket): item}
    return replace(state, running=dict(list(newest.items())[-RUNNING_MAX:]))


@DECIDER.evolves
def ended(state: Networks, fact: Outcome, context: Context) -> Networks:
    name = request_of(fact.ticket)
    item = state.running.get(name)
    if item is None or fact.ticket in item.done:
        return state
    if len(item.done) + 1 < item.tickets:
        left = replace(item, done=(*item.done, fact.ticket))
        return replace(state, running={**state.running, name: left})
    running = {key: value for key, value in state.running.items() if key != name}
    for model in item.models:
        known = state.models.get(model)
        if known and known.lost:  # others are used until they lose
            state = state.used(model, context.time)
    return replace(state, running=running)


@DECIDER.decides
def retire(state: Networks, fact: f.TickRecorded, context: Context) -> Iterator[f.ModelRetired]:
    """Retire the networks that lost and are not needed, the first registered ones first."""
    settings = context.settings.archive
    if settings.place or not settings.models_delete_hours:
        return
    before = context.time - timedelta(hours=settings.models_delete_hours)
    old = [name for name, known in state.models.items() if known.lost and known.used < before]
    if not old:
        return
    needed, count = _needed(state, context), 0
    for model in old:
        if model not in needed and count < RETIRED_MAX:
            count += 1
            yield f.ModelRetired(
                **context.basis(state.models[model].config),
                model=model,
                why=f"it lost, and was not used for {settings.models_delete_hours:g} h",
            )


def _judged(state: Networks, fact: f.PromotionRejected | f.IncumbentChanged) -> Networks:
    trial = fact.config, fact.model
    return replace(state, trials=tuple(one for one in state.trials if one != trial))


def _needed(state: Networks, context: Context) -> set[str]:
    """Networks that stay, however old they are."""
    training = context.settings.training
    found = {*state.kept, *state.current.values(), *(model for _, model in state.trials)}
    for model in state.current.values():
        if known := state.models.get(model):
            found.update(known.parents)
    found.update(*state.former.values(), *(item.models for item in state.running.values()))
    found.update(name.split("=")[1] for name in (*training.init, *training.distill_from))
    return found


def _named(fact: Request) -> tuple[str, ...]:
    """The networks that a request needs."""
    match fact:
        case f.SelfplayPlanned():
            names = (fact.model, *(seat.model for seat in fact.opponents))
        case f.EvaluationRequested():
            names = fact.candidate.model, fact.opponent.model
        case f.TrainingRequested():
            names = fact.parent, fact.teacher
        case f.ReanalysisRequested():
            names = (fact.model,)
    return tuple(filter(None, names))
