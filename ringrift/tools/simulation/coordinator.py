"""The deciders as the runner runs them, over a log in memory: fold, decide, append, adopt.

`ringrift.runtime.decide` does the same with a server, leases and asyncio, all of which live by the
wall's clock; `DeciderRun`, where the order of folding and deciding lies, is used as it is. A
restart rebuilds every decider from the log and its own decisions in it, as a process does that has
no snapshot."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from ringrift.events import EventMeta, Fact, Recorded, event_id, type_of
from ringrift.runtime.decide import STREAM, DeciderRun, replayed
from ringrift.runtime.processes import deciders

START = datetime(2026, 1, 1, tzinfo=UTC)


class SimulatedLog:
    """`EVENTS`: recorded events in one total order; an id is stored once."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self._ids: set[str] = set()

    def append(
        self,
        fact: Fact,
        time: datetime,
        *,
        source: str,
        cause: str | None = None,
        key: str | int = 0,
    ) -> Recorded | None:
        """Store a fact; None if it is known already."""
        id = event_id(type(fact), cause, key)
        if id in self._ids:
            return None
        self._ids.add(id)
        meta = EventMeta(
            STREAM, len(self.events) + 1, type_of(fact).subject(fact), id, source, time, cause
        )
        self.events.append(Recorded(fact, meta))
        return self.events[-1]


class Coordinator:
    """Every decider of a running system over one log, in the order of the processes."""

    def __init__(self, log: SimulatedLog) -> None:
        self.log = log
        self.up = True
        self.folded = 0
        self.runs: list[DeciderRun] = []
        self._readers: dict[type[Fact], list[DeciderRun]] = {}
        self.restart()

    def restart(self) -> None:
        """Begin anew, from the log alone: what was decided before is folded, not decided again."""
        self.runs = []
        for decider in deciders().values():
            own: dict[int, list[Recorded]] = defaultdict(list)
            for item in self.log.events:
                if type(item.event) in decider.writes and item.meta.cause is not None:
                    own[int(item.meta.cause.partition("/")[2])].append(item)
            self.runs.append(DeciderRun(decider, dict(own)))
        self._readers = defaultdict(list)
        for run in self.runs:
            for kind in run.types:
                self._readers[kind].append(run)
        self.folded, self.up = 0, True

    def catch_up(self, now: datetime) -> None:
        """Fold what is new, and what is decided on it, to the end of the log."""
        while self.up and self.folded < len(self.log.events):
            event, meta = self.log.events[self.folded]
            self.folded += 1
            for run in self._readers.get(type(event), ()):
                for number, fact in enumerate(run.take(event, meta)):
                    name = run.decider.name
                    stored = self.log.append(
                        fact, now, source=name, cause=meta.position, key=f"{name}.{number}"
                    )
                    if stored is not None:
                        run.fold(*stored)

    def differing(self) -> list[str]:
        """Deciders whose state is not that of a replay of the log; none, or the simulation shows a
        fault of theirs."""
        return [
            run.decider.name
            for run in self.runs
            if replayed(run.decider, self.log.events).fold_hash != run.fold_hash
        ]
