"""What came of a simulation: sums, and which of the promised properties hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

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
from ringrift.tools.simulation.coordinator import START
from ringrift.tools.simulation.fault_plan import Fault
from ringrift.tools.simulation.world import World

UTILISATION_MIN = 0.85
"""requirement G14.21"""
SAVING_MIN = 0.15
"""requirement G14.18 has 10 to 20 %"""
RECOVERY_HOURS_MAX = 6.0
"""from the end of a fault until every config has had a verdict on a network: twice a slow
generation of the largest board"""
REACTION_SECONDS_MAX = 60.0
"""of each loop; what waits for time waits for a tick at most"""
LOOPS: dict[str, tuple[type[Fact], type[Fact]]] = {
    "quality to training": (QualityAssessed, TrainingRequested),
    "velocity to self-play": (VelocityChanged, AllocationDecided),
    "regression to curriculum": (RegressionDetected, CurriculumReweighted),
    "loss anomaly to exploration": (LossAnomalyDetected, ExplorationAdjusted),
    "promotion to curriculum": (ModelPromoted, CurriculumReweighted),
    "promotion to self-play": (ModelPromoted, SelfplayPlanned),
}
"""by name: what happens, and the decision that names it as its cause"""


@dataclass(kw_only=True)
class Reaction:
    """How a loop answered: how often, and the median and longest time from cause to answer, in
    seconds."""

    loop: str
    answers: int
    seconds_p50: float
    seconds_max: float
    seconds_bound: float = REACTION_SECONDS_MAX


@dataclass(kw_only=True)
class Property:
    """A promise, whether it held and what was found; None: it could not be tried in this run."""

    name: str
    held: bool | None
    found: str


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
    """share of the busy time whose work was lost"""
    cost: float
    cost_per_reference_hour: float
    """of games worth an hour of the reference accelerator: games of all configs, weighed by what
    they take"""
    deepest_queue: int
    refused: int
    """tickets that did not fit the queue and were kept until they did"""
    least_share: float
    """of the config with the fewest games"""
    saving: float | None
    """of the price, against a run without cost awareness; None: not compared"""
    recovery_hours: float | None
    """the slowest, of the faults that ended long enough before the end; None: a config did not
    recover, or no fault"""
    preempted: int
    aged: int
    deadlocks: int
    reactions: list[Reaction]
    properties: list[Property]

    @property
    def held(self) -> bool:
        """Whether every property that could be tried held."""
        return all(item.held is not False for item in self.properties)


def findings(world: World, *, seed: int, hours: float, unaware: World | None = None) -> Findings:
    """The findings of a world that has run; `unaware` is the same one without cost awareness."""
    last, nodes = world.samples[-1], list(world.nodes.values())
    recoveries = [recovery(world, fault, hours) for fault in world.faults if tried(fault, hours)]
    slowest = [item.hours for item in recoveries]
    facts = [event for event, _ in world.log.events]
    verdicts = [
        event.config for event in facts if isinstance(event, ModelPromoted | PromotionRejected)
    ]
    configs = world.settings.configs
    busy = sum(node.busy_seconds for node in nodes)
    return Findings(
        seed=seed,
        hours=hours,
        nodes=len(nodes),
        events=len(facts),
        games={config: last.games.get(config, 0) for config in configs},
        elo={config: round(last.elo[config], 1) for config in configs if config in last.elo},
        verdicts={config: verdicts.count(config) for config in configs},
        utilisation=busy / max(last.paid_seconds, 1.0),
        wasted=sum(node.wasted_seconds for node in nodes) / max(busy, 1.0),
        cost=last.cost,
        cost_per_reference_hour=price(world),
        deepest_queue=world.queue.deepest,
        refused=world.queue.refused,
        least_share=_least(world)[1],
        saving=None if unaware is None else saving(world, unaware),
        recovery_hours=None
        if None in slowest or not slowest
        else max(hours for hours in slowest if hours is not None),
        preempted=sum(isinstance(event, NodeAssigned) and event.preempts for event in facts),
        aged=sum(isinstance(event, WorkEscalated) for event in facts),
        deadlocks=sum(isinstance(event, DeadlockBroken) for event in facts),
        reactions=list(reactions(world)),
        properties=list(_properties(world, hours, unaware)),
    )


def price(world: World) -> float:
    """Cost of games worth an hour of the reference accelerator."""
    last = world.samples[-1]
    return last.cost / max(last.reference_seconds / 3600.0, 1e-9)


def saving(world: World, unaware: World) -> float:
    """Share of the price that cost awareness saves."""
    return 1.0 - price(world) / price(unaware)


def reactions(world: World) -> Iterator[Reaction]:
    """Each loop, by the causes in the log. An outage of the deciders does not count: nobody was
    there to answer."""
    by_position = {meta.position: (event, meta.time) for event, meta in world.log.events}
    for loop, (cause, answer) in LOOPS.items():
        times = [
            _seconds_up(world.faults, by_position[meta.cause][1], meta.time)
            for event, meta in world.log.events
            if isinstance(event, answer)
            and meta.cause in by_position
            and isinstance(by_position[meta.cause][0], cause)
        ]
        yield Reaction(
            loop=loop,
            answers=len(times),
            seconds_p50=median(times) if times else 0.0,
            seconds_max=max(times, default=0.0),
        )


def _seconds_up(faults: tuple[Fault, ...], begin: datetime, end: datetime) -> float:
    down = 0.0
    for fault in faults:
        if fault.what == "coordinator":
            since = START + timedelta(hours=fault.at_hours)
            until = since + timedelta(hours=fault.hours)
            down += max(0.0, (min(end, until) - max(begin, since)).total_seconds())
    return (end - begin).total_seconds() - down


def _properties(world: World, hours: float, unaware: World | None) -> Iterator[Property]:
    last, (least, share) = world.samples[-1], _least(world)
    floor = world.settings.scheduling.floor / len(world.settings.configs)
    yield Property(
        name=f"every config above its floor of {floor:.1%}",
        held=share >= floor,
        found=f"{least} has {share:.1%}",
    )
    busy = last.busy_seconds / max(last.paid_seconds, 1.0)
    yield Property(
        name=f"utilisation at least {UTILISATION_MIN:.0%}",
        held=busy >= UTILISATION_MIN,
        found=f"{busy:.1%}",
    )
    deepest = world.queue.deepest
    yield Property(
        name=f"queue never above {WORK_TICKETS_MAX}",
        held=deepest <= WORK_TICKETS_MAX,
        found=f"{deepest} tickets at most, {world.queue.refused} had to wait for room",
    )
    if unaware is not None:
        saved = saving(world, unaware)
        yield Property(
            name=f"at least {SAVING_MIN:.0%} cheaper than without cost awareness, at equal games",
            held=saved >= SAVING_MIN,
            found=f"{saved:.1%}: {price(world):.3f} against {price(unaware):.3f} for an hour of reference play",
        )
    for fault in world.faults:
        found = recovery(world, fault, hours) if tried(fault, hours) else None
        held = None if found is None else found.hours is not None
        why = "too near the end to tell" if found is None else found.why
        yield Property(name=f"recovered from {fault.title}", held=held, found=why)
    for item in reactions(world):
        yield Property(
            name=f"{item.loop} within {REACTION_SECONDS_MAX:.0f} s",
            held=item.seconds_max <= REACTION_SECONDS_MAX if item.answers else None,
            found=f"{item.answers} times, half of them within {item.seconds_p50:.0f} s, all within {item.seconds_max:.0f} s",
        )
    differing = world.coordinator.differing()
    yield Property(
        name="every state is that of a replay of the log",
        held=not differing,
        found=", ".join(differing) if differing else f"{len(world.coordinator.runs)} deciders",
    )


def _least(world: World) -> tuple[str, float]:
    """The config with the fewest games, and its share of all."""
    games = {config: world.samples[-1].games.get(config, 0) for config in world.settings.configs}
    least = min(games, key=lambda config: games[config])
    return least, games[least] / max(sum(games.values()), 1)


@dataclass(kw_only=True)
class Recovery:
    """Hours from the end of a fault until every config played and had a verdict again, None if one
    did not in time; in words."""

    hours: float | None
    why: str


def tried(fault: Fault, hours: float) -> bool:
    """Whether so long a run tells of the recovery from a fault."""
    return hours - fault.at_hours - fault.hours >= RECOVERY_HOURS_MAX


def recovery(world: World, fault: Fault, hours: float) -> Recovery:
    """Whether, after the end of a fault, every config plays and judges networks again, with
    nobody's help."""
    ended, slowest = fault.at_hours + fault.hours, 0.0
    for kinds in ((SelfplayFinished,), (ModelPromoted, PromotionRejected)):
        first: dict[str, float] = {}
        for event, meta in world.log.events:
            after = (meta.time - START).total_seconds() / 3600.0 - ended
            if after >= 0.0 and isinstance(event, kinds):
                first.setdefault(event.config, after)
        still = [
            config
            for config in world.settings.configs
            if first.get(config, hours) > RECOVERY_HOURS_MAX
        ]
        if still:
            return Recovery(
                hours=None,
                why=f"{', '.join(still)}: no {kinds[0].__name__} in {RECOVERY_HOURS_MAX:.0f} h",
            )
        slowest = max(slowest, *first.values())
    return Recovery(hours=slowest, why=f"every config had a verdict {slowest:.1f} h later")
