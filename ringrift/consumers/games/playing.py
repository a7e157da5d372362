"""Plays the games of a ticket in a thread, and publishes each once, as soon as it ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ringrift.deciders.fleet.pressure import batch_size
from ringrift.events import Draft, Fact, event_id, type_of
from ringrift.events.facts import GameCompleted
from ringrift.events.tickets import Ticket, config_of
from ringrift.learning.play import Host
from ringrift.log.errors import StreamError
from ringrift.log.retry import Backoff
from ringrift.log.topology import GAME_IDS_SECONDS, GAMES
from ringrift.runtime.host import threads
from ringrift.runtime.process import Process
from ringrift.runtime.work import caused_at

IN_FLIGHT_MAX = 64
"""games sent and not acknowledged yet"""
LOOKED_SECONDS_MAX = GAME_IDS_SECONDS / 2
"""a worker that looked for its games longer ago was frozen or cut off: the server may have
forgotten the ids of games that another worker wrote meanwhile"""
FETCHED = Backoff(first_seconds=0.2, longest_seconds=10.0, budget_seconds=None)
"""the cluster fetches games from an edge within a moment; after a cut link within 40 s"""
Publish = Callable[[GameCompleted], Awaitable[None]]
F = TypeVar("F", bound=Fact)
Item = TypeVar("Item")


async def played(
    process: Process,
    ticket: Ticket,
    games: int,
    deliveries: int,
    play: Callable[..., Iterator[F]],
    between: Callable[[], None] = lambda: None,
) -> AsyncIterator[F]:
    """Yield the facts of `play`, which has `games` games. At the end all games are acknowledged.

    `play` is `play_games` or `play_match`, bound to its own arguments. `between` is called often,
    in the thread of the games, and may raise. Raises Drained."""

    def check() -> None:
        process.check_stop()
        between()

    host = Host(
        node=process.node,
        threads=threads(),
        # called in the thread of the games, while the heartbeat may write the tiers
        width=lambda games: batch_size(games, dict(process.tiers)),
        between=check,
    )
    ids = [f"{ticket.ticket}-{index}" for index in range(games)]
    async with publish_games(process, ticket, ids, deliveries) as publish:
        async for fact in from_thread(process, play(host=host)):
            if isinstance(fact, GameCompleted):
                await publish(fact)
            yield fact


async def from_thread(process: Process, items: Iterator[Item]) -> AsyncIterator[Item]:
    """Yield the items of a slow iterator, which runs in a thread of its own.

    Raises what the iterator raises, and Drained when the process must hand back its work."""
    loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    try:
        while (item := await loop.run_in_executor(thread, next, items, None)) is not None:
            yield item
            process.check_stop()
    finally:
        await asyncio.to_thread(thread.shutdown)  # waits for the item in hand
        del items  # closes a generator, even while the error is still looked at


@contextlib.asynccontextmanager
async def publish_games(
    process: Process, ticket: Ticket, ids: Sequence[str], deliveries: int
) -> AsyncIterator[Publish]:
    """A function that appends one of the games `ids` of the ticket. When the block ends, all are
    acknowledged.

    Games left by an earlier delivery, or written by another worker while this one was frozen, are
    not written again, whatever their age. On a node with an edge the games go there, and the block
    ends when the cluster has fetched them."""
    names = [event_id(GameCompleted, ticket.cause, game) for game in ids]
    present: set[str] = set()
    # before the first delivery no worker can have written any
    looked_at = process.clock.wall() if deliveries == 1 else 0.0
    slots, looking, written = asyncio.Semaphore(IN_FLIGHT_MAX), asyncio.Lock(), set[str]()
    log = process.edge or process.log
    appending: list[asyncio.Task[None]] = []

    async def look() -> None:
        """Look for games in the log, unless the server still knows the ids of all since then."""
        nonlocal looked_at
        async with looking:
            now = process.clock.wall()
            if abs(now - looked_at) < LOOKED_SECONDS_MAX:
                return
            try:
                present.update(await stored(process, ticket, GameCompleted, names))
                looked_at = now
            except StreamError:
                if process.edge is None:
                    raise
                # the link is down; should another worker have played, the exporter takes one game

    async def append(item: Draft) -> None:
        try:
            await look()
            if item.id not in present:
                await log.append([item])
                written.add(item.id)
        finally:
            slots.release()

    async def publish(game: GameCompleted) -> None:
        item = process.draft(game, cause=ticket.cause, key=game.game)
        await slots.acquire()  # a slow log must slow down the play
        appending.append(asyncio.create_task(append(item)))

    try:
        yield publish
        await asyncio.gather(*appending)
    finally:
        await asyncio.gather(*appending, return_exceptions=True)
    if process.edge is not None:
        await _wait_until_fetched(process, ticket, written)


async def _wait_until_fetched(process: Process, ticket: Ticket, written: set[str]) -> None:
    """Wait until the cluster has these games, however long the link is down. Raises Drained."""
    process.doing = f"waiting: {len(written)} games of {config_of(ticket)} are on the edge"
    for pause in FETCHED.pauses():
        process.check_stop()
        with contextlib.suppress(StreamError):  # the link is down
            if written <= (await stored(process, ticket, GameCompleted, sorted(written))).keys():
                return
        await process.wait(pause)


async def stored(
    process: Process, ticket: Ticket, kind: type[Fact], ids: Sequence[str]
) -> dict[str, int]:
    """The sequences of the ticket's facts of a kind in `GAMES` that the cluster has, by id."""
    filters = [type_of(kind).filter(config_of(ticket))]
    return await process.log.stored(GAMES, ids, filters, await caused_at(process, ticket))
