"""A modelled provider, from which the fleet rents by its decisions, and the promises about that.

It refuses some rents, some of its nodes never start, and it takes nodes away after a notice. It is
there only if the settings have offers; then use is sampled too, as the monitor does."""

from collections.abc import Iterator
from datetime import datetime

from ringrift.cluster.fleet_file import FleetNode
from ringrift.deciders.fleet.offers import offers_of
from ringrift.events import EventMeta, Fact, facts as f
from ringrift.runtime.usage import SAMPLE_SECONDS
from ringrift.tools.simulation import outages, work
from ringrift.tools.simulation.fleet import Fleet
from ringrift.tools.simulation.nodes import SimulatedNode
from ringrift.tools.simulation.promises import REACTION_SECONDS_MAX, Property

HOOK_SECONDS = 5.0
BOOT_SECONDS = (120.0, 420.0)
REFUSED, DEAD = 0.1, 0.05
"""share of the rents that are refused, and of the nodes that never start"""
PREEMPTED_EVERY_HOURS = 12.0
NOTICE_SECONDS = 120.0
CORES = 8
IDLE_SLACK_SECONDS = 300.0
"""besides `idle_minutes`: samples and ticks come every minute, and a node that is about to be
returned may find a ticket"""


class Rentals:
    """What the provider of a fleet runs."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._draw = fleet, fleet.chance("provider")
        self._busy: dict[str, float] = {}
        """seconds that each node had worked at the last sample"""
        self._lives: dict[str, str] = {}
        """what is rented under each name; names are used again"""

    def begin(self) -> None:
        """Begin to sample, if anything can be rented."""
        if self._fleet.settings.renting.offers:
            self._fleet.clock.call_later(SAMPLE_SECONDS, self._sample)

    def take_in(self, event: Fact, meta: EventMeta) -> None:
        """Carry out a request."""
        fleet = self._fleet
        match event:
            case f.NodeRentRequested():
                fleet.clock.call_later(HOOK_SECONDS, self._rent, event, meta.position)
            case f.NodeReturnRequested():
                fleet.clock.call_later(HOOK_SECONDS, self._take_back, event, meta.position)
            case f.NodeDrainRequested() if event.node in self._lives:
                self._leaves(fleet.nodes[event.node], event.seconds)

    def _rent(self, asked: f.NodeRentRequested, cause: str) -> None:
        fleet, draw = self._fleet, self._draw
        if draw.random() < REFUSED:
            refused = f.NodeRentFailed(node=asked.node, offer=asked.offer, reason="none is free")
            fleet.write(refused, cause=cause, source="renter")
            return
        rented = f.NodeRented(
            node=asked.node,
            offer=asked.offer,
            instance=f"i-{cause}",
            cost_per_hour=asked.cost_per_hour,
        )
        fleet.write(rented, cause=cause, source="renter")
        if draw.random() >= DEAD:
            fleet.clock.call_later(draw.uniform(*BOOT_SECONDS), self._boots, asked)

    def _boots(self, asked: f.NodeRentRequested) -> None:
        fleet, offer = self._fleet, offers_of(self._fleet.settings.renting)[asked.offer]
        info = FleetNode(
            name=asked.node,
            provider="market",
            accelerator=asked.offer,
            vram_gib=offer.vram,
            cost_per_hour=asked.cost_per_hour,
            speed=offer.speed,
            training_speed=offer.speed,
            ephemeral=True,
        )
        node = fleet.nodes.setdefault(asked.node, SimulatedNode(info=info))
        node.info, node.up, node.settled_at = info, True, fleet.clock.seconds
        if node.ticket is None:
            fleet.idle[node.name] = node
        life = f"{node.name}.{fleet.clock.seconds:.3f}"
        self._lives[node.name] = life
        said = f.NodeDescribed(
            node=node.name,
            provider=info.provider,
            accelerator=info.accelerator,
            gpus=1,
            cores=CORES,
            vram_gib=info.vram_gib,
            cost_per_hour=info.cost_per_hour,
            kinds=info.kinds,
            rented=True,
            version="1",
        )
        fleet.write(said, key=life, source="monitor")
        outages.present(fleet, node)
        seconds = self._draw.expovariate(1.0 / (PREEMPTED_EVERY_HOURS * 3600.0))
        fleet.clock.call_later(seconds, self._preempt, node, life)

    def _preempt(self, node: SimulatedNode, life: str) -> None:
        if node.up and self._lives[node.name] == life:
            notice = f.PreemptionNoticed(node=node.name, seconds=NOTICE_SECONDS, source="command")
            self._fleet.write(notice, key=life, source="node")
            self._leaves(node, NOTICE_SECONDS)

    def _leaves(self, node: SimulatedNode, seconds: float) -> None:
        """The node takes no more tickets; it leaves once it has none, or after this time."""
        node.settle(self._fleet.clock.seconds)
        node.kinds = ()
        self._left(node, self._fleet.clock.seconds + seconds, self._lives[node.name])

    def _left(self, node: SimulatedNode, until: float, life: str) -> None:
        fleet = self._fleet
        if not node.up or self._lives[node.name] != life:
            return
        if node.ticket is not None and fleet.clock.seconds < until:
            fleet.clock.call_later(1.0, self._left, node, until, life)
            return
        if node.ticket is not None:
            fleet.queue.give_back(work.stop(fleet, node))
        node.settle(fleet.clock.seconds)
        node.up = False
        left = f.NodePresenceChanged(
            node=node.name, present=False, left=True, silent_seconds=0.0, processes=0
        )
        fleet.write(left, key=f"{self._lives[node.name]}.left", source="monitor")

    def _take_back(self, asked: f.NodeReturnRequested, cause: str) -> None:
        fleet = self._fleet
        if asked.node in self._lives and (node := fleet.nodes[asked.node]).up:
            self._left(node, fleet.clock.seconds, self._lives[node.name])
        back = f.NodeReturned(node=asked.node, instance=asked.instance, asked=True)
        fleet.write(back, cause=cause, source="renter")

    def _sample(self) -> None:
        fleet, nodes = self._fleet, {}
        for name, node in fleet.nodes.items():
            if not node.up:
                continue
            node.settle(fleet.clock.seconds)
            worked = node.busy_seconds - self._busy.get(name, 0.0)
            self._busy[name] = node.busy_seconds
            idle = max(0.0, SAMPLE_SECONDS - worked) * CORES
            nodes[name] = f.NodeUse(
                cores=CORES,
                players=1,
                busy={"work": worked * CORES},
                waited={"a-ticket" if node.kinds else "other-work": idle},
            )
        if fleet.coordinator.up and nodes:
            sample = f.UtilisationSampled(seconds=SAMPLE_SECONDS, nodes=nodes)
            fleet.write(sample, key=f"{fleet.clock.seconds:.0f}", source="monitor")
        fleet.clock.call_later(SAMPLE_SECONDS, self._sample)


def of_fleet(fleet: Fleet) -> Iterator[Property]:
    """The promises about renting, if anything can be rented."""
    if fleet.settings.renting.offers:
        yield _idle(fleet)
        yield _budget(fleet)
        yield _preempted(fleet)


def _idle(fleet: Fleet) -> Property:
    """Whether rented nodes that have no work are returned in time."""
    rented: dict[str, float] = {}
    longest, who = 0.0, "no node"
    for event, _ in fleet.log.events:
        match event:
            case f.NodeRented():
                rented[event.node] = 0.0
            case f.NodeReturnRequested() | f.NodeDrainRequested():
                rented.pop(event.node, None)
            case f.UtilisationSampled():
                for name in rented.keys() & event.nodes.keys():
                    works = sum(event.nodes[name].busy.values()) > 0.0
                    rented[name] = 0.0 if works else rented[name] + event.seconds
                    if rented[name] > longest:
                        longest, who = rented[name], name
    bound = fleet.settings.renting.idle_minutes * 60.0 + IDLE_SLACK_SECONDS
    name = f"no rented node is idle for more than {bound / 60:.0f} minutes"
    return Property(name=name, held=longest <= bound, found=f"{longest / 60:.0f} minutes: {who}")


def _budget(fleet: Fleet) -> Property:
    """Whether what is rented never costs more than the budget per hour, nor in all."""
    settings, prices = fleet.settings.renting, dict[str, float]()
    highest, spent, before = 0.0, 0.0, fleet.log.events[0].meta.time
    for event, meta in fleet.log.events:
        passed, before = (meta.time - before).total_seconds(), meta.time
        spent += sum(prices.values()) * passed / 3600.0
        if isinstance(event, f.NodeRented):
            prices[event.node] = event.cost_per_hour
        elif isinstance(event, f.NodeReturned):
            prices.pop(event.node, None)
        highest = max(highest, sum(prices.values()))
    # nodes are drained when the budget is spent, at the next tick
    slack = settings.budget_per_hour * (settings.drain_seconds + 2 * REACTION_SECONDS_MAX) / 3600.0
    held = highest <= settings.budget_per_hour + 1e-6
    held &= not settings.budget or spent <= settings.budget + slack
    rented = sum(isinstance(event, f.NodeRented) for event, _ in fleet.log.events)
    found = f"{highest:.2f} per hour at most, {spent:.2f} in all, {rented} nodes rented"
    name = f"rented nodes cost no more than {settings.budget_per_hour:g} per hour"
    return Property(
        name=name + (f" and {settings.budget:g} in all" if settings.budget else ""),
        held=held,
        found=found,
    )


def _preempted(fleet: Fleet) -> Property:
    """Whether a node that is taken away works no more after its notice, and its tickets go on."""
    noticed: dict[str, datetime] = {}
    late, slowest = "", 0.0
    for event, meta in fleet.log.events:
        node = getattr(event, "node", "")
        match event:
            case f.PreemptionNoticed():
                noticed[node] = meta.time
            case f.NodePresenceChanged(present=False) if node in noticed:
                seconds = (meta.time - noticed[node]).total_seconds()
                slowest = max(slowest, seconds)
            case f.NodeAssigned() if node in noticed and event.kinds:
                late = f"{node} was given work after its notice"
            case f.SelfplayFinished() | f.TrainingFinished() | f.EvaluationScored():
                since = noticed.get(node)
                if since and (meta.time - since).total_seconds() > NOTICE_SECONDS:
                    late = f"{node} worked after its notice"
    held = None if not noticed else not late and slowest <= NOTICE_SECONDS
    found = late or f"{len(noticed)} nodes, all within {slowest:.0f} s"
    name = f"preempted nodes drain within their {NOTICE_SECONDS:.0f} s"
    return Property(name=name, held=held, found=found)
