"""Records every minute that it has passed, under a lease. Deciders know of time by this and by when
events were written."""

from __future__ import annotations

import time

from ringrift.events.facts import TickRecorded
from ringrift.log.errors import ConcurrencyError, LeaseLost
from ringrift.runtime.process import Process, run

TICK_SECONDS = 60


async def main(process: Process) -> None:
    """Tick while this process holds the lease, stand by otherwise."""
    while not process.stopping:
        try:
            async with process.lease("clock") as lease:
                while not process.stopping:
                    minute, late = divmod(time.time(), TICK_SECONDS)
                    tick = TickRecorded(minute=int(minute))
                    await process.log.append(
                        [process.draft(tick, cause=None, key=int(minute))], lease.expect
                    )
                    await process.wait(TICK_SECONDS - late)
        except (ConcurrencyError, LeaseLost) as error:
            process.logger.warning("overtaken", role="clock", error=str(error))


if __name__ == "__main__":
    run("clock", main)
