"""Republishes recently acknowledged events that the server lost."""

from __future__ import annotations

import msgspec

from ringrift.events.facts import LostEventsRepublished
from ringrift.runtime.process import Process


async def republish_lost(process: Process) -> None:
    """After each reconnect, republish the acknowledged events that the server has lost and record
    the loss, until cancelled."""
    log = process.log
    while True:
        await log.returned.wait()
        log.returned.clear()
        try:
            for found in await log.ledger.mend(log):
                lost = msgspec.structs.asdict(found)
                process.logger.error("acknowledged events were lost", **lost)
                fact = LostEventsRepublished(node=process.node, consumer=process.name, **lost)
                moment = f"{process.clock.wall():.6f}"
                key = f"{process.instance}.{found.stream}.{found.first_seq}.{moment}"
                await process.record(fact, key)
        except Exception:
            log.returned.set()  # the next run of this job looks again
            raise
