"""Observes nodes and the quorum, and records changes."""

import asyncio

from ringrift.deciders.fleet.resilience import Quorum
from ringrift.events import Fact
from ringrift.events import facts as f
from ringrift.log import read
from ringrift.log.presence import Seen
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS
from ringrift.runtime.process import Process
from ringrift.runtime.voters import voters

OBSERVE_SECONDS = 2.0
OBSERVATIONS = (f.NodePresenceChanged, f.QuorumLevelChanged, f.ConsumerStarted, f.ConsumerStopped)


class Known:
    """The observations in the log, so that only changes are recorded."""

    def __init__(self) -> None:
        self.present: set[str] = set()
        self.running: dict[str, set[str]] = {}
        """processes by node that have not reported their stop. Heartbeats expire, so a new monitor
        needs these facts to distinguish a node that left from one that is missing"""
        self.quorum: Quorum = "HEALTHY"

    def take(self, event: Fact) -> None:
        """Fold one observation."""
        if isinstance(event, f.NodePresenceChanged):
            change = self.present.add if event.present else self.present.discard
            change(event.node)
        elif isinstance(event, f.QuorumLevelChanged):
            self.quorum = event.level
        elif isinstance(event, f.ConsumerStarted):
            self.running.setdefault(event.node, set()).add(event.instance)
        elif isinstance(event, f.ConsumerStopped):
            self.running.setdefault(event.node, set()).discard(event.instance)

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


async def observe(process: Process, fence: Expect) -> None:
    """Record which nodes come and go and how the quorum changes, until cancelled. Raises
    ConcurrencyError when another monitor has taken over."""
    known = Known()
    async for event, _ in read.facts(process.log, *OBSERVATIONS):
        known.take(event)
    while True:
        await _observe_once(process, fence, known)
        await asyncio.sleep(OBSERVE_SECONDS)


async def _observe_once(process: Process, fence: Expect, known: Known) -> None:
    facts: list[Fact] = list(known.changes(await process.presence.nodes()))
    now = await voters(process.log)
    # without a leader an election is on; its result is recorded, not the election itself
    if now.leader is not None and now.level != known.quorum:
        change = f.QuorumLevelChanged(
            level=now.level, previous=known.quorum, voters=now.voters, alive=now.alive
        )
        facts.append(change)
    for fact in facts:
        tail = await process.log.tail(EVENTS)
        key = f"{getattr(fact, 'node', 'quorum')}.{fence.last_seq}.{tail}"
        await process.append(fact, key=key, expect=fence)
        process.logger.info("observed", fact=type(fact).__name__, id=key)
        known.take(fact)
