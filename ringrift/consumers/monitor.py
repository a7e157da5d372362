"""Monitors the cluster: observes nodes and voters, compares and repairs replicas, retries dead
letters that are due, and closes the breakers that an operator resets.

Observations are recorded as facts, two deciders decide on them, and the monitor carries out what
they request. One monitor acts, under a lease."""

import asyncio
import re
from collections.abc import Iterable

from ringrift.consumers.scrubbing import scrub
from ringrift.consumers.voters import VoterLook
from ringrift.deciders.fleet import dead_letters
from ringrift.deciders.fleet.assignment import OWN
from ringrift.deciders.fleet.resilience import Quorum
from ringrift.events import Fact, Recorded, facts as f, type_of
from ringrift.log import read
from ringrift.log.presence import Heartbeat, Machine, Seen
from ringrift.log.protocol import Expect, Log
from ringrift.log.topology import EVENTS
from ringrift.runtime.cluster_view import LIVES, crash_loops, voters
from ringrift.runtime.dead_letter_retry import retry
from ringrift.runtime.decide import act
from ringrift.runtime.process import Job, Process
from ringrift.runtime.processes import EXPECTED, PROCESSES
from ringrift.runtime.run import run
from ringrift.runtime.usage import Usage

OBSERVE_SECONDS = 2.0
MISSING_SECONDS = 20.0
"""without a heartbeat of a kind of process before that is recorded; a restart is shorter"""
CRASHES_LOOK_SECONDS = 20.0
ACCELERATOR_CHARS_MAX = 200
OBSERVATIONS = (
    *(f.NodePresenceChanged, f.QuorumLevelChanged, f.ConsumerPresenceChanged),
    *(f.CrashLoopChanged, f.NodeDescribed, f.VoterPresenceChanged),
)
REQUESTS = (f.DeadLetterRetryRequested, f.BreakerReset)
OUTCOMES = (f.DeadLetterRetryFailed, f.DeadLetterResolved)


class Known:
    """The observations in the log, so that only changes are recorded."""

    def __init__(self) -> None:
        self.present: set[str] = set()
        self.running: dict[str, set[str]] = {}
        """processes by node that have not reported their stop. Heartbeats expire, so a new monitor
        needs these facts to distinguish a node that left from one that is missing"""
        self.quorum: Quorum = "HEALTHY"
        self.missing: set[str] = set()
        """kinds of processes of which none runs"""
        self.looping: set[str] = set()
        """`<consumer>@<node>` of processes that crash again and again"""
        self.described: dict[str, f.NodeDescribed] = {}
        self.voters = VoterLook()
        self.crashes_due = 0.0
        self._lives_seq = 0
        self._absent_since: dict[str, float] = {}
        self._expected = set(EXPECTED)

    def take(self, event: Fact) -> None:
        """Fold one observation."""
        if isinstance(event, f.NodePresenceChanged):
            change = self.present.add if event.present else self.present.discard
            change(event.node)
            if event.present:  # deciders may have forgotten it
                self.described.pop(event.node, None)
        elif isinstance(event, f.QuorumLevelChanged):
            self.quorum = event.level
        elif isinstance(event, f.ConsumerPresenceChanged):
            change = self.missing.discard if event.present else self.missing.add
            change(event.consumer)
        elif isinstance(event, f.CrashLoopChanged):
            change = self.looping.add if event.looping else self.looping.discard
            change(f"{event.consumer}@{event.node}")
        elif isinstance(event, f.VoterPresenceChanged):
            self.voters.take(event)
        elif isinstance(event, f.NodeDescribed):
            self.described[event.node] = event
        elif isinstance(event, f.ConsumerStarted):
            self.running.setdefault(event.node, set()).add(event.instance)
        elif isinstance(event, f.ConsumerStopped):
            self.running.setdefault(event.node, set()).discard(event.instance)

    async def read_lives(self, log: Log) -> None:
        """Fold the starts and stops of processes since the last call."""
        tail = await log.tail(EVENTS)
        async for event, _ in read.facts(log, *LIVES, after=self._lives_seq, until=tail):
            self.take(event)
        self._lives_seq = tail

    def changes(self, seen: dict[str, Seen]) -> list[f.NodePresenceChanged]:
        """The differences between the nodes in the log and those `seen`. A node without a heartbeat
        has been silent for at least the time that heartbeats are kept."""
        found = []
        for name in sorted(self.present | seen.keys()):
            node = seen.get(name)
            if node is None:
                node = Seen(processes=0, left=not self.running.get(name), silent_seconds=0.0)
            present = node.processes > 0
            if present == (name in self.present):
                continue
            change = f.NodePresenceChanged(
                node=name,
                present=present,
                left=node.left,
                silent_seconds=0.0 if present else round(node.silent_seconds, 3),
                processes=node.processes,
            )
            found.append(change)
        return found

    def descriptions(self, beats: Iterable[Heartbeat]) -> list[f.NodeDescribed]:
        """What nodes say of themselves, where that differs from the log."""
        found = [described(beat.node, beat.machine) for beat in beats if beat.machine]
        return [fact for fact in found if self.described.get(fact.node) != fact]

    def kinds(self, running: set[str], now: float) -> list[f.ConsumerPresenceChanged]:
        """The differences between the kinds of processes in the log and those `running`."""
        self._expected |= running
        for name in sorted(self._expected):
            if name in running:
                self._absent_since.pop(name, None)
            else:
                self._absent_since.setdefault(name, now)
        oldest = now - MISSING_SECONDS
        gone = {name for name, since in self._absent_since.items() if since <= oldest}
        changes = [(name, True) for name in sorted(self.missing & running)]
        changes += [(name, False) for name in sorted(gone - self.missing)]
        return [f.ConsumerPresenceChanged(consumer=name, present=is_) for name, is_ in changes]

    def loops(self, crashes: dict[str, int]) -> list[f.CrashLoopChanged]:
        """The differences between the processes in the log that crash again and again and those
        that do so now, with their numbers of crashes."""
        found = []
        for name in sorted(self.looping ^ crashes.keys()):
            consumer, _, node = name.partition("@")
            count = crashes.get(name, 0)
            fact = f.CrashLoopChanged(
                node=node, consumer=consumer, looping=count > 0, crashes=count
            )
            found.append(fact)
        return found


