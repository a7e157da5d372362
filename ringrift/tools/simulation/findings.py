"""The results of a simulation: sums, and which of the promised properties hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from ringrift.deciders.loop.selfplay import WAITING_MAX
from ringrift.events import Fact
from ringrift.events.facts import (
    AllocationDecided,
    CurriculumReweighted,
    DeadlockBroken,
    ExplorationAdjusted,
    LossAnomalyDetected,
    ModelPromoted,
    NodeAssigned,
    PromotionRejected,
    QualityAssessed,
    RegressionDetected,
    SelfplayFinished,
    SelfplayPlanned,
    TrainingRequested,
    VelocityChanged,
    WorkEscalated,
)
from ringrift.log.topology import WORK_TICKETS_MAX
from ringrift.tools.simulation import liars, rentals
from ringrift.tools.simulation.clock import START
from ringrift.tools.simulation.fault_plan import Fault
from ringrift.tools.simulation.fleet import Fleet
from ringrift.tools.simulation.promises import REACTION_SECONDS_MAX, Property, of_fleet, seconds_up

UTILISATION_MIN, BUSY_MIN = 0.85, 0.95
"""requirement G14.21, and what a fleet of at least `NODES_MIN` reaches beyond it"""
NODES_MIN = 40
SAVING_MIN = 0.15
"""Requirement G14.18 has 10 to 20 %."""
RECOVERY_HOURS_MAX = 8.0
"""From the end of a fault until every config has had a verdict on a network: less than twice a
generation of the largest board, of which ten end in two days at its share."""
CAUGHT_GAMES_MAX = 2_000
"""Of a node that forges a twentieth of its games."""
LOOPS: dict[str, tuple[type[Fact], type[Fact]]] = {
    "quality to training": (QualityAssessed, TrainingRequested),
    "velocity to self-play": (VelocityChanged, AllocationDecided),
    "regression to curriculum": (RegressionDetected, CurriculumReweighted),
    "loss anomaly to exploration": (LossAnomalyDetected, ExplorationAdjusted),
    "promotion to curriculum": (ModelPromoted, CurriculumReweighted),
    "promotion to self-play": (ModelPromoted, SelfplayPlanned),
}
"""By name: a fact, and the decision that names it as its cause."""


@dataclass(kw_only=True)
class Reaction:
    """The reactions of a loop: their number, and the median and longest time from cause to
    decision, in seconds."""

    loop: str
    answers: int
    seconds_p50: float
    seconds_max: float
    seconds_bound: float = REACTION_SECONDS_MAX


@dataclass(kw_only=True)
class Findings:
    """One run in numbers."""

    seed: int
    hours: float
    nodes: int
    events: int
    games: dict[str, int]
    elo: dict[str, float]
    verdicts: dict[str, int]
    utilisation: float
    wasted: float
    """Share of the busy time whose work was lost."""
    cost: float
    cost_per_reference_hour: float
    """Cost of games worth an hour of the reference accelerator: games of all configs, weighted by
    the time they take."""
    deepest_queue: int
    refused: int
    """Tickets that did not fit the queue and were kept until they did."""
    least_share: float
    """Share of the config with the fewest games."""
    saving: float | None
    """Share of the cost that cost awareness saves; None: not compared."""
    recovery_hours: float | None
    """The slowest recovery from a fault; None if no fault ended long enough before the end, or a
    config did not recover."""
    preempted: int
    aged: int
    deadlocks: int
    reactions: list[Reaction]
    properties: list[Property]

    @property
    def held(self) -> bool:
        """Whether every property that could be tested held."""
        return all(item.held is not False for item in self.properties)


def findings(fleet: Fleet, unaware: Fleet | None = None) -> Findings:
    """The findings of a run; `unaware` is the same run without cost awareness."""
    last, nodes, configs = fleet.samples[-1], list(fleet.nodes.values()), fleet.settings.configs
    facts = [event for event, _ in fleet.log.events]
    judged = [
        event.config for event in facts if isinstance(event, ModelPromoted | PromotionRejected)
    ]
    recoveries = [recovery(fleet, fault).hours for fault in fleet.faults if testable(fleet, fault)]
    recovered = [hours for hours in recoveries if hours is not None]
    busy = sum(node.busy_seconds for node in nodes)
    return Findings(
        seed=fleet.seed,
        hours=fleet.hours,
        nodes=len(nodes),
        events=len(facts),
        games={config: last.games.get(config, 0) for config in configs},
        elo={config: round(last.elo[config], 1) for config in configs if config in last.elo},
        verdicts={config: judged.count(config) for config in configs},
        utilisation=busy / max(last.paid_seconds, 1.0),
        wasted=sum(node.wasted_seconds for node in nodes) / max(busy, 1.0),
        cost=last.cost,
        cost_per_reference_hour=price(fleet),
        deepest_queue=fleet.queue.deepest,
        refused=fleet.queue.refused,
        least_share=_least(fleet)[1],
        saving=None if unaware is None else saving(fleet, unaware),
        recovery_hours=max(recovered) if recovered and recovered == recoveries else None,
        preempted=sum(isinstance(event, NodeAssigned) and event.preempts for event in facts),
        aged=sum(isinstance(event, WorkEscalated) for event in facts),
        deadlocks=sum(isinstance(event, DeadlockBroken) for event in facts),
        reactions=list(reactions(fleet)),
        properties=list(_properties(fleet, unaware)),
    )


def price(fleet: Fleet) -> float:
    """Cost of games worth an hour of the reference accelerator."""
    last = fleet.samples[-1]
    return last.cost / max(last.reference_seconds / 3600.0, 1e-9)


def saving(fleet: Fleet, unaware: Fleet) -> float:
    """Share of the price that cost awareness saves."""
    return 1.0 - price(fleet) / price(unaware)


def reactions(fleet: Fleet) -> Iterator[Reaction]:
    """The reactions of each loop, by the causes in the log. Time without deciders does not
    count."""
    events = {meta.position: (event, meta.time) for event, meta in fleet.log.events}
    for loop, (cause, answer) in LOOPS.items():
        times = []
        for event, meta in fleet.log.events:
            if not isinstance(event, answer) or meta.cause not in events:
                continue
            caused_by, since = events[meta.cause]
            if isinstance(caused_by, cause):
                times.append(seconds_up(fleet.faults, since, meta.time))
        yield Reaction(
            loop=loop,
            answers=len(times),
            seconds_p50=median(times) if times else 0.0,
            seconds_max=max(times, default=0.0),
        )


def _properties(fleet: Fleet, unaware: Fleet | None) -> Iterator[Property]:
    last = fleet.samples[-1]
    busy = last.busy_seconds / max(last.paid_seconds, 1.0)
    # with few nodes one may wait for a match of another; for hundreds there are too few tickets
    enough = NODES_MIN <= len(fleet.nodes) <= WAITING_MAX
    least = BUSY_MIN if enough else UTILISATION_MIN
    name = f"utilisation at least {least:.0%}"
    yield Property(name=name, held=busy >= least, found=f"{busy:.1%}")
    yield from of_fleet(fleet)
    yield from rentals.of_fleet(fleet)
    deepest = fleet.queue.deepest
    name = f"queue never above {WORK_TICKETS_MAX}"
    found = f"{deepest} tickets at most, {fleet.queue.refused} had to wait for room"
    yield Property(name=name, held=deepest <= WORK_TICKETS_MAX, found=found)
    if unaware is not None:
        saved = saving(fleet, unaware)
        name = f"at least {SAVING_MIN:.0%} cheaper than without cost awareness, at equal games"
        prices = f"{price(fleet):.3f} against {price(unaware):.3f} for an hour of reference play"
        yield Property(name=name, held=saved >= SAVING_MIN, found=f"{saved:.1%}: {prices}")
    for fault in fleet.faults:
        yield _recovered(fleet, fault)
    yield from _caught(fleet)
    for item in reactions(fleet):
        within = (
            f"half of them within {item.seconds_p50:.0f} s, all within {item.seconds_max:.0f} s"
        )
        yield Property(
            name=f"{item.loop} within {REACTION_SECONDS_MAX:.0f} s",
            held=item.seconds_max <= REACTION_SECONDS_MAX if item.answers else None,
            found=f"{item.answers} times, {within}",
        )
    differing = fleet.coordinator.differing()
    yield Property(
        name="every state is that of a replay of the log",
        held=not differing,
        found=", ".join(differing) or f"{len(fleet.coordinator.runs)} deciders",
    )


def _caught(fleet: Fleet) -> Iterator[Property]:
    """Every liar is quarantined within its first 2,000 games, and no other node is."""
    found, expected = liars.convicted(fleet), sorted(liars.liars(fleet))
    for node in expected:
        name, games = (
            f"{node} is caught within {CAUGHT_GAMES_MAX:,} games",
            fleet.books.forged_among[node],
        )
        if node in found:
            hours = f"after {games:,} games, {found[node]:.1f} h"
            yield Property(name=name, held=games <= CAUGHT_GAMES_MAX, found=hours)
        else:
            held = None if games <= CAUGHT_GAMES_MAX else False
            yield Property(name=name, held=held, found=f"not yet, after {games:,} games")
    if expected:
        innocent = sorted(found.keys() - {*expected})
        text = ", ".join(innocent) or f"{len(fleet.nodes) - len(expected)} honest nodes"
        yield Property(name="no honest node is quarantined", held=not innocent, found=text)


def _least(fleet: Fleet) -> tuple[str, float]:
    """The config with the fewest games, and its share of all."""
    games = {config: fleet.samples[-1].games.get(config, 0) for config in fleet.settings.configs}
    least = min(games, key=lambda config: games[config])
    return least, games[least] / max(sum(games.values()), 1)


@dataclass(kw_only=True)
class Recovery:
    """Hours from the end of a fault until every config played and had a verdict again, None if one
    did not in time; and the same in words."""

    hours: float | None
    why: str


def testable(fleet: Fleet, fault: Fault) -> bool:
    """Whether the run went on for long enough after a fault to see the recovery from it."""
    return fleet.hours - fault.at_hours - fault.hours >= RECOVERY_HOURS_MAX


def _recovered(fleet: Fleet, fault: Fault) -> Property:
    name = f"recovered from {fault.title}"
    if not testable(fleet, fault):
        return Property(name=name, held=None, found="too near the end of the run")
    found = recovery(fleet, fault)
    return Property(name=name, held=found.hours is not None, found=found.why)


def recovery(fleet: Fleet, fault: Fault) -> Recovery:
    """The recovery from a fault: after its end every config plays and judges networks again,
    without help."""
    ended, slowest = fault.at_hours + fault.hours, 0.0
    for kinds in ((SelfplayFinished,), (ModelPromoted, PromotionRejected)):
        first: dict[str, float] = {}
        for event, meta in fleet.log.events:
            after = (meta.time - START).total_seconds() / 3600.0 - ended
            if after >= 0.0 and isinstance(event, kinds):
                first.setdefault(event.config, after)
        times = {config: first.get(config, fleet.hours) for config in fleet.settings.configs}
        late = [config for config, hours in times.items() if hours > RECOVERY_HOURS_MAX]
        if late:
            missing = f"no {kinds[0].__name__} in {RECOVERY_HOURS_MAX:.0f} h"
            return Recovery(hours=None, why=f"{', '.join(late)}: {missing}")
        slowest = max(slowest, *first.values())
    return Recovery(hours=slowest, why=f"every config had a verdict {slowest:.1f} h later")
