"""Records a tick every minute, under a lease. Ticks and the timestamps of events are the only time
that deciders know."""

from ringrift.events.facts import TickRecorded
from ringrift.log.errors import ConcurrencyError, LeaseLost
from ringrift.runtime.process import Process
from ringrift.runtime.run import run

TICK_SECONDS = 60


async def main(process: Process) -> None:
    """Record ticks while this process holds the lease; stand by otherwise."""
    while not process.stopping:
        try:
            async with process.lease("clock") as lease:
                while not process.stopping:
                    minute, late = divmod(process.clock.wall(), TICK_SECONDS)
                    # the id follows from the minute, so two holders record it once
                    tick = TickRecorded(minute=int(minute))
                    await process.append(tick, key=int(minute), expect=lease.expect)
                    await process.wait(TICK_SECONDS - late)
        except (ConcurrencyError, LeaseLost) as error:
            process.logger.warning("overtaken", role="clock", error=str(error))


if __name__ == "__main__":
    run("clock", main)
