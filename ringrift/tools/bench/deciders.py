"""Time of the deciders on one event: a fleet of 1,000 nodes, 12 configs, and 10,000 dead letters
that wait, while the loop goes on and nodes come and go."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from ringrift.events import EventMeta, Fact, facts as f, type_of
from ringrift.runtime.authorship import deciders
from ringrift.runtime.decide import DeciderRun
from ringrift.tools.bench.harness import Benchmark, Benchmarks, Scope
from ringrift.tools.bench.history import history

START = datetime(2026, 1, 1, tzinfo=UTC)
NODES, LETTERS = 1_000, 10_000
EVENTS_MAX = 20_000
EVENT_SECONDS = 0.1
"""between two events: ten a second"""
TICK_EVENTS, LOSS_EVENTS = 600, 50
"""a tick a minute; a node vanishes, or comes back, every five seconds"""
FIGURES = ("all", "slowest", "longest", "storing a letter")
UNITS = {f"{NODES} nodes, {LETTERS} letters/{figure}": "ms" for figure in FIGURES}


async def benchmarks(scope: Scope) -> Benchmarks:
    """Milliseconds of processor time: the mean of an event, of all deciders together and of the
    slowest of them; its longest event; and the mean of a dead letter that is stored."""
    count = min(scope.events, EVENTS_MAX)
    yield Benchmark("deciders", UNITS, lambda: _run(count), runs_max=1)


def _run(count: int) -> dict[str, float]:
    fold = _Fold()
    for fact in _fleet():
        fold.take(fact)
    fold.reset()
    for fact in _letters():
        fold.take(fact)
    storing = sum(fold.seconds.values()) / LETTERS
    fold.reset()
    for fact in islice(_course(), count):
        fold.take(fact)
    slowest = max(fold.seconds, key=lambda name: fold.seconds[name])
    print(f"the slowest decider is {slowest}", file=sys.stderr)
    means = (sum(fold.seconds.values()) / count, fold.seconds[slowest] / count)
    found = (*means, fold.longest[slowest], storing)
    return dict(zip(UNITS, (1000.0 * seconds for seconds in found), strict=True))


class _Fold:
    """Every decider on one log, and the seconds that each took."""

    def __init__(self) -> None:
        self.runs = [DeciderRun(decider, {}) for decider in deciders().values()]
        self.seq = 0
        self.reset()

    def reset(self) -> None:
        """Forget the seconds so far."""
        self.seconds = {run.decider.name: 0.0 for run in self.runs}
        self.longest = dict(self.seconds)

    def take(self, fact: Fact) -> None:
        """Fold a fact and what is decided on it, as the runner does."""
        meta = self._meta(fact, None)
        for run in self.runs:
            began = time.process_time()
            for decision in run.take(fact, meta):
                run.fold(decision, self._meta(decision, meta.position), meta)
            spent = time.process_time() - began
            self.seconds[run.decider.name] += spent
            self.longest[run.decider.name] = max(self.longest[run.decider.name], spent)

    def _meta(self, fact: Fact, cause: str | None) -> EventMeta:
        self.seq += 1
        at = START + timedelta(seconds=self.seq * EVENT_SECONDS)
        subject = type_of(fact).subject(fact)
        return EventMeta("EVENTS", self.seq, subject, f"{self.seq}", "bench", at, cause)


def _fleet() -> Iterator[Fact]:
    yield next(history())[0]
    for number in range(NODES):
        yield f.NodeRegistered(
            node=f"n{number}",
            provider="bench",
            accelerator=f"gpu-{number % 12}",
            vram_gib=24.0,
            cost_per_hour=0.5 + number % 7 / 10,
        )
        yield _present(number, True)


def _letters() -> Iterator[Fact]:
    for number in range(1, LETTERS + 1):
        yield f.DeadLetterStored(
            consumer="planner",
            stream="EVENTS",
            seq=number,
            dead_seq=number,
            reason="bench",
            deliveries=1,
        )


def _course() -> Iterator[Fact]:
    """The loop, with ticks, losses and returns of nodes among it."""
    for number, (fact, _) in enumerate(islice(history(), 1, None), start=1):
        yield fact
        if number % TICK_EVENTS == 0:
            yield f.TickRecorded(minute=number // TICK_EVENTS)
        if number % LOSS_EVENTS == 0:
            loss = number // LOSS_EVENTS
            yield _present(loss // 2 % NODES, loss % 2 == 0)


def _present(number: int, present: bool) -> f.NodePresenceChanged:
    return f.NodePresenceChanged(
        node=f"n{number}", present=present, left=False, silent_seconds=0.0, processes=int(present)
    )
