"""Looks after the cluster: which nodes are there, how many voters, dead letters that are due,
breakers that a person resets.

What it sees it records as facts; what follows from them two deciders decide; what they ask for it
does. One acts, under a lease."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ringrift.deciders.fleet import dead_letters as letters
from ringrift.deciders.fleet.health import HEALTH_LEVELS
from ringrift.deciders.fleet.resilience import QUORUM_LEVELS, Quorum
from ringrift.events import Fact, Recorded
from ringrift.events.facts import (
    BreakerReset,
    ConsumerStarted,
    ConsumerStopped,
    DeadLetterResolved,
    DeadLetterRetryFailed,
    DeadLetterRetryRequested,
    ModelPromoted,
    NodeJoined,
    NodePresenceChanged,
    QualityAssessed,
    QuorumLevelChanged,
    VelocityChanged,
)
from ringrift.log import read
from ringrift.log.presence import Presence, Seen
from ringrift.log.protocol import Expect
from ringrift.runtime.cluster_state import ClusterView, cluster_view, voters
from ringrift.runtime.dead_letters import retry
from ringrift.runtime.decide import STREAM, act
from ringrift.runtime.process import Process, run
from ringrift.runtime.processes import PROCESSES

LOOK_SECONDS = 2.0
MEASURE_SECONDS = 10.0
"""how old the metrics of the cluster may be"""
SEEN = (NodePresenceChanged, QuorumLevelChanged, ConsumerStarted, ConsumerStopped)
ASKED = (DeadLetterRetryRequested, BreakerReset)
ANSWERED = (DeadLetterRetryFailed, DeadLetterResolved)
STANDINGS = (ModelPromoted, QualityAssessed, VelocityChanged)
"""what the metrics of a config come from"""


async def main(process: Process) -> None:
    """Act as the monitor while this process holds the lease, stand by otherwise."""
    await act(process, PROCESSES["monitor"].deciders, role="monitor", beside=attend)


async def attend(process: Process, fence: Expect) -> None:
    """Watch and do, until cancelled."""
    jobs: dict[str, Callable[[], Awaitable[None]]] = {
        "nodes": lambda: watch(process, fence),
        "requests": lambda: answer_requests(process, fence),
        "metrics": lambda: measure(process),
        "breakers": process.breakers.follow,
    }
    tasks = [asyncio.ensure_future(process.persist(name, job)) for name, job in jobs.items()]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Known:
    """What the log says has been seen: so that only changes are told."""

    def __init__(self) -> None:
        self.present: set[str] = set()
        self.running: dict[str, set[str]] = {}
        """processes by node that have not said goodbye; heartbeats of those that have expire, so a
        new monitor needs the facts"""
        self.quorum: Quorum = "HEALTHY"

    def take(self, event: Fact) -> None:
        """Fold one observation."""
        if isinstance(event, NodePresenceChanged):
            (self.present.add if event.present else self.present.discard)(event.node)
        elif isinstance(event, QuorumLevelChanged):
            self.quorum = event.level
        elif isinstance(event, ConsumerStarted):
            self.running.setdefault(event.node, set()).add(event.instance)
        elif isinstance(event, ConsumerStopped):
            self.running.setdefault(event.node, set()).discard(event.instance)

    def changes(self, seen: dict[str, Seen]) -> list[NodePresenceChanged]:
        """Observations that are news; a node whose heartbeats have expired altogether has been
        silent for at least as long as they are shown."""
        found = []
        for name in sorted(self.present | seen.keys()):
            node = seen.get(name)
            present = node is not None and node.processes > 0
            if present != (name in self.present):
                silent = 0.0 if node is None else node.silent_seconds
                left = node.left if node is not None else not self.running.get(name)
                found.append(
                    NodePresenceChanged(
                        node=name,
                        present=present,
                        left=left,
                        silent_seconds=0.0 if present else round(silent, 3),
                        processes=node.processes if node else 0,
                    )
                )
        return found


async def watch(process: Process, fence: Expect) -> None:
    """Record which nodes come and go and how the quorum is, every `LOOK_SECONDS`."""
    known = Known()
    async for event, _ in read.facts(process.log, *SEEN):
        known.take(event)
    presence = Presence(process.log)
    while True:
        await look(process, fence, known, presence)
        await asyncio.sleep(LOOK_SECONDS)


async def look(process: Process, fence: Expect, known: Known, presence: Presence) -> None:
    """One look. Raises ConcurrencyError when another monitor has taken over."""
    facts: list[Fact] = list(known.changes(await presence.nodes()))
    who = await voters(process.log)
    if (
        who.leader is not None and who.level != known.quorum
    ):  # else an election: what it ends in is news, not that it is on
        facts.append(
            QuorumLevelChanged(
                level=who.level, previous=known.quorum, voters=who.voters, alive=who.alive
            )
        )
    for fact in facts:
        place = await process.log.tail(STREAM)
        key = f"{getattr(fact, 'node', 'quorum')}.{fence.last_seq}.{place}"
        await process.log.append([process.draft(fact, cause=None, key=key)], fence)
        process.logger.info("seen", fact=type(fact).__name__, id=key)
        known.take(fact)


async def answer_requests(process: Process, fence: Expect) -> None:
    """Try the letters that are due and close the breakers a person resets, what an earlier monitor
    left undone first."""
    tail = await process.log.tail(STREAM)
    asked: dict[str, Recorded] = {}
    async for item in read.facts(process.log, *ASKED, *ANSWERED):
        event = item.event
        if isinstance(event, ANSWERED):
            asked.pop(letters.key_of(event), None)
        elif isinstance(event, DeadLetterRetryRequested):
            asked[letters.key_of(event)] = item
    for item in asked.values():
        await _do(process, fence, item)
    async for item in read.follow(process.log, *ASKED, after=tail):
        await _do(process, fence, item)


async def _do(process: Process, fence: Expect, item: Recorded) -> None:
    event, meta = item
    if isinstance(event, BreakerReset) and not event.why.startswith("a probe"):
        await process.breakers.reset(event.target)
    elif isinstance(event, DeadLetterRetryRequested):
        outcome = await retry(process.log, event)
        await process.log.append([process.draft(outcome, cause=meta.position)], fence)
        process.logger.info(
            "dead letter tried again",
            outcome=type(outcome).__name__,
            id=meta.id,
            cause=meta.position,
        )


async def measure(process: Process) -> None:
    """Keep the metrics of the cluster up to date."""
    while True:
        export(
            process,
            await cluster_view(process.log, dead_letters_max=process.operation.dead_letters_max),
        )
        await export_configs(process)
        await asyncio.sleep(MEASURE_SECONDS)


def export(process: Process, view: ClusterView) -> None:
    """Put a look at the cluster into this process's metrics."""
    metrics = process.metrics
    metrics.set("ringrift_quorum_health_level", QUORUM_LEVELS.index(view.quorum))
    metrics.set("ringrift_quorum_alive_voters", view.voters_alive)
    metrics.set("ringrift_quorum_total_voters", view.voters)
    metrics.set("ringrift_quorum_margin", view.voters_alive - (view.voters // 2 + 1))
    metrics.set("ringrift_health_score", view.health.score)
    metrics.set("ringrift_health_level", HEALTH_LEVELS.index(view.health.level))
    metrics.set("ringrift_resilience_score", view.resilience.score)
    metrics.set(
        "ringrift_resilience_level", ("CRITICAL", "WARNING", "HEALTHY").index(view.resilience.level)
    )
    metrics.set("ringrift_breakers_open", len(view.breakers))
    metrics.set("ringrift_dead_letters_unresolved", view.dead_letters)
    metrics.clear("ringrift_paused", "ringrift_nodes")
    for what in view.paused:
        metrics.set("ringrift_paused", 1, *what.split("/"))
    for node in view.nodes.values():
        metrics.add("ringrift_nodes", node.standing)
    for queue in view.work:
        metrics.set("ringrift_work_pending", queue.waiting, queue.kind)
        metrics.set("ringrift_work_ack_pending", queue.in_hand, queue.kind)
        metrics.set("ringrift_work_redelivered", queue.redelivered, queue.kind)
        if queue.last_ack_seconds is not None:
            metrics.set("ringrift_work_last_ack_age_seconds", queue.last_ack_seconds, queue.kind)


async def export_configs(process: Process) -> None:
    """Put how each config stands, and how often nodes came back, into this process's metrics, from
    the facts that say so."""
    metrics = process.metrics
    for kind in STANDINGS:
        for event, _ in await read.latest_of_each(process.log, kind):
            if isinstance(event, ModelPromoted):
                metrics.set("ringrift_generation", event.generation, event.config)
            elif isinstance(event, QualityAssessed):
                metrics.set("ringrift_data_quality", event.adjusted, event.config)
            elif isinstance(event, VelocityChanged):
                metrics.set("ringrift_elo_above_heuristic", event.elo_above_heuristic, event.config)
                if event.elo_per_hour is not None:
                    metrics.set("ringrift_elo_velocity", event.elo_per_hour, event.config)
    joined = [event async for event, _ in read.facts(process.log, NodeJoined)]
    metrics.set("ringrift_nodes_reconnected_total", sum(event.rejoined for event in joined))


if __name__ == "__main__":
    run("monitor", main)
