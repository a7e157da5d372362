"""What is rented, and what would be rented, drained or returned now, and why."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from ringrift.deciders.fleet import rented
from ringrift.deciders.fleet.offers import offers_of
from ringrift.deciders.fleet.renting import DECIDER
from ringrift.deciders.kit import Context
from ringrift.events import Settings, facts as f
from ringrift.log.blobs import Blobs
from ringrift.log.protocol import Log, Progress
from ringrift.log.read import facts
from ringrift.log.topology import EVENTS
from ringrift.runtime import folds
from ringrift.runtime.decide import DeciderRun, own_decisions

COLUMNS = ("node", "offer", "instance", ">cost/h", "state")
STEPS = {
    f.NodeRentRequested: "rent",
    f.NodeDrainRequested: "drain",
    f.NodeReturnRequested: "return",
}


class RentedNode(Struct, frozen=True, kw_only=True):
    """One node, or an orphan."""

    node: str
    offer: str
    instance: str
    cost_per_hour: float
    state: str

    @property
    def row(self) -> tuple[object, ...]:
        """The cells of a table with `COLUMNS`."""
        return self.node, self.offer, self.instance, f"{self.cost_per_hour:,.2f}", self.state


class Step(Struct, frozen=True, kw_only=True):
    """Something that would be decided now: to rent, drain or return a node."""

    do: str
    node: str
    why: str


class Plan(Struct, frozen=True, kw_only=True):
    """What is rented now, what it cost so far, and what would be done at the next tick.

    `holds` says why nothing more would be rented; empty if only the budget does."""

    nodes: list[RentedNode]
    cost_per_hour: float
    spent: float
    steps: list[Step]
    holds: str


async def plan_of(
    log: Log, now: datetime, settings: Settings | None = None, progress: Progress | None = None
) -> Plan:
    """The plan at a time under the settings in force, or under others."""
    start = await folds.newest(Blobs(log), log, DECIDER)
    run = DeciderRun(DECIDER, await own_decisions(log, DECIDER, start.seq), start)
    async for event, meta in facts(log, *run.types, after=start.seq, progress=progress):
        run.take(event, meta)
    in_force, tail = run.in_force, await log.tail(EVENTS)
    context = Context(
        seq=tail + 1,
        time=now,
        cause=None,
        author="",
        id="",
        settings=settings or in_force.settings,
        settings_version=in_force.settings_version,
        pauses=in_force.pauses,
    )
    state = run.state
    offers = offers_of(context.settings.renting, state.play)
    tick = f.TickRecorded(minute=int(now.timestamp()) // 60)
    shown = [_shown(name, node) for name, node in state.nodes.items()]
    return Plan(
        nodes=shown + [_shown(name, node, orphan=True) for name, node in state.orphans.items()],
        cost_per_hour=state.cost_per_hour,
        spent=state.spent,
        steps=[
            Step(do=STEPS[type(fact)], node=getattr(fact, "node", ""), why=getattr(fact, "why", ""))
            for fact in DECIDER.decide(state, tick, context)
        ],
        holds=rented.why_not(state, offers, context),
    )


def _shown(name: str, node: rented.Rented, *, orphan: bool = False) -> RentedNode:
    state = "running" if node.present else "absent" if node.seen else "booting"
    if orphan:
        state = "orphan: no rent of it is recorded"
    elif not node.instance:
        state = "asked for"
    elif node.returning:
        state = f"returning, {node.failures} failures" if node.failures else "returning"
    elif node.draining_since is not None:
        state = "draining"
    elif node.present and node.idle_seconds:
        state = f"idle for {node.idle_seconds / 60.0:,.0f} minutes"
    return RentedNode(
        node=name,
        offer=node.offer,
        instance=node.instance,
        cost_per_hour=node.cost_per_hour,
        state=state,
    )
