"""Nodes that forge a share of their games, and the auditor that looks at all of them."""

from collections.abc import Iterator

from ringrift.events.facts import AuditFinished, NodeAudit, NodeQuarantined
from ringrift.events.tickets import SelfplayTicket
from ringrift.tools.simulation import workload
from ringrift.tools.simulation.fleet import Fleet
from ringrift.tools.simulation.nodes import SimulatedNode

FOUND = 0.4
"""share of the audited games that are found to be forged: that of copied games, the least of all
kinds (docs/promises.md)"""
SEARCHED = 0.8
"""decisions of a ply; forced plies are not searched"""
AUDITOR = "auditor"


def audit(fleet: Fleet, node: SimulatedNode, ticket: SelfplayTicket) -> None:
    """Record what the auditor finds of the games of a ticket, if the plan has liars."""
    liars = [fault for fault in fleet.faults if fault.what == "liars"]
    if not liars:
        return
    lies = [one for one in liars if one.on(fleet.clock.seconds) and node.name.startswith(one.name)]
    forged = max((one.share for one in lies), default=0.0)
    settings, draw, books = fleet.settings.audit, fleet.chance("audits"), fleet.books
    books.forged_among[node.name] += ticket.games if forged else 0
    look = settings.decisions * SEARCHED * workload.plies_of(ticket.plan.config)
    if books.audited[node.name] < settings.new_games:
        look *= settings.new_factor
    games = sum(draw.random() < look for _ in range(ticket.games))
    if not games:
        return
    books.audited[node.name] += games
    differing = sum(draw.random() < forged * FOUND for _ in range(games))
    last = books.sequence
    found = NodeAudit(
        node=node.name,
        first_seq=max(1, last - ticket.games + 1),
        games=games,
        decisions=games,
        differing=tuple(f"{ticket.ticket}-{number}" for number in range(differing)),
    )
    fact = AuditFinished(
        node=AUDITOR,
        head="EVENTS/1",
        first_seq=max(1, last - ticket.games + 1),
        last_seq=max(1, last),
        found=(found,),
        skipped=0,
        search_seconds=0.0,
    )
    fleet.write(fact, key=ticket.ticket, source=AUDITOR)


def convicted(fleet: Fleet) -> dict[str, float]:
    """The nodes that were quarantined, with the hours after which each was."""
    start = fleet.log.events[0].meta.time
    return {
        event.node: (meta.time - start).total_seconds() / 3600.0
        for event, meta in fleet.log.events
        if isinstance(event, NodeQuarantined)
    }


def liars(fleet: Fleet) -> Iterator[str]:
    """The nodes that lie according to the plan."""
    names = [fault.name for fault in fleet.faults if fault.what == "liars"]
    return (node for node in fleet.nodes if any(node.startswith(name) for name in names))
