"""Searches for many askers, one batch at a time: positions that wait for the same participant are
searched together, as a network needs large batches."""

import asyncio
import contextlib
import heapq
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, Final, NamedTuple

import numpy as np

from ringrift.analysis.participants import Participant
from ringrift.errors import CommandError
from ringrift.learning.play import player_of
from ringrift.rules import Position
from ringrift.rules.geometry import geometry
from ringrift.search.harness import LOCKSTEP
from ringrift.search.players import Candidates, Decision, Explainer

PLAYERS_MAX: Final = 6
"""players that keep the memory of their last search"""
NODE_BYTES: Final = 2048
"""of a node and its moves, besides its position"""
SEARCH_BYTES_MAX: Final = 1 << 30
BATCH_BYTES_MAX: Final = 1 << 27
"""memory of one search, and of the searches of a batch"""

Found = tuple[Decision, Candidates]


class _Job(NamedTuple):
    rank: tuple[int, int]
    key: tuple[str, Any]
    participant: Participant
    position: Position
    seed: int
    found: "asyncio.Future[Found]"


class Searcher:
    """Searches positions in a thread of its own, so that the event loop stays free.

    Use `searcher()` to make one. `waiting` is the number of positions that wait."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads, self._numbers = threads, count()
        self._jobs: list[_Job] = []
        self._players: OrderedDict[tuple[str, Any], Explainer] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="searcher")
        self._more = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._jobs)

    async def search(
        self, participant: Participant, position: Position, *, seed: int = 0, priority: int = 0
    ) -> Found:
        """Return the decision of a participant in a running game. Higher priorities come first.

        Cancelling the caller withdraws a search that has not begun, and stops one that has when
        nobody else waits for a position of its batch. Raises CommandError if the search needs too
        much memory, and what the search raises."""
        if _bytes(participant, position) > SEARCH_BYTES_MAX:
            what = f"{participant.seat.simulations:,} simulations on {position.config.board}"
            raise CommandError(f"{what} need more than 1 GiB of memory: ask for fewer")
        key = position.config.key, participant.seat
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        rank = -priority, next(self._numbers)
        heapq.heappush(self._jobs, _Job(rank, key, participant, position.copy(), seed, future))
        self._more.set()
        return await future

    async def run(self) -> None:
        """Search until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._more.wait()
            if not (batch := self._next_batch()):
                self._more.clear()
                continue
            done = loop.run_in_executor(self._thread, self._search, batch)
            await asyncio.wait([done])
            error = done.exception()
            for index, job in enumerate(batch):
                if job.found.done():  # its asker has gone
                    continue
                if error is not None:
                    job.found.set_exception(error)
                else:
                    job.found.set_result(done.result()[index])

    def clear(self) -> None:
        """Free the memory of players; searches in work are finished."""
        self._players.clear()

    def close(self) -> None:
        """Wait for the search in work, if any, and end the thread."""
        self._thread.shutdown()

    def _next_batch(self) -> list[_Job]:
        """Take the first job, and others of the same participant and priority or of lower one as
        far as memory allows."""
        self._jobs = sorted(job for job in self._jobs if not job.found.done())
        if not self._jobs:
            return []
        first = self._jobs[0]
        room = max(1, BATCH_BYTES_MAX // _bytes(first.participant, first.position))
        same = [job for job in self._jobs if job.key == first.key][: min(LOCKSTEP, room)]
        chosen = {job.rank for job in same}
        self._jobs = [job for job in self._jobs if job.rank not in chosen]
        return same

    def _search(self, batch: Sequence[_Job]) -> list[Found]:
        first = batch[0]
        player = self._players.pop(first.key, None)
        if player is None:
            who = first.participant
            player = player_of(first.position.config, who.seat, who.model, self._threads)
        self._players[first.key] = player
        while len(self._players) > PLAYERS_MAX:
            self._players.popitem(last=False)
        states = np.array([job.position.state for job in batch])
        seeds = np.array([job.seed for job in batch], np.uint64)
        return player.explain(states, seeds, lambda: all(job.found.done() for job in batch))


@contextlib.asynccontextmanager
async def searcher(threads: int | None = None) -> AsyncIterator[Searcher]:
    """A searcher that works until the block ends; `threads` is as in `search.harness.Setup`."""
    found = Searcher(threads)
    running = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.to_thread(found.close)


def _bytes(participant: Participant, position: Position) -> int:
    """Memory of one search, about."""
    words = geometry(position.config).state_size
    return max(1, participant.seat.simulations) * (4 * words + NODE_BYTES)
