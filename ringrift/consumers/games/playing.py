"""Plays the games of a ticket in a thread, and publishes each as soon as it ends."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

from ringrift.consumers.games.publishing import publish_games
from ringrift.deciders.fleet.pressure import batch_size
from ringrift.events import Fact
from ringrift.events.facts import GameCompleted
from ringrift.events.tickets import Ticket
from ringrift.runtime.from_thread import from_thread
from ringrift.runtime.host import threads
from ringrift.runtime.process import Process

F = TypeVar("F", bound=Fact)


async def played(
    process: Process, ticket: Ticket, games: int, deliveries: int, play: Callable[..., Iterator[F]]
) -> AsyncIterator[F]:
    """Yield the facts of `play`, which has `games` games. At the end all games are acknowledged.

    `play` is `play_games` or `play_match`, bound to its own arguments. Raises Drained."""

    def started() -> Iterator[F]:
        return play(
            node=process.node,
            threads=threads(),
            # called in the thread of the games, while the heartbeat may write the tiers
            width=lambda games: batch_size(games, dict(process.tiers)),
            progress=lambda _: process.check_stop(),
        )

    ids = [f"{ticket.ticket}-{index}" for index in range(games)]
    async with publish_games(process, ticket, ids, deliveries) as publish:
        async for fact in from_thread(process, started):
            if isinstance(fact, GameCompleted):
                await publish(fact)
            yield fact
