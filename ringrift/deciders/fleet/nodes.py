"""Which nodes are there? Joined at the first heartbeat; suspected, degraded, lost as their silence
grows (requirement G16.13).

The monitor records when heartbeats begin and end (`NodePresenceChanged`), that is all it may
observe. Time comes with every event, so any fact moves the clock and a recorded tick does so in a
quiet log."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ringrift.deciders.kit import Classic, Context, changed
from ringrift.events import REGISTRY, Fact
from ringrift.events.facts import (
    NodeDegraded,
    NodeJoined,
    NodeLost,
    NodePresenceChanged,
    NodeSuspected,
    SettingsChanged,
)
from ringrift.events.settings import OperationSettings

Standing = Literal["there", "silent", "suspected", "degraded", "lost"]
_ORDER: tuple[Standing, ...] = ("there", "silent", "suspected", "degraded", "lost")
WRITES = (NodeJoined, NodeSuspected, NodeDegraded, NodeLost)
_FACTS = {"suspected": NodeSuspected, "degraded": NodeDegraded, "lost": NodeLost}


class Node(Struct, frozen=True, kw_only=True):
    """One node; `silent_since` in seconds since 1970, 0 while it is there."""

    standing: Standing
    silent_since: float = 0.0
    announced: bool = False
    """whether `NodeJoined` has been said of it since it came"""
    returns: bool = False
    """whether it had been suspected before it came"""


class NodesState(Struct, frozen=True, kw_only=True):
    """Every node that is there or missed."""

    settings: OperationSettings = OperationSettings()
    nodes: dict[str, Node] = {}


def evolve(state: NodesState, event: Fact, meta: Context) -> NodesState:
    """Take in one fact."""
    match event:
        case SettingsChanged():
            return replace(state, settings=event.settings.operation)
        case NodePresenceChanged():
            return _observed(state, event, meta.time.timestamp())
        case NodeJoined():
            return _with(state, event.node, announced=True, returns=False)
        case NodeSuspected():
            return _with(state, event.node, standing="suspected")
        case NodeDegraded():
            return _with(state, event.node, standing="degraded")
        case NodeLost():
            return _with(state, event.node, standing="lost")
    return state


def decide(state: NodesState, event: Fact, meta: Context) -> tuple[Fact, ...]:
    """Every node whose standing is not what its silence makes it by now."""
    now = meta.time.timestamp()
    found: list[Fact] = []
    for name, node in state.nodes.items():
        if node.standing == "there":
            if not node.announced:
                found.append(NodeJoined(node=name, rejoined=node.returns))
            continue
        silent = now - node.silent_since
        due = standing_after(silent, state.settings)
        if _ORDER.index(due) > _ORDER.index(node.standing):
            found.append(_FACTS[due](node=name, silent_seconds=silent))
    return tuple(found)


def standing_after(silent_seconds: float, settings: OperationSettings) -> Standing:
    """What a node is after so long a silence."""
    if silent_seconds >= settings.node_lost_seconds:
        return "lost"
    if silent_seconds >= settings.node_degraded_seconds:
        return "degraded"
    return "suspected" if silent_seconds >= settings.node_suspected_seconds else "silent"


def _observed(state: NodesState, event: NodePresenceChanged, now: float) -> NodesState:
    others = {name: node for name, node in state.nodes.items() if name != event.node}
    before = state.nodes.get(event.node)
    if event.present:
        missed = before is not None and before.standing in _FACTS
        announced = before is not None and before.announced and not missed
        return replace(
            state,
            nodes={
                **others,
                event.node: Node(standing="there", announced=announced, returns=missed),
            },
        )
    if event.left or before is None:
        return replace(state, nodes=others)
    return _with(state, event.node, standing="silent", silent_since=now - event.silent_seconds)


def _with(state: NodesState, name: str, **changes: object) -> NodesState:
    return replace(state, nodes=changed(state.nodes, name, **changes))


DECIDER = Classic(
    name="nodes",
    state=NodesState,
    reads=tuple(
        kind.fact_type
        for kind in REGISTRY.values()
        if kind.stream == "EVENTS" and kind.fact_type not in WRITES
    ),
    writes=WRITES,
    initial=NodesState,
    evolve=evolve,
    decide=decide,
)
