"""Which node does what? Every node of the fleet is assigned kinds of work
(`ringrift.deciders.fleet.placement`), and may be taken for a training.

A training that waits too long takes another node from self-play, until no training has waited for
a while; trainers play too while no training waits.

The fleet are the nodes that the operator registered, and those that name a provider or a price
themselves. Others are assigned nothing and take the work of their processes: a laptop, a small
cluster. Only nodes with a heartbeat count, so that one that never started, left, drains or
vanished keeps no work from the others. One that goes at a known time gets no work that most of its
kind would not have ended by then. A quarantined node counts neither: it keeps one kind of work, so
that a probe can end its quarantine, unless an audit quarantined it."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

from ringrift.deciders.fleet.breaker import node_target
from ringrift.deciders.fleet.durations import Durations
from ringrift.deciders.fleet.placement import Alike, Fleet, FleetNode, Kinds, Placed
from ringrift.deciders.kit import Context, Decider, Struct, changed, noted, replace
from ringrift.events import Settings, facts as f

OWN = "own"
"""provider of a node that names none"""


class FleetView(Struct, frozen=True, kw_only=True):
    """The nodes by name, the duration of work, and since when the training of a config waits."""

    nodes: dict[str, FleetNode] = {}
    joined: dict[str, bool] = {}
    """nodes that are present, of the fleet or not"""
    broken: dict[str, datetime] = {}
    """when the breakers that are open were opened, by target"""
    quarantined: tuple[str, ...] = ()
    """nodes that an audit quarantined"""
    rented: tuple[str, ...] = ()
    play: Durations = Durations()
    trainings: Durations = Durations()
    matches: Durations = Durations()
    waiting: dict[str, datetime] = {}
    trainers: tuple[str, ...] = ()
    """nodes that train, longest first"""
    taken_at: datetime | None = None
    """when a node was last taken from what it played"""
    minute: int = 0
    tickets: dict[str, tuple[str, ...]] = {}
    """with an outcome, by config"""


DECIDER = Decider("fleet", FleetView)
DECIDER.keeps(f.TickRecorded, minute=lambda fact: fact.minute)


@DECIDER.evolves
def registered(state: FleetView, fact: f.NodeRegistered) -> FleetView:
    new = FleetNode(registered=fact, present=fact.node in state.joined)
    node = replace(state.nodes.get(fact.node, new), registered=fact, by_operator=True)
    return replace(state, nodes={**state.nodes, fact.node: node})


@DECIDER.evolves
def described(state: FleetView, fact: f.NodeDescribed) -> FleetView:
    said = f.NodeRegistered(
        node=fact.node,
        provider=fact.provider,
        accelerator=fact.accelerator,
        vram_gib=fact.vram_gib,
        cost_per_hour=fact.cost_per_hour,
        kinds=fact.kinds,
    )
    known = state.nodes.get(fact.node)
    if known is None and not (fact.rented and fact.kinds):
        return state
    node = known or FleetNode(registered=said, present=fact.node in state.joined)
    until, kinds = node.registered.reserved_until_minute, node.registered.reserved_for
    kept = replace(said, reserved_for=kinds, reserved_until_minute=until)
    node = replace(node, described=said, registered=node.registered if node.by_operator else kept)
    return replace(state, nodes={**state.nodes, fact.node: node})


@DECIDER.evolves
def unregistered(state: FleetView, fact: f.NodeUnregistered) -> FleetView:
    node = state.nodes.get(fact.node)
    if node is None:
        return state
    # nothing is known of a node that says nothing, so it may do all and costs nothing
    unknown = f.NodeRegistered(
        node=fact.node,
        provider=OWN,
        accelerator=node.registered.accelerator,
        vram_gib=0.0,
        cost_per_hour=0.0,
    )
    nodes = changed(state.nodes, fact.node, registered=node.described or unknown, by_operator=False)
    return replace(state, nodes=nodes)


@DECIDER.evolves
def rented(state: FleetView, fact: f.NodeRented) -> FleetView:
    return replace(state, rented=(*state.rented, fact.node))


@DECIDER.evolves
def forgotten(state: FleetView, fact: f.NodeForgotten | f.NodeReturned) -> FleetView:
    if isinstance(fact, f.NodeForgotten) and fact.node in state.joined:
        return state
    nodes = {name: node for name, node in state.nodes.items() if name != fact.node}
    return replace(state, nodes=nodes, rented=tuple(n for n in state.rented if n != fact.node))


@DECIDER.evolves
def reserved(state: FleetView, fact: f.NodeReserved | f.ReservationEnded) -> FleetView:
    node = state.nodes.get(fact.node)
    if node is None:
        return state
    item = replace(node.registered, reserved_for=(), reserved_until_minute=0)
    if isinstance(fact, f.NodeReserved):
        item = replace(item, reserved_for=fact.kinds, reserved_until_minute=fact.until_minute)
    return replace(state, nodes=changed(state.nodes, fact.node, registered=item))


@DECIDER.evolves
def seen(state: FleetView, fact: f.NodePresenceChanged) -> FleetView:
    joined = {**state.joined, fact.node: True}
    if not fact.present:
        del joined[fact.node]
    nodes = changed(state.nodes, fact.node, present=fact.present)
    return replace(state, nodes=nodes, joined=joined)


@DECIDER.evolves
def leaves(state: FleetView, fact: f.NodeDrainRequested | f.PreemptionNoticed) -> FleetView:
    """A node that drains gets no work until it comes back."""
    return replace(state, nodes=changed(state.nodes, fact.node, present=False))


@DECIDER.evolves
def broke(
    state: FleetView, fact: f.BreakerOpened | f.BreakerEscalated | f.BreakerReset, context: Context
) -> FleetView:
    # those that expired leave no fact
    oldest = context.time - timedelta(hours=context.settings.operation.breaker_hours)
    broken = {
        target: at for target, at in state.broken.items() if target != fact.target and at > oldest
    }
    if not isinstance(fact, f.BreakerReset):
        broken[fact.target] = context.time
    return replace(state, broken=broken)


@DECIDER.evolves
def quarantined(state: FleetView, fact: f.NodeQuarantined | f.NodeReleased) -> FleetView:
    names = tuple(name for name in state.quarantined if name != fact.node)
    imposed = (fact.node,) if isinstance(fact, f.NodeQuarantined) else ()
    return replace(state, quarantined=names + imposed)


@DECIDER.evolves
def worked(
    state: FleetView, fact: f.SelfplayFinished | f.TrainingFinished | f.EvaluationScored
) -> FleetView:
    known = state.tickets.get(fact.config, ())
    if fact.ticket in known:
        return state
    worker = state.nodes.get(fact.node)
    pair = fact.config, worker.registered.accelerator if worker else "other"
    state = replace(state, tickets={**state.tickets, fact.config: noted(known, fact.ticket)})
    if isinstance(fact, f.SelfplayFinished):
        return replace(state, play=state.play.after(*pair, fact.games, fact.play_seconds))
    if isinstance(fact, f.TrainingFinished):
        return replace(state, trainings=state.trainings.after(*pair, 1, fact.train_seconds))
    return replace(state, matches=state.matches.after(*pair, 1, fact.play_seconds))


@DECIDER.evolves
def training_requested(state: FleetView, fact: f.TrainingRequested, context: Context) -> FleetView:
    new = {fact.config: context.time} if not fact.within else {}
    return replace(state, waiting=state.waiting | new)


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
    | f.FleetChange
    | f.NodePresenceChanged
    | f.NodeQuarantined
    | f.NodeReleased
    | f.TickRecorded,
    context: Context,
) -> Iterator[f.NodeAssigned]:
    """Assign what is new, after a change of the fleet and every minute."""
    if not state.nodes:
        return
    if isinstance(fact, f.NodeRegistered) and not state.nodes[fact.node].present:
        # the others do not change, and a thousand are registered before the first is there
        state = replace(state, nodes={fact.node: state.nodes[fact.node]})
    (fleet, others), settings = fleet_of(state, context), context.settings.scheduling
    taken, trainers = _preempted(state, fleet, context), _still_training(state, context)
    placed = fleet.assign((*trainers, taken) if taken else trainers, enough(context.settings))
    wanted: dict[str, tuple[Kinds, str]] = {}
    for group, names, kinds, why in (*others, *placed):
        current, seconds = group.node.assignment, group.node.ticket_seconds(settings)
        if current and current.preempts and group.node.present and state.waiting:
            continue  # until the training runs on it
        if current is None or (current.kinds, current.ticket_seconds) != (kinds, seconds):
            wanted |= dict.fromkeys(names, (kinds, why))
    if taken:
        wanted[taken] = ("training",), "a training has waited for too long"
    # those that do not count come first
    left_out = {name for _, names, *_ in others for name in names}
    for name in sorted(filter(wanted.get, state.nodes), key=lambda name: name not in left_out):
        kinds, why = wanted[name]
        yield f.NodeAssigned(
            node=name,
            kinds=kinds,
            ticket_seconds=state.nodes[name].ticket_seconds(settings),
            preempts=name == taken,
            settings_version=context.settings_version,
            why=why,
        )


def fleet_of(state: FleetView, context: Context) -> tuple[Fleet, list[Placed]]:
    """The nodes that count, by sort, and what the others do: absent and quarantined ones."""
    settings, scheduling = context.settings, context.settings.scheduling
    marks = dict.fromkeys(state.rented, "rented") | dict.fromkeys(_sick(state, context), "sick")
    marks |= dict.fromkeys(state.quarantined, "quarantined")
    names_of = defaultdict[str, list[str]](list)
    for name, node in state.nodes.items():
        names_of[node.sort + marks.get(name, "")].append(name)
    groups, others = list[Alike](), list[Placed]()
    slowness = cache(state.play.slowness)
    for names in names_of.values():
        node, mark = state.nodes[names[0]], marks.get(names[0], "")
        allowed, rented = node.allowed(state.minute, scheduling), mark == "rented"
        late = _too_late(state, node, rented, settings)
        group = Alike(
            node=node,
            names=names,
            allowed=tuple(kind for kind in allowed if kind not in late),
            slowness=slowness(node.registered.accelerator, node.registered.speed),
            reserved=bool(node.reserved(state.minute)),
            rented=rented,
            late=late,
        )
        if mark == "quarantined" or not node.present:
            others.append((group, names, (), mark if mark == "quarantined" else "absent"))
        elif mark == "sick":
            probe = ("selfplay",) if "selfplay" in allowed else allowed[:1]
            others.append((group, names, probe, "quarantined: it takes only probes"))
        else:
            groups.append(group)
    return Fleet(groups, scheduling), others


def _too_late(state: FleetView, node: FleetNode, rented: bool, settings: Settings) -> Kinds:
    """The kinds of work that most nodes like this one would not end before it goes, if that is
    known: what is rented is returned at the deadline."""
    ends = settings.renting.ends() if rented else None
    at = node.registered.leaves_at_minute or (int(ends.timestamp()) // 60 if ends else 0)
    if not at:
        return ()
    sort, left = (node.registered.accelerator, node.registered.speed), 60.0 * (at - state.minute)
    needs: dict[f.WorkKind, float] = {
        "training": state.trainings.longest(*sort),
        "evaluation": state.matches.longest(*sort),
        "selfplay": node.ticket_seconds(settings.scheduling),
    }
    return tuple(kind for kind, seconds in needs.items() if seconds > left)


def _sick(state: FleetView, context: Context) -> list[str]:
    """The nodes whose breaker is open."""
    oldest = context.time - timedelta(hours=context.settings.operation.breaker_hours)
    targets = {target for target, at in state.broken.items() if at > oldest}
    return [name for name in state.nodes if node_target(name) in targets] if targets else []


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
    worth = (
        (group.node.registered.ephemeral, group.cost, name)
        for group in fleet.groups
        for name in group.names
        if "training" in group.allowed and name not in state.trainers
    )
    return min(worth, default=(False, 0.0, None))[-1]


def _taken_within(state: FleetView, context: Context, seconds: float) -> bool:
    return state.taken_at is not None and (context.time - state.taken_at).total_seconds() < seconds
