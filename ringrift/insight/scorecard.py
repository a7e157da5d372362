"""The scorecard: how well the system works, every number counted from the log, the heartbeats or
the program, none of them given by hand.

Times are those at which the server stored events, so a wrong clock of a node spoils no number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from msgspec import Struct

from ringrift.events import REGISTRY, Fact, Recorded, facts as f
from ringrift.insight.usage import used
from ringrift.log import read
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS
from ringrift.runtime.authorship import readers
from ringrift.runtime.processes import COMMANDS, PROCESSES

DONE = f.SelfplayFinished, f.ReanalysisFinished, f.TrainingFinished, f.EvaluationScored
"""facts that end a ticket, as `FAILED` do"""
FAILED = f.TrainingFailed, f.TrainingTimedOut, f.EvaluationFailed
REPAIRS = (
    *(f.ShardRecovered, f.StreamRecreated, f.LostEventsRepublished, f.ModelRolledBack),
    *(f.RecoveryActionTaken, f.ProcessRestarted),
)
BY_HAND = (
    *(f.PipelineResumed, f.BreakerReset, f.DeadLetterRetryRequested, f.DeadLetterResolved),
    *(f.ModelRolledBack, f.ModelPromoted, f.GamesRetracted, f.NodeForgotten, f.NodeReleased),
    *(f.NodeDrainRequested, f.HyperparametersAdjusted),
)
"""facts that a person writes to help the system, besides changes of settings and pauses"""
CAUSES_MAX = 200_000
"""newest events whose times are kept, to measure how long decisions took"""
_TABLE = re.compile(r"^\| promise .* held by \|\n.*\n((?:\|.*\n)+)", re.MULTILINE)
_TEST = re.compile(r"tests/[\w/]+(?:\.py)?")
_SAME = ("the same file", "the checks themselves", "`test_")


class Measure(Struct, frozen=True, kw_only=True):
    """One number; None where there is nothing to count. `unit` is `share` (0 to 1), `seconds` or
    what is counted; `source` says from what."""

    area: str
    measure: str
    value: float | None
    unit: str
    source: str


class Card:
    """A fold of the events since a time."""

    def __init__(self) -> None:
        self.counts = Counter[type[Fact]]()
        self.waits: list[float] = []
        """seconds from causes to decisions"""
        self._times: dict[str, datetime] = {}
        self._samples: list[f.UtilisationSampled] = []
        self.by_hand = 0
        """facts by which a person helped"""
        self.repaired: list[float] = []
        """seconds from the last sign of a node that was missed until it, or another, was there"""
        self._missed: dict[str, datetime] = {}
        self._paid: dict[str, tuple[datetime, float]] = {}
        self.cost = 0.0
        """of nodes that were rented and returned in the time"""
        self._newest: datetime | None = None
        self._decided = {kind for s in PROCESSES.values() for d in s.deciders for kind in d.writes}

    def take(self, recorded: Recorded) -> None:
        """Fold an event; events are folded in the order of the log."""
        event, meta = recorded
        kind = type(event)
        self.counts[kind] += 1
        self._times[meta.position] = meta.time
        if len(self._times) > CAUSES_MAX:
            del self._times[next(iter(self._times))]
        if kind in self._decided and (began := self._times.get(meta.cause or "")):
            self.waits.append((meta.time - began).total_seconds())
        if isinstance(event, f.UtilisationSampled):
            self._samples.append(event)
        if kind in BY_HAND and meta.source.startswith(f"{COMMANDS}@"):
            self.by_hand += 1
        self._newest = meta.time
        self._take_node(event, meta.time)

    def _take_node(self, event: Fact, time: datetime) -> None:
        """Note when nodes are missed and repaired, and what rented ones cost."""
        match event:
            case f.NodePresenceChanged(present=False, left=False):
                silent = timedelta(seconds=event.silent_seconds)
                self._missed.setdefault(event.node, time - silent)
            case f.NodePresenceChanged(present=False) | f.NodeForgotten():
                self._missed.pop(event.node, None)
            case f.NodePresenceChanged() | f.NodeReturned():
                if began := self._missed.pop(event.node, None):
                    self.repaired.append((time - began).total_seconds())
            case f.NodeRented():
                self._paid[event.node] = time, event.cost_per_hour
        if isinstance(event, f.NodeReturned) and event.node in self._paid:
            self.cost += self._cost(event.node, time)
            del self._paid[event.node]

    def _cost(self, node: str, until: datetime) -> float:
        since, price = self._paid[node]
        return (until - since).total_seconds() / 3600.0 * price

    def measures(self, beats: Sequence[Heartbeat], tail: int) -> Iterator[Measure]:
        """Yield what was counted; `beats` are the heartbeats of now, `tail` the end of the log."""
        for node, one in used(self._samples).items():
            source = f"of {one.total:,.0f} core-seconds: {one}"
            yield _measure("utilisation", f"cores of {node}", one.share, "share", source)
        lags = [lag for beat in beats if (lag := beat.behind(tail)) is not None]
        yield _measure(
            "lag", "farthest behind now", max(lags, default=None), "events", "heartbeats"
        )
        for name, share in (("median", 0.5), ("95 % within", 0.95)):
            wait = float(np.quantile(self.waits, share)) if self.waits else None
            source = f"{len(self.waits):,} decisions and their causes"
            yield _measure("lag", f"from a cause to its decision, {name}", wait, "seconds", source)
        yield from self._repairs()
        yield from self._rented()
        written = [kind.fact_type for kind in REGISTRY.values()]
        for name, found in (
            ("types of events that occurred", [kind for kind in written if kind in self.counts]),
            ("types of events that a process reads", [kind for kind in written if readers(kind)]),
        ):
            source = f"{len(found)} of {len(written)} types"
            yield _measure("events", name, len(found) / len(written), "share", source)

    def _repairs(self) -> Iterator[Measure]:
        counts = self.counts
        done = sum(counts[kind] for kind in DONE)
        failed = sum(counts[kind] for kind in FAILED)
        ended = f"{failed} of {done + failed} tickets that ended"
        share = failed / (done + failed) if done + failed else None
        yield _measure("repairs", "tickets that failed", share, "share", ended)
        stored, left = counts[f.DeadLetterStored], counts[f.DeadLetterResolved]
        resolved = f"{left} of {stored} dead letters stored in this time"
        share = min(1.0, left / stored) if stored else None
        yield _measure("repairs", "dead letters resolved", share, "share", resolved)
        nodes = f"{len(self.repaired)} nodes that were missed, {len(self._missed)} still are"
        mean = sum(self.repaired) / len(self.repaired) if self.repaired else None
        yield _measure("repairs", "mean time to repair a node", mean, "seconds", nodes)
        yield _measure("repairs", "manual interventions", self.by_hand, "events", "by commands")
        for kind in REPAIRS:
            name = type_name(kind)
            yield _measure("repairs", name, counts[kind], "events", kind.__name__)
        failures, passes = counts[f.VerificationFailed], counts[f.VerificationPassed]
        share = passes / (passes + failures) if passes + failures else None
        checks = f"{passes} of {passes + failures} verifications"
        yield _measure("repairs", "verifications that passed", share, "share", checks)

    def _rented(self) -> Iterator[Measure]:
        counts, now = self.counts, self._newest
        rented, back = counts[f.NodeRented], counts[f.NodeReturned]
        text = f"{rented} nodes rented, {back} returned"
        cost = self.cost + sum(self._cost(node, now) for node in self._paid if now is not None)
        yield _measure("renting", "cost of rented nodes", cost if rented else None, "cost", text)
        failed = counts[f.NodeRentFailed]
        share = failed / (rented + failed) if rented + failed else None
        yield _measure("renting", "rents that failed", share, "share", f"{failed} failed")
        for kind in (f.OrphanFound, f.PreemptionNoticed):
            yield _measure("renting", type_name(kind), counts[kind], "events", kind.__name__)


def type_name(kind: type[Fact]) -> str:
    """Return the name of a type of fact in words: `shard recovered`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()


