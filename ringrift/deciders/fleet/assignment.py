"""Which node does what? Every registered node is assigned kinds of work
(`ringrift.deciders.fleet.placement`), and may be taken for a training.

A training that waits too long takes another node from self-play, until no training has waited for
a while; trainers play too while no training waits.

A node that was registered and does not start is left out after the silence that makes a node
suspected. Nodes that were never registered are assigned nothing and take the work of their
processes: a laptop, a small cluster. A suspected node is left out until it returns, a quarantined
one until it is released."""

from collections.abc import Iterator
from datetime import datetime

from ringrift.deciders.fleet.durations import Durations
from ringrift.deciders.fleet.placement import Fleet, FleetNode
from ringrift.deciders.kit import Context, Decider, Struct, changed, noted, replace
from ringrift.events import Settings, facts as f

TICKET_SECONDS_MIN = 1.0
"""shorter tickets spend their time on the queue"""


class FleetView(Struct, frozen=True, kw_only=True):
    """The nodes by name, the duration of work, and since when the training of a config waits."""

    nodes: dict[str, FleetNode] = {}
    joined: tuple[str, ...] = ()
    """nodes that are present, registered or not"""
    quarantined: tuple[str, ...] = ()
    play: Durations = Durations()
    waiting: dict[str, datetime] = {}
    trainers: tuple[str, ...] = ()
    """nodes that train, longest first"""
    taken_at: datetime | None = None
    """when a node was last taken from what it played"""
    minute: int = 0
    tickets: dict[str, tuple[str, ...]] = {}
    """of self-play with an outcome, by config"""


DECIDER = Decider("fleet", FleetView)
DECIDER.keeps(f.TickRecorded, minute=lambda fact: fact.minute)


@DECIDER.evolves
def registered(state: FleetView, fact: f.NodeRegistered, context: Context) -> FleetView:
    known = state.nodes.get(fact.node)
    awaited_since = None if fact.node in state.joined else context.time
    new = FleetNode(registered=fact, awaited_since=awaited_since)
    node = replace(known, registered=fact) if known else new
    return replace(state, nodes={**state.nodes, fact.node: node})


@DECIDER.evolves
def seen(state: FleetView, fact: f.NodeSuspected | f.NodeJoined) -> FleetView:
    present = isinstance(fact, f.NodeJoined)
    joined = tuple(name for name in state.joined if name != fact.node)
    if present:
        joined = (*joined, fact.node)
    nodes = changed(state.nodes, fact.node, present=present, awaited_since=None)
    return replace(state, nodes=nodes, joined=joined)


@DECIDER.evolves
def awaited(state: FleetView, fact: f.TickRecorded, context: Context) -> FleetView:
    # a node that was registered and never started would keep work from those that run
    patience = context.settings.operation.node_suspected_seconds
    missing = {
        name: replace(node, present=False, awaited_since=None)
        for name, node in state.nodes.items()
        if node.awaited_since and (context.time - node.awaited_since).total_seconds() > patience
    }
    return replace(state, nodes=state.nodes | missing) if missing else state


@DECIDER.evolves
def quarantined(state: FleetView, fact: f.NodeQuarantined | f.NodeReleased) -> FleetView:
    names = tuple(name for name in state.quarantined if name != fact.node)
    imposed = (fact.node,) if isinstance(fact, f.NodeQuarantined) else ()
    return replace(state, quarantined=names + imposed)


@DECIDER.evolves
def played(state: FleetView, fact: f.SelfplayFinished) -> FleetView:
    known = state.tickets.get(fact.config, ())
    if fact.ticket in known:
        return state
    player = state.nodes.get(fact.node)
    accelerator = player.registered.accelerator if player else "other"
    play = state.play.after(fact.config, accelerator, fact.games, fact.play_seconds)
    tickets = {**state.tickets, fact.config: noted(known, fact.ticket)}
    return replace(state, play=play, tickets=tickets)


@DECIDER.evolves
def training_requested(state: FleetView, fact: f.TrainingRequested, context: Context) -> FleetView:
    return replace(state, waiting={**state.waiting, fact.config: context.time})


@DECIDER.evolves
def training_taken(
    state: FleetView, fact: f.TrainingStarted | f.TrainingCheckpointed | f.TrainingEnded
) -> FleetView:
    waiting = {name: at for name, at in state.waiting.items() if name != fact.config}
    return replace(state, waiting=waiting) if fact.config in state.waiting else state


