"""Who played a game and for which request: games without their moves and search targets, which
would take ten times as long to decode."""

from collections.abc import AsyncIterator
from typing import NamedTuple, Unpack

from msgspec import Struct

from ringrift.deciders.loop.retraction import GameHead
from ringrift.events.facts import GameCompleted
from ringrift.log import read
from ringrift.log.protocol import Log


class _GameEnvelope(Struct, frozen=True):
    data: GameHead
    cause: str | None = None


class GameAt(NamedTuple):
    """The head of a game, its sequence in `GAMES` and the position of the request it was for."""

    seq: int
    cause: str | None
    head: GameHead


async def game_heads(log: Log, *configs: str, **part: Unpack[read.Part]) -> AsyncIterator[GameAt]:
    """Yield the heads of recorded games (of all configs if none is given) in the order of the
    log."""
    games = read.partial(log, _GameEnvelope, GameCompleted, scopes=configs, **part)
    async for seq, found in games:
        yield GameAt(seq, found.cause, found.data)
