"""Monitors the cluster: observes nodes and voters, retries dead letters that are due, closes the
breakers that an operator resets, measures.

Observations are recorded as facts, two deciders decide on them, and the monitor carries out what
they request. One monitor acts, under a lease."""

import asyncio

from ringrift.consumers.monitoring.measures import measure
from ringrift.consumers.monitoring.observation import observe
from ringrift.deciders.fleet import dead_letters
from ringrift.events import Recorded
from ringrift.events import facts as f
from ringrift.log import read
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS
from ringrift.runtime.dead_letter_retry import retry
from ringrift.runtime.decide import act
from ringrift.runtime.process import Job, Process
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.run import run

REQUESTS = (f.DeadLetterRetryRequested, f.BreakerReset)
OUTCOMES = (f.DeadLetterRetryFailed, f.DeadLetterResolved)


async def main(process: Process) -> None:
    """Act as the monitor while this process holds the lease; stand by otherwise."""
    await act(process, PROCESSES["monitor"].deciders, role="monitor", side_task=_attend)


async def _attend(process: Process, fence: Expect) -> None:
    """Observe, measure and carry out requests, until cancelled."""
    jobs: dict[str, Job] = {
        "observation": lambda: observe(process, fence),
        "requests": lambda: _carry_out_requests(process, fence),
        "metrics": lambda: measure(process),
        "breakers": process.breakers.shared.follow,
    }
    async with asyncio.TaskGroup() as group:
        for name, job in jobs.items():
            group.create_task(process.keep_running(name, job))


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