def described(node: str, machine: Machine) -> f.NodeDescribed:
    """The fact about a node that reports this machine. Nodes of one accelerator are expected to be
    equally fast, so it names the number of GPUs too, or else of cores."""
    model = "-".join(re.findall(r"[!-~]+", machine.gpu.lower()))
    accelerator = model + (f"-x{machine.gpus}" if machine.gpus > 1 else "")
    works = [PROCESSES[name].work for name in machine.consumers if name in PROCESSES]
    return f.NodeDescribed(
        node=node,
        provider=re.sub(r"[^a-z0-9_-]", "-", machine.provider.lower())[:64] or OWN,
        accelerator=(accelerator or f"cpu-{machine.cores}")[-ACCELERATOR_CHARS_MAX:],
        gpus=machine.gpus,
        cores=machine.cores,
        vram_gib=round(machine.vram_bytes / 2**30, 1),
        cost_per_hour=min(max(machine.price_per_hour, 0.0), f.VALUE_MAX),
        kinds=tuple(dict.fromkeys(work for work in works if work)),
        rented=bool(machine.provider or machine.price_per_hour),
        version=machine.version,
    )


async def main(process: Process) -> None:
    """Act as the monitor while this process holds the lease; stand by otherwise."""
    await act(process, PROCESSES["monitor"].deciders, role="monitor", jobs=_jobs)


def _jobs(process: Process, fence: Expect) -> dict[str, Job]:
    return {
        "observation": lambda: observe(process, fence),
        "replicas": lambda: scrub(process, fence),
        "requests": lambda: _carry_out_requests(process, fence),
        "breakers": process.breakers.shared.follow,
    }


async def observe(process: Process, fence: Expect) -> None:
    """Record which nodes come and go and how the quorum changes, until cancelled. Raises
    ConcurrencyError when another monitor has taken over."""
    known = Known()
    async for event, _ in read.facts(process.log, *OBSERVATIONS):
        known.take(event)
    usage = Usage(process.clock.monotonic())
    while True:
        await _observe_once(process, fence, known, usage)
        await asyncio.sleep(OBSERVE_SECONDS)


async def _observe_once(process: Process, fence: Expect, known: Known, usage: Usage) -> None:
    seen = await process.presence.nodes()
    if known.present - seen.keys():  # did the processes of those nodes stop?
        await known.read_lives(process.log)
    facts: list[Fact] = list(known.changes(seen))
    beats, clock = await process.presence.all(), process.clock.monotonic()
    facts += known.descriptions(beats)
    facts += known.kinds({beat.consumer for beat in beats}, clock)
    if clock >= known.crashes_due:
        known.crashes_due = clock + CRASHES_LOOK_SECONDS
        facts += known.loops(await crash_loops(process.log, beats, process.clock.wall()))
    usage.look(beats, clock)
    if (sample := usage.sample(clock)) is not None:
        facts.append(sample)
    now = await voters(process.log)
    # without a leader an election is on; its result is recorded, not the election itself
    if now.leader is not None and now.level != known.quorum:
        change = f.QuorumLevelChanged(
            level=now.level, previous=known.quorum, voters=now.voters, alive=now.alive
        )
        facts.append(change)
    facts += known.voters.changes(now, clock)
    for fact in facts:
        tail = await process.log.tail(EVENTS)
        scope = type_of(fact).subject(fact).split(".")[2]
        key = f"{scope}.{fence.last_seq}.{tail}"
        await process.append(fact, key=key, expect=fence)
        process.logger.info("observed", fact=type(fact).__name__, id=key)
        known.take(fact)


async def _carry_out_requests(process: Process, fence: Expect) -> None:
    """Retry dead letters and close breakers as requested, first those that an earlier
    monitor left undone."""
    tail = await process.log.tail(EVENTS)
    requested: dict[str, Recorded] = {}
    async for item in read.facts(process.log, *REQUESTS, *OUTCOMES):
        event = item.event
        if isinstance(event, OUTCOMES):
            requested.pop(dead_letters.key_of(event), None)
        elif isinstance(event, f.DeadLetterRetryRequested):
            requested[dead_letters.key_of(event)] = item
    for item in requested.values():
        await _carry_out(process, fence, item)
    async for item in read.follow(process.log, *REQUESTS, after=tail):
        await _carry_out(process, fence, item)


async def _carry_out(process: Process, fence: Expect, item: Recorded) -> None:
    event, meta = item
    # a successful probe has closed the breaker itself
    if isinstance(event, f.BreakerReset) and not event.why.startswith("a probe"):
        await process.breakers.reset(event.target)
    elif isinstance(event, f.DeadLetterRetryRequested):
        outcome = await retry(process.log, event)
        await process.append(outcome, cause=meta.position, expect=fence)
        name = type(outcome).__name__
        process.logger.info("dead letter retried", outcome=name, cause=meta.position)


if __name__ == "__main__":
    run("monitor", main)
