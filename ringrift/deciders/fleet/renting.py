"""How many nodes are rented, of which offer, and which are returned?

    rented     while cores do not wait for tickets: the offers with most speed for their price, for
               the budget per hour at most, and no more than the deadline needs
    returned   what has no work for a while, sent no heartbeat, was lost or preempted, is more than
               the budget or the deadline allows, or more than its Elo is worth; the dearest for its
               speed first. It is drained before, if it runs
    orphans    what the provider runs and no rent explains is returned if that is allowed

Nodes of an offer have the names `rented-<offer>-1` to `rented-<offer>-<max>`, so that each can be
admitted before it is rented. The provider is asked by the process `renter`, which records what came
of it. Time is that of ticks, money is counted from `NodeRented` to `NodeReturned`."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from ringrift.deciders.fleet.alerts import NO_TICKET
from ringrift.deciders.fleet.offers import OTHER, Offer, chosen, offers_of
from ringrift.deciders.fleet.rented import (
    HOUR_SECONDS,
    SAMPLE_AGE_SECONDS_MAX,
    Refused,
    Rented,
    Renting,
    blocked,
    finishes,
    free_names,
    is_due_again,
    leaving,
    needed,
    seconds_since,
    speed_of,
    why_not,
)
from ringrift.deciders.kit import Context, Decider, changed, noted, replace, tick_seconds
from ringrift.events import facts as f

RENTS_PER_TICK_MAX = 4
IDLE_SHARE = 0.01
"""of the cores; a node that works less is idle"""
IDLE_WEIGHT = 0.3
"""of the newest sample in the share of cores that wait for tickets: the last minutes count"""

DECIDER = Decider("renting", Renting)


@DECIDER.evolves
def asked(state: Renting, fact: f.NodeRentRequested, context: Context) -> Renting:
    node = Rented(offer=fact.offer, cost_per_hour=fact.cost_per_hour, since=context.time)
    last = {**state.last, fact.offer: fact.node}
    times = (
        *(one for one in state.asked if seconds_since(one, context) < HOUR_SECONDS),
        context.time,
    )
    return replace(state, nodes={**state.nodes, fact.node: node}, asked=times, last=last)


@DECIDER.evolves
def rented(state: Renting, fact: f.NodeRented, context: Context) -> Renting:
    changes = {"instance": fact.instance, "cost_per_hour": fact.cost_per_hour}
    return replace(state, nodes=changed(state.nodes, fact.node, since=context.time, **changes))


@DECIDER.evolves
def refused(state: Renting, fact: f.NodeRentFailed, context: Context) -> Renting:
    left = {name: node for name, node in state.nodes.items() if name != fact.node}
    return _failed(replace(state, nodes=left), fact.offer, context)


@DECIDER.evolves
def drains(state: Renting, fact: f.NodeDrainRequested, context: Context) -> Renting:
    state = _calmed(state, fact.node, context)
    gone = {"gone": fact.why or "it was drained", "draining_since": context.time}
    return replace(state, nodes=changed(state.nodes, fact.node, **gone))


@DECIDER.evolves
def preempted(state: Renting, fact: f.PreemptionNoticed, context: Context) -> Renting:
    gone = {"gone": "preempted", "draining_since": context.time}
    return replace(state, nodes=changed(state.nodes, fact.node, **gone))


@DECIDER.evolves
def repaired(state: Renting, fact: f.RecoveryActionRequested) -> Renting:
    if fact.action != "replace":
        return state
    return replace(state, nodes=changed(state.nodes, fact.node, gone=fact.why))


@DECIDER.evolves
def returns(state: Renting, fact: f.NodeReturnRequested, context: Context) -> Renting:
    state, node = _calmed(state, fact.node, context), state.nodes.get(fact.node)
    if node is not None and not node.seen and not fact.orphan and not node.returning:
        state = _failed(state, node.offer, context)  # it never worked
    changes = {"returning": True, "again_at": None}
    return _either(state, fact.node, orphan=fact.orphan, **changes)


@DECIDER.evolves
def not_returned(state: Renting, fact: f.NodeReturnFailed, context: Context) -> Renting:
    orphan = fact.node not in state.nodes
    known = (state.orphans if orphan else state.nodes).get(fact.node)
    count = known.failures + 1 if known else 1
    return _either(state, fact.node, orphan=orphan, failures=count, again_at=context.time)


@DECIDER.evolves
def returned(state: Renting, fact: f.NodeReturned) -> Renting:
    """Remove what had this instance; another one may have the name by now."""

    def left(known: dict[str, Rented]) -> dict[str, Rented]:
        return {name: one for name, one in known.items() if one.instance != fact.instance}

    return replace(state, nodes=left(state.nodes), orphans=left(state.orphans))


@DECIDER.evolves
def found(state: Renting, fact: f.OrphanFound, context: Context) -> Renting:
    offer, cost, instance = fact.offer, fact.cost_per_hour, fact.instance
    orphan = Rented(offer=offer, cost_per_hour=cost, since=context.time, instance=instance)
    return replace(state, orphans={**state.orphans, fact.node: orphan})


@DECIDER.evolves
def seen(state: Renting, fact: f.NodePresenceChanged, context: Context) -> Renting:
    node = state.nodes.get(fact.node)
    if node is None:
        return state
    changes = {"present": fact.present, "seen": node.seen or fact.present, "idle_seconds": 0.0}
    stopped = context.time if fact.left and not fact.present else None
    clean = {name: one for name, one in state.refused.items() if name != node.offer}
    nodes = changed(state.nodes, fact.node, stopped=stopped, **changes)
    return replace(state, nodes=nodes, refused=clean if fact.present else state.refused)


@DECIDER.evolves
def sampled(state: Renting, fact: f.UtilisationSampled, context: Context) -> Renting:
    """A present node that is not in a sample has no workers, so it is idle too."""
    nodes = dict(state.nodes)
    for name, node in state.nodes.items():
        use = fact.nodes.get(name)
        if use is None and not node.present:
            continue
        works = use and sum(use.busy.values()) > IDLE_SHARE * use.cores * fact.seconds
        idle = 0.0 if works else min(node.idle_seconds + fact.seconds, f.VALUE_MAX)
        nodes[name] = replace(node, idle_seconds=idle)
    play = {name: use for name, use in fact.nodes.items() if use.players}
    cores = sum(use.cores for use in play.values())
    waited = sum(use.waited.get(NO_TICKET, 0.0) for use in play.values())
    now = min(waited / (cores * fact.seconds), 1.0) if cores else 0.0
    fresh = seconds_since(state.sampled, context) < SAMPLE_AGE_SECONDS_MAX
    waiting = state.waiting + IDLE_WEIGHT * (now - state.waiting) if fresh else now
    others = len(play.keys() - nodes.keys())
    return replace(state, nodes=nodes, others=others, waiting=waiting, sampled=context.time)


@DECIDER.evolves
def judged(state: Renting, fact: f.ModelPromoted | f.PromotionRejected) -> Renting:
    if fact.generation <= state.judged.get(fact.config, 0):
        return state
    after = state.per_verdict.after(state.speed_seconds)
    newest = {**state.judged, fact.config: fact.generation}
    return replace(state, judged=newest, per_verdict=after, speed_seconds=0.0)


@DECIDER.evolves
def measured(state: Renting, fact: f.EfficiencyMeasured) -> Renting:
    if fact.elo_per_cost is None:
        return state
    return replace(state, elo_per_cost={**state.elo_per_cost, fact.config: fact.elo_per_cost})


@DECIDER.evolves
def played(state: Renting, fact: f.SelfplayFinished) -> Renting:
    if fact.ticket in state.tickets or (fact.node not in state.nodes and not state.play.configs):
        return state
    node = state.nodes.get(fact.node)
    play = state.play.after(
        fact.config, node.offer if node else OTHER, fact.games, fact.play_seconds
    )
    return replace(state, play=play, tickets=noted(state.tickets, fact.ticket))


@DECIDER.evolves
def ticked(state: Renting, fact: f.TickRecorded, context: Context) -> Renting:
    """What is rented costs while no coordinator runs, too."""
    paid = [node for node in state.nodes.values() if node.instance]
    passed = seconds_since(state.ticked, context) if state.ticked else 0.0
    cost = sum(node.cost_per_hour for node in paid) * max(passed, 0.0) / HOUR_SECONDS
    spent = min(state.spent + cost, f.VALUE_MAX)
    offers = offers_of(context.settings.renting, state.play) if paid else {}
    worked = tick_seconds(state.ticked, context.time)
    work = state.speed_seconds + speed_of(state, offers, present=True) * worked
    return replace(state, ticked=context.time, spent=spent, speed_seconds=min(work, f.VALUE_MAX))


Step = f.NodeRentRequested | f.NodeDrainRequested | f.NodeReturnRequested


@DECIDER.decides
def scale(state: Renting, fact: f.TickRecorded, context: Context) -> Iterator[Step]:
    """Return what is not worth its cost, then rent what the budget allows."""
    settings = context.settings.renting
    offers = offers_of(settings, state.play)
    gone = leaving(state, offers, context)
    for name, node in state.nodes.items():
        if node.returning:
            if node.instance and is_due_again(node, settings, context):
                yield _give_back(name, node, f"attempt {node.failures + 1}", context)
        elif name in gone and node.present and node.draining_since is None:
            seconds = settings.drain_seconds
            yield f.NodeDrainRequested(node=name, seconds=seconds, why=gone[name])
        elif name in gone and not finishes(node, settings, context):
            yield _give_back(name, node, gone[name], context)
    for name, node in state.orphans.items() if settings.returns_orphans else ():
        if not node.returning or is_due_again(node, settings, context):
            yield _give_back(name, node, "no rent of it is recorded", context, orphan=True)
    if not why_not(state, offers, context):
        yield from _rents(state, offers, context)


def _rents(state: Renting, offers: dict[str, Offer], context: Context) -> Iterator[Step]:
    settings, need = context.settings.renting, needed(state, context)
    lately = sum(seconds_since(one, context) < HOUR_SECONDS for one in state.asked)
    names = {
        name: []
        if blocked(state.refused.get(name), settings, context)
        else free_names(state, offer)
        for name, offer in offers.items()
    }
    money = settings.budget_per_hour - state.cost_per_hour
    for offer in chosen(
        offers.values(),
        money=money,
        speed=inf if need is None else need - speed_of(state, offers),
        count=min(RENTS_PER_TICK_MAX, settings.rents_per_hour - lately),
        free=lambda offer: len(names.get(offer.name, ())),
    ):
        why = f"{offer.value:,.2f} speed per unit of cost; {money:,.2f} per hour were left"
        money -= offer.price
        if need is not None:
            why += f"; the deadline needs speed {need:,.1f}"
        yield f.NodeRentRequested(
            node=names[offer.name].pop(0),
            offer=offer.name,
            cost_per_hour=offer.price,
            why=why,
            settings_version=context.settings_version,
        )


def _give_back(
    name: str, node: Rented, why: str, context: Context, *, orphan: bool = False
) -> f.NodeReturnRequested:
    return f.NodeReturnRequested(
        node=name,
        instance=node.instance,
        orphan=orphan,
        why=why,
        settings_version=context.settings_version,
    )


def _failed(state: Renting, offer: str, context: Context) -> Renting:
    known = state.refused.get(offer)
    count = min(known.failures + 1 if known else 1, 1_000)
    refused = {**state.refused, offer: Refused(failures=count, since=context.time)}
    return replace(state, refused=refused)


def _calmed(state: Renting, name: str, context: Context) -> Renting:
    """Returning an idle node begins a time in which nothing is rented."""
    node, minutes = state.nodes.get(name), context.settings.renting.idle_minutes
    idle = node is not None and node.idle_seconds >= minutes * 60.0
    return replace(state, calm_since=context.time) if idle else state


def _either(state: Renting, name: str, *, orphan: bool, **changes: object) -> Renting:
    """Change a rented node or an orphan."""
    if orphan:
        return replace(state, orphans=changed(state.orphans, name, **changes))
    return replace(state, nodes=changed(state.nodes, name, **changes))
