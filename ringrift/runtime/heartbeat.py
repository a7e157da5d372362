"""Reports a process to the cluster every two seconds."""

import asyncio
import os

import nats.errors

from ringrift.deciders.fleet.pressure import worst
from ringrift.log.errors import StreamError
from ringrift.log.presence import HEARTBEAT_SECONDS, Heartbeat
from ringrift.log.topology import EVENTS
from ringrift.runtime.process import Process
from ringrift.runtime.relief import relieve


async def beat(process: Process) -> None:
    """Measure pressure, write a heartbeat and observe the end of the log, until cancelled."""
    while True:
        try:
            await relieve(process)
            await beat_once(process)
            tail = await process.log.tail(EVENTS)
            folded = process.seq if process.folds else None
            process.condition.observed(folded, tail, process.clock.monotonic())
        except (StreamError, TimeoutError, nats.errors.Error) as error:
            process.logger.warning("heartbeat not written", error=str(error))
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def beat_once(process: Process, *, left: bool = False) -> None:
    """Write one heartbeat. The last one reports that the process has `left`."""
    heartbeat = Heartbeat(
        consumer=process.name,
        node=process.node,
        instance=process.instance,
        pid=os.getpid(),
        doing=process.doing,
        seq=process.seq,
        errors=process.errors,
        folds=process.fold_hashes,
        left=left,
        health=process.health_address,
        tier=worst(process.tiers)[1],
    )
    await process.presence.beat(heartbeat)