def promised(page: Path) -> Iterator[Measure]:
    """Yield how many promises of `docs/promises.md` name a test, and in a repository how many of
    the tests exist."""
    rows = [row for table in _TABLE.findall(page.read_text()) for row in table.splitlines()]
    held = [row.rstrip(" |").rpartition(" | ")[2] for row in rows]
    tested = [cell for cell in held if _TEST.search(cell) or any(word in cell for word in _SAME)]
    named = {name for cell in held for name in _TEST.findall(cell)}
    source = f"{len(tested)} of {len(held)} rows of docs/promises.md"
    yield _measure("tests", "promises that name a test", len(tested) / len(held), "share", source)
    root = page.parents[1]
    known = [name for name in named if (root / name).exists()]
    there = len(known) / len(named) if (root / "tests").is_dir() else None
    source = f"{len(known)} of {len(named)} files" if there is not None else "no repository here"
    yield _measure("tests", "named tests that exist", there, "share", source)


async def scorecard(
    log: Log, *, last: timedelta, promises: Path | None, progress: Progress | None = None
) -> list[Measure]:
    """Return the measures of the time `last` before the newest event."""
    tail, card = await log.tail(EVENTS), Card()
    newest = await log.get(EVENTS, tail) if tail else None
    if newest is not None:
        async for recorded in read.facts(log, since=newest.time - last, progress=progress):
            card.take(recorded)
    found = list(card.measures(await Presence(log).all(), tail))
    return [*found, *(promised(promises) if promises else ())]


def _measure(area: str, measure: str, value: float | None, unit: str, source: str) -> Measure:
    return Measure(area=area, measure=measure, value=value, unit=unit, source=source)
