"""The nodes of the fleet: what is known of each, whether it is there, and what it does and why; and
what the strength of each config costs on them."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from ringrift.deciders.fleet import costs
from ringrift.deciders.fleet.assignment import DECIDER, FleetView
from ringrift.deciders.fleet.placement import FleetNode
from ringrift.deciders.kit import Context
from ringrift.errors import CommandError
from ringrift.events import facts as f
from ringrift.log import read
from ringrift.log.protocol import Log

FOLDED = (
    *(f.NodeRegistered, f.NodeDescribed, f.NodeUnregistered, f.NodeForgotten),
    *(f.NodeReserved, f.ReservationEnded, f.NodePresenceChanged, f.NodeAssigned),
    *(f.BreakerOpened, f.BreakerEscalated, f.BreakerReset, f.NodeQuarantined, f.NodeReleased),
    *(f.NodeRented, f.NodeReturned, f.NodeDrainRequested, f.PreemptionNoticed),
)
COLUMNS = (
    *("node", "provider", "accelerator", ">VRAM", ">cost/h"),
    *("known", "seen", "runs", "does", "why", "reserved"),
)

COST_COLUMNS = (
    *("config", ">games", ">self-play h", ">training h", ">evaluation h", ">cost"),
    *(">Elo", ">Elo/h", ">Elo/node h", ">Elo/cost"),
)


class NodeInFleet(Struct, frozen=True, kw_only=True):
    """One node: `known` from the operator or from itself, `does` as it is assigned, None before
    that; a cost per hour in the operator's currency."""

    node: str
    provider: str
    accelerator: str
    vram_gib: float
    cost_per_hour: float
    speed: float
    ephemeral: bool
    known: str
    present: bool
    kinds: tuple[str, ...]
    does: tuple[str, ...] | None
    why: str
    reserved_for: tuple[str, ...]
    reserved_until_minute: int
    version: str
    """of its program, with the commit if it runs from a checkout"""

    @property
    def row(self) -> tuple[object, ...]:
        """The cells of a table with `COLUMNS`."""
        does = "all its processes do" if self.does is None else ", ".join(self.does) or "nothing"
        vram, cost = f"{self.vram_gib:g} GiB", f"{self.cost_per_hour:,.2f}"
        seen = "present" if self.present else "absent"
        cells = (self.node, self.provider, self.accelerator, vram, cost)
        return *cells, self.known, seen, self.version, does, self.why, ", ".join(self.reserved_for)


async def fleet_state(log: Log) -> FleetView:
    """The fleet as the decider of assignments sees it; durations are left out."""
    state = DECIDER.initial()
    async for event, meta in read.facts(log, *FOLDED):
        state = DECIDER.evolve(state, event, Context.of(meta))
    if (tick := await read.latest(log, f.TickRecorded)) is not None:
        state = DECIDER.evolve(state, tick.event, Context.of(tick.meta))
    return state


async def nodes_of(log: Log) -> list[NodeInFleet]:
    """Every node of the fleet, by name."""
    state = await fleet_state(log)
    updates = await read.latest_of_each(log, f.NodeUpdated)
    versions = {event.node: event.version for event, _ in updates}
    nodes = sorted(state.nodes.items())
    return [_shown(node, state.minute, versions.get(name, "")) for name, node in nodes]


async def node_of(log: Log, name: str) -> NodeInFleet:
    """One node. Raises CommandError if the fleet does not have it."""
    found = await nodes_of(log)
    node = next((one for one in found if one.node == name), None)
    if node is None:
        raise CommandError(f"{name} is not a node of the fleet: {_known(found)}")
    return node


def _known(nodes: Iterable[NodeInFleet]) -> str:
    names = ", ".join(node.node for node in nodes)
    return f"it has {names}" if names else "`ringrift fleet register FILE` registers nodes"


def _shown(node: FleetNode, minute: int, version: str) -> NodeInFleet:
    item, assigned = node.registered, node.assignment
    reserved = bool(item.reserved_for) and minute < item.reserved_until_minute
    return NodeInFleet(
        node=item.node,
        provider=item.provider,
        accelerator=item.accelerator,
        vram_gib=item.vram_gib,
        cost_per_hour=item.cost_per_hour,
        speed=item.speed,
        ephemeral=item.ephemeral,
        known="registered" if node.by_operator else "from itself",
        present=node.present,
        kinds=item.kinds,
        does=assigned.kinds if assigned else None,
        why=assigned.why if assigned else "",
        reserved_for=item.reserved_for if reserved else (),
        reserved_until_minute=item.reserved_until_minute if reserved else 0,
        version=version,
    )


class ConfigCosts(Struct, frozen=True, kw_only=True):
    """Hours of nodes and money that a config spent so far, in all and by kind of work, the Elo of
    its current network above the heuristic, and the Elo that it gained by the newest
    `EfficiencyMeasured`: an hour, an hour of a node, and a unit of currency. None: not measured, or
    its nodes cost nothing."""

    config: str
    games: int
    node_hours: dict[str, float]
    costs: dict[str, float]
    cost: float
    elo: float | None = None
    elo_per_hour: float | None = None
    elo_per_node_hour: float | None = None
    elo_per_cost: float | None = None

    @property
    def row(self) -> tuple[object, ...]:
        """The cells of a table with `COST_COLUMNS`."""
        kinds = ("selfplay", "training", "evaluation")
        hours = [f"{self.node_hours.get(kind, 0.0):,.2f}" for kind in kinds]
        gains = (self.elo, self.elo_per_hour, self.elo_per_node_hour, self.elo_per_cost)
        elo = ["-" if gain is None else f"{gain:,.1f}" for gain in gains]
        return self.config, self.games, *hours, f"{self.cost:,.2f}", *elo


async def costs_of(log: Log) -> list[ConfigCosts]:
    """What each config has cost, and gained for it, in the order of their names."""
    state = costs.DECIDER.initial()
    async for event, meta in read.facts(log, *costs.DECIDER.reads):
        state = costs.DECIDER.evolve(state, event, Context.of(meta))
    measured = {
        one.event.config: one.event for one in await read.latest_of_each(log, f.EfficiencyMeasured)
    }
    found = []
    for config, item in sorted(state.configs.items()):
        gain, spent = measured.get(config), item.spent
        one = ConfigCosts(
            config=config,
            games=spent["selfplay"].units if "selfplay" in spent else 0,
            node_hours={kind: part.node_seconds / 3600.0 for kind, part in spent.items()},
            costs={kind: part.cost for kind, part in spent.items()},
            cost=item.cost,
            elo=item.points[-1].elo if item.points else None,
            elo_per_hour=gain.elo_per_hour if gain else None,
            elo_per_node_hour=gain.elo_per_node_hour if gain else None,
            elo_per_cost=gain.elo_per_cost if gain else None,
        )
        found.append(one)
    return found
