"""Which nodes are present? A node joins with its first heartbeat, and is suspected, degraded, then
lost as its silence grows (requirement G16.13).

A node that stood by when it fell silent was given back and is not missed, nor is one that was
returned to its provider, or that the operator forgot.

The monitor records when heartbeats begin and end (`NodePresenceChanged`). Time comes with every
event, so any fact moves the clock; a recorded tick does so in a quiet log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ringrift.deciders.kit import Context, Decider, Struct, replace
from ringrift.events import facts as f
from ringrift.events.settings import OperationSettings

Standing = Literal["present", "silent", "suspected", "degraded", "lost"]
_ORDER: tuple[Standing, ...] = ("present", "silent", "suspected", "degraded", "lost")
Missed = f.NodeSuspected | f.NodeDegraded | f.NodeLost
_FACTS: dict[Standing, type[Missed]] = {
    "suspected": f.NodeSuspected,
    "degraded": f.NodeDegraded,
    "lost": f.NodeLost,
}
_STANDINGS = {kind: standing for standing, kind in _FACTS.items()}


class Node(Struct, frozen=True, kw_only=True):
    """One node; `silent_since` in seconds since 1970, 0 while it is present."""

    standing: Standing
    silent_since: float = 0.0
    announced: bool = False
    """whether `NodeJoined` was recorded since it came"""
    returns: bool = False
    """whether it was suspected before it came"""
    stands_by: bool = False
    """whether it had no work to do while it was present"""


class Nodes(Struct, frozen=True, kw_only=True):
    """Every node that is present or missed, by name; `watched` are those about which time decides
    something: new, or silent and not lost."""

    nodes: dict[str, Node] = {}
    versions: dict[str, str] = {}
    """the program of each node that was ever seen"""
    watched: dict[str, bool] = {}

    def having(self, name: str, node: Node | None) -> Nodes:
        """With this node, or without one of this name."""
        nodes, watched = {**self.nodes}, {**self.watched}
        nodes.pop(name, None)
        watched.pop(name, None)
        if node is not None:
            nodes[name] = node
            if node.standing != "lost" and not (node.standing == "present" and node.announced):
                watched[name] = True
        return replace(self, nodes=nodes, watched=watched)


FOLDED = (
    *(f.NodePresenceChanged, f.NodeAssigned, f.NodeForgotten, f.NodeReturned),
    *(f.NodeJoined, f.NodeSuspected, f.NodeDegraded, f.NodeLost),
)
"""what changes the state; other facts only move the clock"""
DECIDER = Decider("nodes", Nodes)


@DECIDER.evolves
def observed(state: Nodes, fact: f.NodePresenceChanged, context: Context) -> Nodes:
    before = state.nodes.get(fact.node)
    if fact.present:
        missed = before is not None and before.standing in _FACTS
        announced = before is not None and before.announced and not missed
        node = Node(standing="present", announced=announced, returns=missed)
        return state.having(fact.node, node)
    if fact.left or before is None or before.stands_by:  # stopped in an orderly way, or given back
        return state.having(fact.node, None)
    since = context.time.timestamp() - fact.silent_seconds
    return state.having(fact.node, replace(before, standing="silent", silent_since=since))


@DECIDER.evolves
def assigned(state: Nodes, fact: f.NodeAssigned) -> Nodes:
    node = state.nodes.get(fact.node)
    if node is None or node.standing != "present":
        return state
    return state.having(fact.node, replace(node, stands_by=not fact.kinds))


@DECIDER.evolves
def forgotten(state: Nodes, fact: f.NodeForgotten | f.NodeReturned) -> Nodes:
    node = state.nodes.get(fact.node)
    present = node is not None and node.standing == "present"
    if present and isinstance(fact, f.NodeForgotten):
        return state
    versions = {name: one for name, one in state.versions.items() if name != fact.node}
    return replace(state.having(fact.node, None), versions=versions)


@DECIDER.evolves
def joined(state: Nodes, fact: f.NodeJoined) -> Nodes:
    node = state.nodes.get(fact.node)
    return state.having(fact.node, node and replace(node, announced=True, returns=False))


@DECIDER.evolves
def missed(state: Nodes, fact: Missed) -> Nodes:
    node, standing = state.nodes.get(fact.node), _STANDINGS[type(fact)]
    return state.having(fact.node, node and replace(node, standing=standing))


@DECIDER.evolves
def updated(state: Nodes, fact: f.NodeUpdated) -> Nodes:
    return replace(state, versions={**state.versions, fact.node: fact.version})


@DECIDER.decides
def update(state: Nodes, fact: f.NodeDescribed) -> Iterator[f.NodeUpdated]:
    """Record which program a node runs, whether `ringrift update` or a person changed it."""
    previous = state.versions.get(fact.node, "")
    if fact.version != previous:
        yield f.NodeUpdated(node=fact.node, version=fact.version, previous=previous)


@DECIDER.decides
def judge(state: Nodes, fact: f.Fact, context: Context) -> Iterator[f.NodeJoined | Missed]:
    """Announce new nodes, and raise the standing of every node whose silence calls for it."""
    now = context.time.timestamp()
    for name in state.watched:
        node = state.nodes[name]
        if node.standing == "present":
            yield f.NodeJoined(node=name, rejoined=node.returns)
            continue
        silent = min(now - node.silent_since, f.VALUE_MAX)
        due = standing_after(silent, context.settings.operation)
        if _ORDER.index(due) > _ORDER.index(node.standing):
            yield _FACTS[due](node=name, silent_seconds=silent)


def standing_after(silent_seconds: float, settings: OperationSettings) -> Standing:
    """The standing of a node after a silence."""
    if silent_seconds >= settings.node_lost_seconds:
        return "lost"
    if silent_seconds >= settings.node_degraded_seconds:
        return "degraded"
    return "suspected" if silent_seconds >= settings.node_suspected_seconds else "silent"
