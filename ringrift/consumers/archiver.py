"""Moves old games, events and networks to an object store, and makes the scheduled backups, under
a lease.

Nothing is archived without the setting `archive.place`, nothing is backed up without
`backup.place`. When a store cannot be used, that is a fact, a metric and an alert; nothing leaves
the streams meanwhile, and the archiver tries again."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from msgspec.structs import replace

from ringrift.consumers.archiving import backups, moving, networks
from ringrift.consumers.archiving.state import State
from ringrift.events import Settings
from ringrift.events.facts import ArchiveFailed, ArchiveRecovered
from ringrift.log.errors import ConcurrencyError, LeaseLost, StreamError
from ringrift.log.object_store import ObjectStore
from ringrift.log.protocol import Expect
from ringrift.log.retry import Backoff
from ringrift.runtime.process import Process
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.run import run

ROUND_SECONDS = 60.0
SHARES_KEPT = {"normal": 1.0, "caution": 0.5}
"""of `archive.keep_bytes`, by how full the fullest disk of a coordinator is, else 0"""
PAUSES = Backoff(first_seconds=30.0, longest_seconds=900.0, budget_seconds=None)
"""between attempts to use a store that fails"""
_COORDINATORS = {name for name, process in PROCESSES.items() if process.role == "coordinator"}


async def main(process: Process) -> None:
    """Archive while this process holds the lease; stand by otherwise."""
    while not process.stopping:
        try:
            async with process.lease("archiver") as lease:
                await _work(process, lease.expect)
        except (ConcurrencyError, LeaseLost) as error:
            process.logger.warning("overtaken", role="archiver", error=str(error))


async def _work(process: Process, fence: Expect) -> None:
    trims: moving.Trims = {}
    state = State()
    pauses: Iterator[float] = iter(())
    schedule = backups.Schedule(process, fence, state)
    while not process.stopping:
        settings, _ = await process.settings()
        await state.read_on(process.log)
        failed = await _archive(process, fence, settings, state, trims)
        await schedule.run(settings.backup)
        if not failed:
            pauses = PAUSES.pauses()
        await process.wait(next(pauses, ROUND_SECONDS) if failed else ROUND_SECONDS)


async def _archive(
    process: Process, fence: Expect, settings: Settings, state: State, trims: moving.Trims
) -> bool:
    """Archive what is due, and record whether the store works; whether it failed."""
    place = settings.archive.place
    process.doing = f"archiving to {place}" if place else "no archive.place is set"
    if not place:
        return False
    share = await _share_kept(process, state)
    chosen = replace(settings.archive, keep_bytes=int(settings.archive.keep_bytes * share))
    move = partial(moving.move, process, fence, settings=chosen, trims=trims)
    parts: list[Callable[..., Awaitable[None]]] = [
        *(partial(move, stream=stream) for stream in moving.STREAMS),
        partial(networks.move, process, fence, settings=settings.archive, state=state),
    ]
    problem = ""
    for part in parts:  # a stream or network that fails does not stop the others
        try:
            await part(store=ObjectStore(place))
        except (ConcurrencyError, LeaseLost):
            raise
        except StreamError as error:
            problem = problem or str(error)
    await _record(process, fence, place, problem, state)
    return bool(problem)


async def _share_kept(process: Process, state: State) -> float:
    """The share of `keep_bytes` that may stay: less while a disk fills up. Coordinators run where
    the servers are; the disks of other nodes, and of nodes that are gone, do not matter."""
    running = await process.presence.all()
    nodes = {beat.node for beat in running if beat.consumer in _COORDINATORS}
    tiers = [state.disks.get(node, "normal") for node in sorted(nodes)]
    return min((SHARES_KEPT.get(tier, 0.0) for tier in tiers), default=1.0)


async def _record(process: Process, fence: Expect, place: str, problem: str, state: State) -> None:
    """Record a failure of the store, or its end, once each."""
    process.metrics.set("ringrift_archive_failing", float(bool(problem)))
    if problem:
        process.doing = f"cannot archive: {problem}"
        process.logger.error("archive failed", place=place, error=problem)
    if bool(problem) == state.failing:
        return
    fact: ArchiveFailed | ArchiveRecovered = ArchiveRecovered(place=place)
    if problem:
        fact = ArchiveFailed(place=place, error=problem)
    await process.append(fact, key=f"{fence.last_seq}.{process.clock.wall():.3f}", expect=fence)
    state.failing = bool(problem)


if __name__ == "__main__":
    run("archiver", main)
