"""Who played a game and for which request: games without their moves and search targets, which
would take ten times as long to decode."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from msgspec import Struct

from ringrift.deciders.loop.retraction import GameHead
from ringrift.events.facts import GameCompleted
from ringrift.log import read
from ringrift.log.protocol import Log, Progress


class _GameEnvelope(Struct, frozen=True):
    data: GameHead
    cause: str | None = None


class GameAt(NamedTuple):
    """The head of a game, its sequence in `GAMES` and the position of the request it was for."""

    seq: int
    cause: str | None
    head: GameHead


async def game_heads(
    log: Log,
    *configs: str,
    after: int = 0,
    until: int | None = None,
    progress: Progress | None = None,
) -> AsyncIterator[GameAt]:
    """Yield the heads of recorded games (of all configs if none is given) in the order of the log,
    after one sequence and up to another."""
    async for seq, found in read.partial(
        log,
        _GameEnvelope,
        GameCompleted,
        scopes=configs,
        after=after,
        until=until,
        progress=progress,
    ):
        yield GameAt(seq, found.cause, found.data)
