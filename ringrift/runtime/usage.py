"""How much of each machine works: what heartbeats say about the cores of their nodes.

A core is used while a process holds a ticket or cuts a shard. A node whose processes together have
more threads than it has cores is used in whole, no more. Each look at the heartbeats counts for the
time since the one before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ringrift.deciders.fleet.alerts import NO_TICKET
from ringrift.events import facts as f
from ringrift.log.presence import Heartbeat
from ringrift.runtime.processes import PROCESSES

SAMPLE_SECONDS = 60.0
"""between two facts; there are as many ticks"""
NO_PROCESS = "a-process"
"""what a core waits for whose node runs too few workers"""
REASONS_MAX, REASON_CHARS_MAX = 10, 100


def work_of(consumer: str) -> str:
    """The kind of work of a process; empty if it is no worker."""
    if consumer == "exporter":
        return "export"
    spec = PROCESSES.get(consumer)
    return (spec.work or "") if spec else ""


class Usage:
    """Core-seconds by node since the last sample."""

    def __init__(self, now: float) -> None:
        self._since = self._looked = now
        self._nodes: dict[str, _Node] = {}

    def look(self, beats: Iterable[Heartbeat], now: float) -> None:
        """Add the time since the last look, as the heartbeats of all running processes are."""
        passed, self._looked = now - self._looked, now
        nodes = defaultdict[str, list[Heartbeat]](list)
        for beat in beats:
            if beat.cores > 0 and beat.busy is not None:
                nodes[beat.node].append(beat)
        for name, workers in list(nodes.items())[: f.NODES_MAX]:
            node = self._nodes.setdefault(name, _Node())
            node.add(workers, passed)

    def sample(self, now: float) -> f.UtilisationSampled | None:
        """The fact about the time since the last one, once it is long enough and a node has
        workers."""
        seconds = now - self._since
        if seconds < SAMPLE_SECONDS or not self._nodes:
            return None
        nodes = {name: node.use() for name, node in self._nodes.items()}
        self._since, self._nodes = now, {}
        return f.UtilisationSampled(seconds=round(seconds, 3), nodes=nodes)


class _Node:
    """The sums of one node."""

    def __init__(self) -> None:
        self.cores, self.players = 1, 0
        self.busy, self.waited = defaultdict[str, float](float), defaultdict[str, float](float)

    def add(self, workers: list[Heartbeat], passed: float) -> None:
        self.cores = workers[0].cores
        self.players = sum(work_of(beat.consumer) == "selfplay" for beat in workers)
        threads = defaultdict[str, int](int)
        for beat in workers:
            if beat.busy:
                threads[work_of(beat.consumer)] += min(beat.threads, self.cores)
        total = sum(threads.values())
        for work, count in threads.items():
            self.busy[work] += passed * count * min(1.0, self.cores / total)
        if total < self.cores:
            reason = _reason(workers)
            if reason in self.waited or len(self.waited) < REASONS_MAX:
                self.waited[reason] += passed * (self.cores - total)

    def use(self) -> f.NodeUse:
        busy = {work: round(seconds, 3) for work, seconds in self.busy.items()}
        waited = {reason: round(seconds, 3) for reason, seconds in self.waited.items()}
        return f.NodeUse(cores=self.cores, players=self.players, busy=busy, waited=waited)


def _reason(workers: list[Heartbeat]) -> str:
    """What idle cores wait for: what the idle worker says that would fill them, self-play first."""
    idle = [beat for beat in workers if not beat.busy and work_of(beat.consumer) != "export"]
    idle.sort(key=lambda beat: (beat.consumer != "selfplay", beat.consumer))
    if not idle:
        return NO_PROCESS
    if idle[0].doing in ("waiting for work", ""):
        return NO_TICKET
    doing = idle[0].doing.removeprefix("waiting: ")[:REASON_CHARS_MAX].replace(" ", "-")
    return "".join(letter for letter in doing if "!" <= letter <= "~") or NO_PROCESS
