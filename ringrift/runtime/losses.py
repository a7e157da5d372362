"""Republishes recently acknowledged events that the server lost."""

import msgspec

from ringrift.events.facts import LostEventsRepublished
from ringrift.log.republish import republish
from ringrift.runtime.process import Process


async def republish_lost(process: Process) -> None:
    """After each reconnect, republish the acknowledged events that the server has lost and record
    the loss, until cancelled."""
    log = process.log
    while True:
        await log.reconnected.wait()
        log.reconnected.clear()
        try:
            for found in await republish(log):
                lost = msgspec.structs.asdict(found)
                process.logger.error("acknowledged events were lost", **lost)
                fact = LostEventsRepublished(node=process.node, consumer=process.name, **lost)
                moment = f"{process.clock.wall():.6f}"
                key = f"{process.instance}.{found.stream}.{found.first_seq}.{moment}"
                await process.append(fact, key=key)
        except Exception:
            log.reconnected.set()  # the next run of this job looks again
            raise
