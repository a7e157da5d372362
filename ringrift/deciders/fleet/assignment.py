"""Which node does what? Every registered node has kinds of work, by what a game on it costs and who
waits.

    reserved    the kinds that the operator reserved it for, until then training    one node for
    every few configs: not ephemeral and not slow if possible, then the cheapest preemption  a
    training that waits too long takes another node from what it plays, until none has waited for a
    while stand-by    a node on which a game costs much more than on the fleet as a whole; somebody
    may give it back the rest    evaluates and plays, a slow one only plays; trainers do so too
    while no training waits

Nodes that were never registered are not assigned anything and take whatever their processes are
for: a laptop, a small cluster. A node that is suspected to be gone is left out, and back when it
is."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.fleet.durations import Durations
from ringrift.deciders.kit import Classic, Context, changed
from ringrift.events import Fact, Settings
from ringrift.events.facts import (
    NodeAssigned,
    NodeJoined,
    NodeRegistered,
    NodeSuspected,
    SelfplayFinished,
    SettingsChanged,
    TickRecorded,
    TrainingCheckpointed,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    TrainingStarted,
    TrainingTimedOut,
    WorkKind,
)

Kinds = tuple[WorkKind, ...]
STANDBY: Kinds = ()
HYSTERESIS = 0.85
"""a node that trains counts as so much cheaper, and one that stands by must be so far below the
bound: speeds are estimates"""


class FleetNode(Struct, frozen=True, kw_only=True):
    """A registered node: what the operator says of it, whether it is there, what it was told
    last."""

    registered: NodeRegistered
    present: bool = True
    told: NodeAssigned | None = None


class FleetState(Struct, frozen=True, kw_only=True):
    """Settings in force, the nodes by name, what work takes, and the trainings that wait for a
    node, by config."""

    settings: Settings = Settings(configs=())
    version: int = 0
    nodes: dict[str, FleetNode] = {}
    play: Durations = Durations()
    waiting: dict[str, datetime] = {}
    trainers: tuple[str, ...] = ()
    """who trains, longest first"""
    taken_at: datetime | None = None
    """when a node was last taken from what it played"""
    minute: int = 0


def evolve(state: FleetState, event: Fact, meta: Context) -> FleetState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings, version=event.version)
        case NodeRegistered():
            known = state.nodes.get(event.node)
            node = replace(known, registered=event) if known else FleetNode(registered=event)
            return replace(state, nodes={**state.nodes, event.node: node})
        case NodeSuspected() | NodeJoined():
            return _with(state, event.node, present=isinstance(event, NodeJoined))
        case SelfplayFinished():
            player = state.nodes.get(event.node)
            accelerator = player.registered.accelerator if player else "other"
            return replace(
                state,
                play=state.play.after(event.config, accelerator, event.games, event.play_seconds),
            )
        case TrainingRequested():
            return replace(state, waiting={**state.waiting, event.config: meta.time})
        case (
            TrainingStarted()
            | TrainingCheckpointed()
            | TrainingFinished()
            | TrainingFailed()
            | TrainingTimedOut()
        ):
            if event.config not in state.waiting:
                return state
            return replace(
                state,
                waiting={name: at for name, at in state.waiting.items() if name != event.config},
            )
        case TickRecorded():
            return replace(state, minute=event.minute)
        case NodeAssigned():
            return _told(state, event, meta)
    return state


def _told(state: FleetState, event: NodeAssigned, meta: Context) -> FleetState:
    others = tuple(name for name in state.trainers if name != event.node)
    trainers = (*others, event.node) if "training" in event.kinds else others
    trainers = (
        state.trainers if event.node in state.trainers and "training" in event.kinds else trainers
    )
    state = replace(
        state, trainers=trainers, taken_at=meta.time if event.preempts else state.taken_at
    )
    return _with(state, event.node, told=event)


def decide(state: FleetState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """What is new for which node: when the fleet changes, and every minute."""
    if not state.nodes or not isinstance(
        event, SettingsChanged | NodeRegistered | NodeSuspected | NodeJoined | TickRecorded
    ):
        return ()
    taken, trainers = _preempted(state, meta.time), _still_training(state, meta.time)
    wanted = assign(state, (*trainers, taken) if taken else trainers)
    settings = state.settings.scheduling
    found = []
    for name, (kinds, why) in wanted.items():
        node = state.nodes[name]
        if node.told is not None and node.told.preempts and node.present and state.waiting:
            continue  # until the training is on it
        kinds = ("training",) if name == taken else kinds
        seconds = (
            settings.ticket_seconds_ephemeral
            if node.registered.ephemeral
            else settings.ticket_seconds
        )
        if (
            node.told is None
            or (node.told.kinds, node.told.ticket_seconds) != (kinds, seconds)
            or name == taken
        ):
            found.append(
                NodeAssigned(
                    node=name,
                    kinds=kinds,
                    ticket_seconds=seconds,
                    preempts=name == taken,
                    settings_version=state.version,
                    why="a training has waited for too long" if name == taken else why,
                )
            )
    return tuple(found)


def assign(state: FleetState, trainers: tuple[str, ...]) -> dict[str, tuple[Kinds, str]]:
    """Kinds and the reason, of every node; those in `trainers` go on training if they may."""
    settings = state.settings.scheduling
    allowed = {
        name: _allowed(node, state.minute) for name, node in state.nodes.items() if node.present
    }
    absent = {
        name: (STANDBY, "not there") for name, node in state.nodes.items() if not node.present
    }
    if not settings.cost_aware:
        return absent | {name: (kinds, "whatever it may do") for name, kinds in allowed.items()}
    slowness = slownesses(state)
    training = _trainers(state, allowed, trainers, slowness)
    dear, slow = _dear(state, allowed, slowness, training), _slow(state, allowed, slowness)
    return absent | {
        name: (STANDBY, dear[name])
        if name in dear
        else _kinds(kinds, name in training, name in slow, state.nodes[name])
        for name, kinds in allowed.items()
    }


def _kinds(allowed: Kinds, trains: bool, slow: bool, node: FleetNode) -> tuple[Kinds, str]:
    kinds = tuple(
        kind
        for kind in allowed
        if (trains or kind != "training") and not (slow and kind == "evaluation")
    )
    if trains:
        return kinds, "trains first"
    if slow:
        return kinds, "plays; matches would take too long"
    return (
        kinds,
        "plays" if kinds else f"may only train, as {node.registered.accelerator} nodes enough do",
    )


def _slow(state: FleetState, allowed: dict[str, Kinds], slowness: dict[str, float]) -> set[str]:
    """Nodes that play and evaluate and should only play; none where nobody would be left to
    evaluate."""
    able = {name for name, kinds in allowed.items() if "evaluation" in kinds}

    def bound(name: str) -> float:
        told = state.nodes[name].told
        only_plays = (
            told is not None and "selfplay" in told.kinds and "evaluation" not in told.kinds
        )
        return state.settings.scheduling.evaluator_slowness_max * (
            HYSTERESIS if only_plays else 1.0
        )

    slow = {name for name in able if slowness[name] > bound(name)}
    reserved = {name for name in slow if allowed[name] != state.nodes[name].registered.kinds}
    return (
        {name for name in slow - reserved if "selfplay" in allowed[name]} if able > slow else set()
    )


def _allowed(node: FleetNode, minute: int) -> Kinds:
    item = node.registered
    return (
        item.reserved_for
        if item.reserved_for and minute < item.reserved_until_minute
        else item.kinds
    )


def slownesses(state: FleetState) -> dict[str, float]:
    """What a game takes on every node, against the fleet's time for a game; times cost an hour it
    is what a game costs there."""
    sorts = {
        name: (node.registered.accelerator, node.registered.speed)
        for name, node in state.nodes.items()
    }
    found = {sort: state.play.slowness(*sort) for sort in set(sorts.values())}
    return {name: found[sort] for name, sort in sorts.items()}


def _trainers(
    state: FleetState,
    allowed: dict[str, Kinds],
    before: tuple[str, ...],
    slowness: dict[str, float],
) -> set[str]:
    """Who trains: those that may do nothing else, and the best of the others until there are
    enough, and as many as before: not ephemeral, not slow, cheap (one that trains already by a
    margin), by name."""
    able = [name for name, kinds in allowed.items() if "training" in kinds]
    kept = {name for name in before if name in able}
    only = {name for name in able if allowed[name] == ("training",)}
    wanted = max(enough(state.settings), len(kept | only))

    def worth(name: str) -> tuple[bool, bool, float, str]:
        item, margin = state.nodes[name].registered, HYSTERESIS if name in kept else 1.0
        slow = slowness[name] * margin > state.settings.scheduling.trainer_slowness_max
        return item.ephemeral, slow, item.cost_per_hour * slowness[name] * margin, name

    return only | set(sorted(set(able) - only, key=worth)[: max(0, wanted - len(only))])


def enough(settings: Settings) -> int:
    """Nodes that train while no training waits for too long."""
    return max(1, -(-len(settings.configs) // settings.scheduling.configs_per_trainer))


def _still_training(state: FleetState, now: datetime) -> tuple[str, ...]:
    """Who trains, without those that were taken for trainings that waited, once that is a while
    ago."""
    taken = (
        state.taken_at is not None
        and (now - state.taken_at).total_seconds() < state.settings.scheduling.release_seconds
    )
    return state.trainers if taken or state.waiting else state.trainers[: enough(state.settings)]


def _dear(
    state: FleetState, allowed: dict[str, Kinds], slowness: dict[str, float], training: set[str]
) -> dict[str, str]:
    """Nodes on which a game costs too much, and why; those that cost nothing, train or are reserved
    never do."""
    play = [name for name, kinds in allowed.items() if "selfplay" in kinds]
    if not play:
        return {}
    nodes = state.nodes
    mean = sum(nodes[name].registered.cost_per_hour for name in play) / sum(
        1.0 / slowness[name] for name in play
    )
    found = {}
    for name in play:
        told = nodes[name].told
        bound = state.settings.scheduling.cost_ratio_max * (
            HYSTERESIS if told is not None and told.kinds == STANDBY else 1.0
        )
        ratio = nodes[name].registered.cost_per_hour * slowness[name] / mean if mean else 0.0
        if name not in training and allowed[name] == nodes[name].registered.kinds and ratio > bound:
            found[name] = f"a game costs {ratio:.1f} times the fleet's mean"
    return found


def _preempted(state: FleetState, now: datetime) -> str | None:
    """The node to take for a training that has waited for too long: the cheapest that may train and
    does not."""
    settings = state.settings.scheduling
    late = any(
        (now - since).total_seconds() >= settings.preempt_seconds
        for since in state.waiting.values()
    )
    just = (
        state.taken_at is not None
        and (now - state.taken_at).total_seconds() < settings.preempt_seconds
    )
    if not late or just or not settings.cost_aware:
        return None
    able = [
        name
        for name, node in state.nodes.items()
        if node.present
        and name not in state.trainers
        and "training" in _allowed(node, state.minute)
    ]
    slowness = slownesses(state)

    def worth(name: str) -> tuple[bool, float, str]:
        item = state.nodes[name].registered
        return item.ephemeral, item.cost_per_hour * slowness[name], name

    return min(able, key=worth, default=None)


def _with(state: FleetState, name: str, **changes: object) -> FleetState:
    return replace(state, nodes=changed(state.nodes, name, **changes))


DECIDER = Classic(
    name="fleet",
    state=FleetState,
    reads=(
        SettingsChanged,
        NodeRegistered,
        NodeSuspected,
        NodeJoined,
        SelfplayFinished,
        TrainingRequested,
        TrainingStarted,
        TrainingCheckpointed,
        TrainingFinished,
        TrainingFailed,
        TrainingTimedOut,
        TickRecorded,
    ),
    writes=(NodeAssigned,),
    initial=FleetState,
    evolve=evolve,
    decide=decide,
)
