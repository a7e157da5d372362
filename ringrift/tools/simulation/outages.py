"""Losses of nodes, and the faults of a plan."""

from ringrift.events.facts import NodePresenceChanged
from ringrift.log.topology import NODE_SECONDS, WORK_ACK_SECONDS
from ringrift.tools.simulation.fault_plan import Fault
from ringrift.tools.simulation.fleet import Fleet
from ringrift.tools.simulation.nodes import SimulatedNode
from ringrift.tools.simulation.work import stop


def present(fleet: Fleet, node: SimulatedNode, silent_seconds: float = 0) -> None:
    """Record the presence of a node, as the monitor does."""
    fact = NodePresenceChanged(
        node=node.name, present=node.up, left=False, silent_seconds=silent_seconds, processes=3
    )
    fleet.write(fact, key=f"{node.name}.{fleet.clock.seconds:.3f}", source="monitor")


def expect_loss(fleet: Fleet, node: SimulatedNode, after: float = 0.0) -> None:
    """Schedule the next loss of a node, at least `after` seconds from now."""
    chance = fleet.chance("nodes")
    gap = chance.expovariate(1.0 / (node.info.lost_every_hours * 3600.0))
    seconds = chance.expovariate(1.0 / (node.info.lost_minutes * 60.0))
    fleet.clock.call_later(after + gap, _lose, fleet, node, seconds)


def _lose(fleet: Fleet, node: SimulatedNode, seconds: float) -> None:
    """Lose the node for this time. Its ticket is delivered again once it has been silent for the
    time that a worker may be."""
    if node.up:
        node.settle(fleet.clock.seconds)
        if node.ticket is not None:
            fleet.clock.call_later(WORK_ACK_SECONDS, fleet.queue.give_back, stop(fleet, node))
        node.up = False
        fleet.clock.call_later(min(NODE_SECONDS, seconds), _missed, fleet, node)
        fleet.clock.call_later(seconds, _returns, fleet, node)
    expect_loss(fleet, node, seconds)


def _missed(fleet: Fleet, node: SimulatedNode) -> None:
    if not node.up:
        present(fleet, node, NODE_SECONDS)


def _returns(fleet: Fleet, node: SimulatedNode) -> None:
    node.settle(fleet.clock.seconds)
    node.up = True
    present(fleet, node)


def begin_fault(fleet: Fleet, fault: Fault) -> None:
    """Begin a fault. Those that change how work ends are looked up by `Fleet.suffers` instead."""
    seconds = fault.hours * 3600.0
    if fault.what == "nodes":
        for node in fleet.nodes.values():
            if node.name.startswith(fault.name):
                _lose(fleet, node, seconds)
    elif fault.what == "coordinator":
        fleet.coordinator.up = False
        fleet.clock.call_later(seconds, fleet.coordinator.restart)
    elif fault.what == "queue":
        held = {node.ticket.ticket for node in fleet.nodes.values() if node.ticket is not None}
        fleet.queue.lose(held)
        fleet.clock.call_later(seconds, fleet.queue.restore)
