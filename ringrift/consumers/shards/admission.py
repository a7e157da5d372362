"""Which recorded games are training data?

A game that a request asks for or a person imports, by players and on a node that exist, that
replays to its recorded end, and once: a process that may write to `GAMES` can also write there what
no request asks for, and a worker that was frozen for longer than the server knows ids writes its
games a second time. What is refused is recorded in the shard's fact, so that the shard can be built
again from its range.

A refused game never counts as the first of its id, so that it cannot displace the good one."""

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ringrift.events import EventMeta, UndecodableEvent, facts as f, tickets as work
from ringrift.learning.shards import GameRejected, check_game
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS
from ringrift.rules import Config

SEEN_MAX = 200_000
"""games whose ids and moves are kept, the newest ones: some 50 MB"""
REQUESTS_MAX = 1_000
Asked = Mapping[str, tuple[str, int]]
"""origin and number of the games of each ticket of a request"""


class _Told(Struct):
    config: str
    game: str
    moves: str


class _Envelope(Struct):
    """What is read of the games in earlier shards."""

    data: _Told


class Admission:
    """Judges the games of `GAMES` in the order of the log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._seen: dict[int, None] = {}
        self._requests: dict[str, Asked] = {}
        self._nodes, self._models, self._known_to = set[str](), set[str](), 0

    async def load(self, before: int, refused: set[int]) -> None:
        """Note the names so far, and the games before a sequence of `GAMES` but the refused."""
        await self._learn_names()
        after = max(0, before - 1 - SEEN_MAX)
        earlier = read.partial(self._log, _Envelope, f.GameCompleted, after=after, until=before - 1)
        if before > 1:
            async for seq, envelope in earlier:
                if seq not in refused:
                    self.note(envelope.data)

    def note(self, game: f.GameCompleted | _Told) -> None:
        """Count the game as seen."""
        self._seen |= dict.fromkeys(_marks(game))
        while len(self._seen) > 2 * SEEN_MAX:
            del self._seen[next(iter(self._seen))]

    async def refusal(self, game: f.GameCompleted, meta: EventMeta) -> f.Refusal | None:
        """Why a game is no training data; None if it is, and then it counts as seen."""
        people = game.origin == "human"  # on no worker's node, and not requested by a plan
        asked = {} if people else await self._asked(meta.cause)
        origin, games = asked.get(game.ticket, ("", 0))
        imported = origin == game.origin == "import"
        one_of = imported or _is_one_of(games, game)
        if not people and (game.origin != origin or not one_of):
            return "unrequested"
        if len(game.seats) != Config.parse(game.config).seats:
            return "seats"
        if game.node not in self._nodes or not _models(game) <= self._models:
            await self._learn_names()
        if not people and game.node not in self._nodes:
            return "node"
        if not _models(game) <= self._models:
            return "model"
        if any(mark in self._seen for mark in _marks(game)):
            return "again"
        try:
            check_game(game)
        except GameRejected:
            return "replay"
        self.note(game)
        return None

    async def _asked(self, cause: str | None) -> Asked:
        """What the request at a position asks for; nothing if none is there."""
        position = cause or ""
        if position not in self._requests:
            while len(self._requests) >= REQUESTS_MAX:
                del self._requests[next(iter(self._requests))]
            self._requests[position] = await self._requested(position)
        return self._requests[position]

    async def _requested(self, position: str) -> Asked:
        try:
            found = await read.fact_at(self._log, position)
        except UndecodableEvent:
            return {}
        request: Any = found.event if found else None
        if isinstance(request, f.ImportStarted):
            return {work.import_ticket(position): ("import", 0)}
        if not isinstance(request, (f.SelfplayPlanned, f.EvaluationRequested)):
            return {}
        asked: dict[str, tuple[str, int]] = {}
        for ticket in work.tickets_of(request, position):
            if isinstance(ticket, work.SelfplayTicket):
                asked[ticket.ticket] = "selfplay", ticket.games
            elif isinstance(ticket, work.EvaluationTicket):
                games = ticket.request.starts * Config.parse(ticket.request.config).seats
                measures = ticket.request.purpose in f.MEASURING
                asked[ticket.ticket] = "tournament" if measures else "evaluation", games
        return asked

    async def _learn_names(self) -> None:
        """Read which nodes and networks appeared since they were read last."""
        kinds = (f.ConsumerStarted, f.ModelRegistered, f.ModelDerived, f.ImportStarted)
        tail = await self._log.tail(EVENTS)
        async for event, _ in read.facts(self._log, *kinds, after=self._known_to, until=tail):
            if isinstance(event, f.ConsumerStarted):
                self._nodes.add(event.node)
            elif isinstance(event, (f.ModelRegistered, f.ModelDerived)):
                self._models.add(event.model)
            elif isinstance(event, f.ImportStarted):
                self._nodes.add(f"{f.IMPORTED_NODE}{event.source}")
        self._known_to = tail


def _is_one_of(games: int, game: f.GameCompleted) -> bool:
    """Whether the id is that of one of so many games of the ticket."""
    number = game.game.removeprefix(f"{game.ticket}-")
    is_number = number.isascii() and number.isdecimal() and len(number) < 10
    return is_number and int(number) < games and str(int(number)) == number


def _models(game: f.GameCompleted) -> set[str]:
    return {seat.model for seat in game.seats if seat.model}


def _marks(game: f.GameCompleted | _Told) -> list[int]:
    """What no other game of the config has, its id and its moves, as digests of 64 bits."""
    marks = (f"{game.config} {what}".encode() for what in (game.game, game.moves))
    return [int.from_bytes(hashlib.blake2b(mark, digest_size=8).digest(), "big") for mark in marks]
