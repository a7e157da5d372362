"""The machines: what each is and does, who holds which role, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringrift.cluster.fleet_view import fleet_state
from ringrift.deciders.fleet.audits import Record
from ringrift.events import Recorded, facts as f
from ringrift.log import read
from ringrift.log.presence import Heartbeat, Machine
from ringrift.web.pages import shown, view_of
from ringrift.web.view import View

menu = "/fleet", "Fleet"


@dataclass
class Node:
    """A node: as the operator registered it or it described itself, and what runs on it."""

    name: str
    standing: str = "not seen"
    tier: str = ""
    machine: Machine | None = None
    registered: f.NodeRegistered | None = None
    assigned: f.NodeAssigned | None = None
    beats: list[Heartbeat] = field(default_factory=list)
    games_an_hour: float | None = None
    audits: Record = field(default_factory=Record)

    @property
    def roles(self) -> tuple[str, ...]:
        """Kinds of work that it takes now."""
        if self.assigned:
            return self.assigned.kinds
        if self.registered:
            return self.registered.kinds
        return self.machine.roles if self.machine else ()

    @property
    def hardware(self) -> str:
        """Accelerator, cores and memory."""
        parts = [self.registered.accelerator] if self.registered else []
        if self.machine:
            gpu = f"{self.machine.gpu} {self.machine.vram_bytes / 2**30:.0f} GiB"
            parts = [gpu] if self.machine.gpu else parts
            memory = f"{self.machine.memory_bytes / 2**30:.0f} GiB"
            parts += [f"{self.machine.cores} cores", memory]
        return ", ".join(parts)

    @property
    def price(self) -> float | None:
        """Cost of an hour, None if unknown."""
        if self.registered:
            return self.registered.cost_per_hour
        return self.machine.price_per_hour or None if self.machine else None

    @property
    def errors(self) -> int:
        """Errors that its running processes report."""
        return sum(beat.errors for beat in self.beats)


async def fleet(request: Request) -> Response:
    """Show the nodes, the processes, and the state of the cluster."""
    view = view_of(request)
    nodes, cluster = await nodes_of(view), view.cluster
    audits = [
        recorded
        for kind in (f.VerificationPassed, f.VerificationFailed)
        if (recorded := await read.latest(view.log, kind))
    ]
    return shown(
        request,
        "fleet.html",
        title="Fleet",
        nodes=nodes,
        beats=sorted(view.beats or (), key=lambda beat: (beat.consumer, beat.instance)),
        cluster=cluster,
        audits=sorted(audits, key=_seq, reverse=True),
        letters=len(view.fold.states["dead-letters"].unresolved),
        cost=sum(node.price or 0.0 for node in nodes if node.beats),
        priced=any(node.price is not None for node in nodes),
    )


async def nodes_of(view: View) -> list[Node]:
    """Return every node that is registered, present or missed, by name."""
    found: dict[str, Node] = {}

    def of(name: str) -> Node:
        return found.setdefault(name, Node(name))

    for name, node in (await fleet_state(view.log)).nodes.items():
        of(name).registered, of(name).assigned = node.registered, node.assignment
    for name, present in view.fold.states["nodes"].nodes.items():
        of(name).standing = present.standing
    for name, record in view.fold.states["audits"].nodes.items():
        of(name).audits = record
    for name, seen in view.cluster.nodes.items() if view.cluster else ():
        one = of(name)
        one.standing, one.tier, one.machine = seen.standing, seen.tier, seen.machine
    for beat in view.beats or ():
        one = of(beat.node)
        one.standing, one.machine = "present", beat.machine or one.machine
        one.beats.append(beat)
    for one in found.values():
        one.games_an_hour = view.games_an_hour_on(one.name)
    return [found[name] for name in sorted(found)]


def _seq(recorded: Recorded) -> int:
    return recorded.meta.seq


routes = [Route("/fleet", fleet)]
