"""A run of a simulated fleet.

1. Facts go to the log; the deciders fold them and decide (`coordinator`).
2. The queue takes the requests, nodes take their assignments.
3. Free nodes take tickets; each ends at a time on the clock (`work`).
"""

from typing import get_args

from msgspec.structs import replace

from ringrift.cluster.fleet_file import FleetNode
from ringrift.consumers.clock import TICK_SECONDS
from ringrift.events import Draft, Fact, Settings
from ringrift.events.facts import (
    ConfigName,
    ModelAdopted,
    ModelPromoted,
    ModelRolledBack,
    NodeAssigned,
    SettingsChanged,
    TickRecorded,
)
from ringrift.events.settings import SchedulingSettings, SelfplaySettings, ShardSettings
from ringrift.events.tickets import SelfplayTicket
from ringrift.log.protocol import BATCH_EVENTS_MAX, Log
from ringrift.tools.simulation import outages, work, workload
from ringrift.tools.simulation.fault_plan import Fault
from ringrift.tools.simulation.fleet import Fleet, Sample
from ringrift.tools.simulation.rentals import Rentals

SAMPLE_SECONDS = 600.0


def settings_for(nodes: int) -> Settings:
    """The base settings of a simulation: every config, with generations and shards for a fleet that
    plays thousands of games per hour.

    With the default of 256 games it would measure a network for longer than it played. A fleet of
    hundreds also plays longer tickets, since a thousand nodes end one of five minutes three times a
    second."""
    times = max(1, nodes // 40)
    longer = min(times, 3)
    return Settings(
        configs=get_args(ConfigName),
        selfplay=SelfplaySettings(games=1024 * times, games_per_ticket=96 * longer),
        shard=ShardSettings(games=256 * times),
        scheduling=SchedulingSettings(ticket_seconds_ephemeral=300.0 * longer),
    )


FLEET_SETTINGS = settings_for(40)


def simulate(
    nodes: tuple[FleetNode, ...],
    settings: Settings,
    hours: float,
    *,
    seed: int,
    faults: tuple[Fault, ...] = (),
) -> Fleet:
    """Run a fleet for `hours` of virtual time."""
    fleet = Fleet(nodes, settings, hours, seed=seed, faults=faults)
    run = _Run(fleet)
    run.begin()
    end = hours * 3600.0
    while fleet.clock.step(end):
        run.settle()
    fleet.clock.seconds = end
    for node in fleet.nodes.values():
        node.settle(end)
    run.sample()
    return fleet


def unaware_of_cost(settings: Settings) -> Settings:
    """The settings without cost awareness."""
    scheduling: SchedulingSettings = replace(settings.scheduling, cost_aware=False)
    return replace(settings, scheduling=scheduling)


async def store(fleet: Fleet, log: Log) -> None:
    """Append the events of a run to an empty log."""
    drafts = [
        Draft(event=event, id=meta.id, cause=meta.cause, source=meta.source, time=meta.authored)
        for event, meta in fleet.log.events
    ]
    for first in range(0, len(drafts), BATCH_EVENTS_MAX):
        await log.append(drafts[first : first + BATCH_EVENTS_MAX])


class _Run:
    """The course of a run; `_seen` counts the events that queue and nodes have taken."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self._rentals = fleet, Rentals(fleet)
        self._seen = 0

    def begin(self) -> None:
        """Register the nodes, put the settings in force and start the clocks."""
        fleet = self.fleet
        for node in fleet.nodes.values():
            fleet.write(node.info.fact, key=node.name)
            outages.present(fleet, node)
            outages.expect_loss(fleet, node)
        self.settle()  # the nodes are known before there is work for them
        changed = SettingsChanged(version=1, settings=fleet.settings, why="simulation")
        fleet.write(changed, key=1)
        self._tick()
        self._sample_on()
        self._rentals.begin()
        for fault in fleet.faults:
            fleet.clock.call_later(fault.at_hours * 3600.0, outages.begin_fault, fleet, fault)
        self.settle()

    def settle(self) -> None:
        """Let deciders, queue and nodes react until nothing is new; then free nodes take work."""
        fleet = self.fleet
        while True:
            fleet.coordinator.catch_up()
            new = fleet.log.events[self._seen :]
            if not new:
                break
            for event, meta in new:
                fleet.queue.take_in(event, meta.position, meta.time)
                self._take_in(event)
                self._rentals.take_in(event, meta)
            self._seen += len(new)
        work.hand_out(fleet)

    def _take_in(self, event: Fact) -> None:
        fleet, books = self.fleet, self.fleet.books
        match event:
            case NodeAssigned():
                node = fleet.nodes[event.node]
                node.settle(fleet.clock.seconds)
                node.kinds = event.kinds
                if event.preempts and isinstance(node.ticket, SelfplayTicket):
                    fleet.queue.give_back(work.stop(fleet, node))
            case ModelAdopted():
                books.adopted[event.config] = event.model
            case ModelPromoted():
                books.current[event.config] = event.model
                if books.adopted.get(event.config) == event.model:
                    worth = workload.games_worth(event.config, books.strength[event.model])
                    books.learnt[event.config] = max(books.learnt[event.config], worth)
            case ModelRolledBack():
                books.current[event.config] = event.current

    def _tick(self) -> None:
        fleet = self.fleet
        if fleet.coordinator.up:
            minute = int(fleet.clock.timestamp) // TICK_SECONDS
            fleet.write(TickRecorded(minute=minute), key=minute, source="clock")
        fleet.clock.call_later(TICK_SECONDS, self._tick)

    def _sample_on(self) -> None:
        self.sample()
        self.fleet.clock.call_later(SAMPLE_SECONDS, self._sample_on)

    def sample(self) -> None:
        """Add a sample of the present."""
        fleet, books = self.fleet, self.fleet.books
        nodes = fleet.nodes.values()
        for node in nodes:
            node.settle(fleet.clock.seconds)
        elo = {config: books.strength[model] for config, model in books.current.items()}
        sample = Sample(
            hours=fleet.clock.seconds / 3600.0,
            games=dict(books.games),
            elo=elo,
            waiting={kind: fleet.queue.waiting(kind) for kind in work.FAILURES},
            kept_back=work.kept_back(fleet),
            stored=len(fleet.queue.stored),
            busy=sum(node.ticket is not None for node in nodes),
            rented=sum(node.rented for node in nodes),
            busy_seconds=sum(node.busy_seconds for node in nodes),
            paid_seconds=sum(node.paid_seconds for node in nodes),
            cost=sum(node.cost for node in nodes),
            reference_seconds=books.reference_seconds,
        )
        fleet.samples.append(sample)
