"""Reports a process to the cluster every two seconds, measures the resources of its machine and
relieves pressure: records the new tier, frees caches, and leaves before the kernel kills the
process."""

import asyncio
import gc
import os
import sys

import nats.errors

from ringrift.deciders.fleet import pressure
from ringrift.events import type_of
from ringrift.events.facts import NodePressureChanged, Resource, Tier
from ringrift.log import read
from ringrift.log.errors import ConcurrencyError, StreamError
from ringrift.log.presence import HEARTBEAT_SECONDS, Heartbeat
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS
from ringrift.runtime.folds import code_version
from ringrift.runtime.host import NODE_WIDE, cores, threads, used_shares
from ringrift.runtime.process import Process
from ringrift.runtime.usage import work_of


async def beat(process: Process) -> None:
    """Measure pressure, write a heartbeat and observe the end of the log, until cancelled."""
    while True:
        try:
            await relieve(process)
            await beat_once(process)
            # a hot standby folds nothing, even if it acted before
            folded = process.seq if process.follows and not process.standing_by else None
            tail = await _goal(process)
            process.condition.observed(folded, tail, process.clock.monotonic())
        except (StreamError, TimeoutError, nats.errors.Error) as error:
            process.logger.warning("heartbeat not written", error=str(error))
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def _goal(process: Process) -> int:
    """The sequence that the process has to reach."""
    stream, subject = process.follows or (EVENTS, ">")
    if subject == ">":
        return await process.log.tail(stream)
    newest = await process.log.last(stream, subject)
    return newest.seq if newest else 0


async def beat_once(process: Process, *, left: bool = False) -> None:
    """Write one heartbeat. The last one reports that the process has `left`."""
    if work := work_of(process.name):
        busy_seconds = process.condition.busy_seconds(process.clock.monotonic())
        process.metrics.set("ringrift_busy_seconds_total", busy_seconds, work)
    scarce, tier = pressure.worst(process.tiers)
    heartbeat = Heartbeat(
        consumer=process.name,
        node=process.node,
        instance=process.instance,
        pid=os.getpid(),
        doing=process.doing,
        seq=process.seq,
        errors=process.errors,
        folds=process.fold_hashes,
        code=code_version() if process.folds else "",
        left=left,
        draining=process.stopping,
        health=process.health_address,
        tier=tier,
        scarce=scarce or "",
        lag=process.condition.lag_events,
        cores=cores(),
        threads=threads() if work != "export" else 1,
        busy=process.condition.busy if work else None,
    )
    await process.presence.beat(heartbeat)


async def relieve(process: Process, used: dict[Resource, float] | None = None) -> None:
    """Measure and act. `used` replaces the measured shares. Raises StreamError if a change could
    not be recorded; the next call tries again."""
    shares = used_shares(process.data) if used is None else used
    tiers, metrics = process.tiers, process.metrics
    for resource, share in shares.items():
        before = tiers.get(resource)
        tier = pressure.tier_after(before or "normal", share, process.controls.operation, resource)
        tiers[resource] = tier
        metrics.set("ringrift_resource_used_ratio", share, resource)
        metrics.set("ringrift_memory_pressure_tier", pressure.TIERS.index(tier), resource)
        if tier != (before or "normal"):
            process.unrecorded_tiers.add(resource)
            _act(process, resource, tier, first=before is None)
    for resource in sorted(process.unrecorded_tiers):
        await _record(process, resource, shares.get(resource, 0.0))
        process.unrecorded_tiers.discard(resource)


def _act(process: Process, resource: Resource, tier: Tier, *, first: bool) -> None:
    process.logger.warning("pressure", resource=resource, tier=tier)
    if pressure.frees_caches(resource, tier):
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
    # a process that starts under pressure waits: its supervisor would only start it again
    if pressure.must_leave(resource, tier) and not first:
        process.stop(f"{resource} is in its emergency tier")


async def _record(process: Process, resource: Resource, used: float) -> None:
    """Append the change unless another process of this node has done so."""
    consumer = "" if resource in NODE_WIDE else process.name
    subject = type_of(NodePressureChanged).filter(process.node)
    newest = await process.log.last(EVENTS, subject)
    last = newest.seq if newest else 0
    known: Tier = "normal"
    async for event, _ in read.facts(
        process.log, NodePressureChanged, scope=process.node, until=last
    ):
        if (event.resource, event.consumer) == (resource, consumer):
            known = event.tier
    tier = process.tiers[resource]
    if tier == known:  # another process recorded it, or the tier has fallen again
        return
    fact = NodePressureChanged(
        node=process.node,
        resource=resource,
        consumer=consumer,
        tier=tier,
        previous=known,
        used=round(used, 4),
    )
    item = process.draft(fact, cause=None, key=f"{process.node}.{resource}.{consumer}.{last}")
    try:
        await process.log.append([item], Expect(subject, last))
    except ConcurrencyError:
        process.logger.info("recorded by another process of this node", resource=resource)