@DECIDER.evolves
def assigned(state: FleetView, fact: f.NodeAssigned, context: Context) -> FleetView:
    # trainers keep their order, so that those taken last are released first
    trains, trainers = "training" in fact.kinds, state.trainers
    if trains and fact.node not in trainers:
        trainers = (*trainers, fact.node)
    elif not trains:
        trainers = tuple(name for name in trainers if name != fact.node)
    taken_at = context.time if fact.preempts else state.taken_at
    nodes = changed(state.nodes, fact.node, assignment=fact)
    return replace(state, trainers=trainers, taken_at=taken_at, nodes=nodes)


@DECIDER.decides
def assign(
    state: FleetView,
    fact: f.SettingsChanged
    | f.NodeRegistered
    | f.NodeSuspected
    | f.NodeJoined
    | f.NodeQuarantined
    | f.NodeReleased
    | f.TickRecorded,
    context: Context,
) -> Iterator[f.NodeAssigned]:
    """Assign what is new, after a change of the fleet and every minute."""
    if not state.nodes:
        return
    fleet, settings = fleet_of(state, context.settings), context.settings.scheduling
    taken = _preempted(state, fleet, context)
    trainers = _still_training(state, context)
    wanted = fleet.assign((*trainers, taken) if taken else trainers, enough(context.settings))
    for name, (kinds, why) in wanted.items():
        node, current = state.nodes[name], state.nodes[name].assignment
        if current is not None and current.preempts and node.present and state.waiting:
            continue  # until the training runs on it
        if name in state.quarantined:
            why = "quarantined"
        if name == taken:
            kinds, why = ("training",), "a training has waited for too long"
        seconds = settings.ticket_seconds
        if node.registered.ephemeral:
            seconds = settings.ticket_seconds_ephemeral
        seconds = min(max(seconds, TICKET_SECONDS_MIN), f.VALUE_MAX)
        same = current is not None and (current.kinds, current.ticket_seconds) == (kinds, seconds)
        if name == taken or not same:
            yield f.NodeAssigned(
                node=name,
                kinds=kinds,
                ticket_seconds=seconds,
                preempts=name == taken,
                settings_version=context.settings_version,
                why=why,
            )


def fleet_of(state: FleetView, settings: Settings) -> Fleet:
    """The fleet as placement needs it."""
    nodes = state.nodes
    sorts = {
        name: (item.registered.accelerator, item.registered.speed) for name, item in nodes.items()
    }
    found = {sort: state.play.slowness(*sort) for sort in set(sorts.values())}
    return Fleet(
        nodes=nodes,
        allowed={
            name: node.allowed(state.minute)
            for name, node in nodes.items()
            if node.present and name not in state.quarantined
        },
        slowness={name: found[sort] for name, sort in sorts.items()},
        settings=settings.scheduling,
    )


def enough(settings: Settings) -> int:
    """Nodes that train while no training waits for too long."""
    return max(1, -(-len(settings.configs) // settings.scheduling.configs_per_trainer))


def _still_training(state: FleetView, context: Context) -> tuple[str, ...]:
    """Nodes that go on training. Those that were taken for waiting trainings are released after a
    while."""
    kept_seconds = context.settings.scheduling.release_seconds
    if state.waiting or _taken_within(state, context, kept_seconds):
        return state.trainers
    return state.trainers[: enough(context.settings)]


def _preempted(state: FleetView, fleet: Fleet, context: Context) -> str | None:
    """The node to take for a training that has waited for too long: the cheapest one that may train
    and does not."""
    settings = context.settings.scheduling
    waits = ((context.time - since).total_seconds() for since in state.waiting.values())
    late = any(seconds >= settings.preempt_seconds for seconds in waits)
    just_taken = _taken_within(state, context, settings.preempt_seconds)
    if not late or just_taken or not settings.cost_aware:
        return None
    able = {name for name, kinds in fleet.allowed.items() if "training" in kinds}

    def worth(name: str) -> tuple[bool, float, str]:
        item = state.nodes[name].registered
        return item.ephemeral, item.cost_per_hour * fleet.slowness[name], name

    return min(able.difference(state.trainers), key=worth, default=None)


def _taken_within(state: FleetView, context: Context, seconds: float) -> bool:
    return state.taken_at is not None and (context.time - state.taken_at).total_seconds() < seconds
