"""Promises about a fleet that its log shows: self-play follows shares, absent nodes lose their
work, and configs that always fail get no games."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ringrift.events.facts import (
    AllocationDecided,
    NodeAssigned,
    NodePresenceChanged,
    SelfplayFinished,
    SelfplayPlanned,
    SelfplayRestored,
    SelfplaySuspended,
    TickRecorded,
    TrainingFailed,
    TrainingFinished,
)
from ringrift.tools.simulation.clock import START
from ringrift.tools.simulation.fault_plan import Fault
from ringrift.tools.simulation.fleet import Fleet

REACTION_SECONDS_MAX = 60.0
"""Of each loop; decisions that wait for time wait for a tick at most."""
FOLLOWS_MIN = 0.3
"""Least part of its share of the time of self-play that a config gets in an hour. In 16 h it was
85 %, in two days with every fault 77 % (seed 1)."""


@dataclass(kw_only=True)
class Property:
    """A promise, whether it held, and the evidence; `held` is None if this run could not test
    it."""

    name: str
    held: bool | None
    found: str


def of_fleet(fleet: Fleet) -> Iterator[Property]:
    """Each promise of this module, and whether the run kept it."""
    yield _follows(fleet)
    yield _absent(fleet)
    yield _suspended(fleet)
    yield _served(fleet)


def _served(fleet: Fleet) -> Property:
    """Whether tickets wait for their turn in two samples in a row though a node is free for them.
    Samples while the queue or the deciders were down do not count."""
    down = [fault for fault in fleet.faults if fault.what in ("coordinator", "queue")]
    before: dict[str, int] = {}
    found, times = "never", 0
    for sample in fleet.samples:
        kept = sample.kept_back
        if any(fault.on(sample.hours * 3600.0) for fault in down):
            kept = {}
        for kind in sorted(kept.keys() & before.keys()):
            times += 1
            found = f"{times} times, last {kept[kind]} of {kind} at {sample.hours:.1f} h"
        before = kept
    name = "no ticket is kept back for ten minutes while a node is free for it"
    return Property(name=name, held=not times, found=found)


def seconds_up(faults: tuple[Fault, ...], begin: datetime, end: datetime) -> float:
    """Seconds between two moments during which the deciders ran."""
    down = 0.0
    for fault in faults:
        if fault.what == "coordinator":
            since = START + timedelta(hours=fault.at_hours)
            until = since + timedelta(hours=fault.hours)
            down += max(0.0, (min(end, until) - max(begin, since)).total_seconds())
    return (end - begin).total_seconds() - down


def _hour(time: datetime) -> int:
    return int((time - START).total_seconds() // 3600)


def _follows(fleet: Fleet) -> Property:
    """Whether self-play of each hour follows the shares that were decided for it. A suspended
    config has none, and hours in which the deciders or nodes were down do not count."""
    played: dict[int, dict[str, float]] = {}
    shares: dict[int, list[dict[str, float]]] = {}
    out: set[tuple[int, str]] = set()
    suspended: set[str] = set()
    for event, meta in fleet.log.events:
        hour = _hour(meta.time)
        out |= {(hour, config) for config in suspended}
        if isinstance(event, SelfplayFinished):
            seconds = event.play_seconds * fleet.nodes[event.node].info.speed
            now = played.setdefault(hour, {})
            now[event.config] = now.get(event.config, 0.0) + seconds
        elif isinstance(event, AllocationDecided):
            shares.setdefault(hour, []).append(event.shares)
        elif isinstance(event, SelfplaySuspended):
            suspended.add(event.config)
        elif isinstance(event, SelfplayRestored):
            suspended.discard(event.config)
    down = {
        hour
        for fault in fleet.faults
        if fault.what in ("coordinator", "nodes", "queue")
        for hour in range(int(fault.at_hours), int(fault.at_hours + fault.hours) + 2)
    }
    worst, found = 1.0, "no whole hour"
    for hour in range(int(fleet.hours)):
        total = sum(played.get(hour, {}).values())
        decided = shares.get(hour, [])
        for config in () if hour in down or not (total and decided) else fleet.settings.configs:
            wanted = sum(one.get(config, 0.0) for one in decided) / len(decided)
            part = played[hour].get(config, 0.0) / total / wanted if wanted else 1.0
            if part <= worst and (hour, config) not in out:
                worst, found = part, f"{config} got {part:.0%} of its share in hour {hour}"
    name = f"self-play follows shares within an hour, to {FOLLOWS_MIN:.0%} at least"
    return Property(name=name, held=worst >= FOLLOWS_MIN, found=found)


def _absent(fleet: Fleet) -> Property:
    """Whether nodes without a heartbeat lose their work within a tick."""
    gone: dict[str, datetime] = {}
    kinds: dict[str, tuple[str, ...]] = {}
    longest, who = 0.0, "no node"
    for event, meta in fleet.log.events:
        if isinstance(event, NodePresenceChanged):
            gone.pop(event.node, None)
            if not event.present:
                gone[event.node] = meta.time
        elif isinstance(event, NodeAssigned):
            kinds[event.node] = event.kinds
        elif isinstance(event, TickRecorded):
            for node, since in gone.items():
                kept = seconds_up(fleet.faults, since, meta.time)
                if kinds.get(node) and kept > longest:
                    longest, who = kept, node
    name = f"absent nodes keep work for at most {REACTION_SECONDS_MAX:.0f} s"
    held = longest <= REACTION_SECONDS_MAX
    return Property(name=name, held=held, found=f"{who} kept it for {longest:.0f} s")


def _suspended(fleet: Fleet) -> Property:
    """Whether nothing is planned for a config whose trainings fail again and again."""
    failures: dict[str, int] = {}
    limit, wasted, most = fleet.settings.scheduling.failures_max, 0, 0
    for event, _ in fleet.log.events:
        if isinstance(event, TrainingFailed):
            failures[event.config] = failures.get(event.config, 0) + 1
            most = max(most, failures[event.config])
        elif isinstance(event, TrainingFinished):
            failures.pop(event.config, None)
        elif isinstance(event, SelfplayPlanned) and failures.get(event.config, 0) >= limit:
            wasted += event.games
    name = f"no games for a config whose last {limit} trainings failed"
    found = f"{wasted} games, at most {most} failures in a row"
    return Property(name=name, held=not wasted if most >= limit else None, found=found)
