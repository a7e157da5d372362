"""The deciders as the runner runs them, over a log in memory: fold, decide, append, fold the
decision.

`ringrift.runtime.decide` does the same with a server, leases and asyncio, which live by real time;
its `DeciderRun`, which holds the order of folding and deciding, is used as it is."""

from collections import defaultdict

from ringrift.events import EventMeta, Fact, Recorded, event_id, type_of
from ringrift.runtime.authorship import deciders
from ringrift.runtime.decide import STREAM, DeciderRun, by_cause, replayed
from ringrift.tools.simulation.clock import VirtualClock


class SimulatedLog:
    """`EVENTS`: recorded events in one total order; an id is stored once."""

    def __init__(self, clock: VirtualClock) -> None:
        self.events: list[Recorded] = []
        self._clock = clock
        self._ids: set[str] = set()

    def append(
        self, fact: Fact, *, source: str, cause: str | None = None, key: str | int = 0
    ) -> Recorded | None:
        """Store a fact; None if its id is stored already."""
        id = event_id(type(fact), cause, key)
        if id in self._ids:
            return None
        self._ids.add(id)
        subject, seq = type_of(fact).subject(fact), len(self.events) + 1
        meta = EventMeta(STREAM, seq, subject, id, source, self._clock.time, cause)
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
        """Rebuild every decider from the log, as a process without a snapshot does. Earlier
        decisions are folded, not decided again."""
        self.runs = []
        for decider in deciders().values():
            self.runs.append(DeciderRun(decider, by_cause(decider, self.log.events)))
        self._readers = defaultdict(list)
        for run in self.runs:
            for kind in run.types:
                self._readers[kind].append(run)
        self.folded, self.up = 0, True

    def catch_up(self) -> None:
        """Fold the log to its end, including the decisions that are appended on the way."""
        while self.up and self.folded < len(self.log.events):
            event, meta = self.log.events[self.folded]
            self.folded += 1
            for run in self._readers.get(type(event), ()):
                name = run.decider.name
                for number, fact in enumerate(run.take(event, meta)):
                    key = f"{name}.{number}"
                    stored = self.log.append(fact, source=name, cause=meta.position, key=key)
                    if stored is not None:
                        run.fold(*stored, meta)

    def differing(self) -> list[str]:
        """Deciders whose state differs from that of a replay of the log; each has a bug."""
        return [
            run.decider.name
            for run in self.runs
            if replayed(run.decider, self.log.events).fold_hash != run.fold_hash
        ]
