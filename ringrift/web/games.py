"""Recorded games for the pages: a search that reads `GAMES` in pieces from its newest end, and one
game with its searched decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct

from ringrift.events.facts import GameCompleted
from ringrift.insight.board.board_svg import Mark
from ringrift.insight.board.drawing import BoardView, view
from ringrift.insight.board.recorded_game import RecordedGame, find_fact
from ringrift.learning.targets import Decision, TargetsError, decode
from ringrift.log import read
from ringrift.log.protocol import Log
from ringrift.log.topology import GAMES
from ringrift.rules import Position, Record
from ringrift.web.latest import Latest

PIECE: Final = 250
"""messages of `GAMES` that are read at once, some 5 MB"""
PIECES_MAX: Final = 800
"""pieces kept: the newest 200,000 games, some 100 MB"""
PIECES_PER_SEARCH_MAX: Final = 4
"""pieces that one search reads; the next one goes on where it ended"""
PAGE_GAMES: Final = 50
GAMES_KEPT_MAX: Final = 16
SNAPSHOT_PLIES: Final = 32
"""between positions that are kept of a game, some 10 kB each"""


class _Seat(Struct, frozen=True):
    participant: str


class GameRow(Struct, frozen=True):
    """What the list of games shows of one game."""

    game: str
    config: str
    origin: str
    node: str
    plies: int
    winner: int
    reason: str
    seats: tuple[_Seat, ...]

    @property
    def players(self) -> list[str]:
        """Participants by seat."""
        return [seat.participant for seat in self.seats]


class _Envelope(Struct, frozen=True):
    time: datetime
    data: GameRow


class Listed(NamedTuple):
    """A game in the list, its sequence in `GAMES`, and when it was written."""

    seq: int
    time: datetime
    row: GameRow


class Wanted(NamedTuple):
    """What is searched for; empty fields match every game."""

    config: str = ""
    player: str = ""
    """part of the name of a participant, such as the first digits of a network"""
    origin: str = ""
    node: str = ""
    winner: str = ""
    """a seat, or part of the winner's name"""
    reason: str = ""
    longer: int = 0
    shorter: int = 0
    """limits of the number of plies, 0 for none"""

    def matches(self, row: GameRow) -> bool:
        """Whether a game is wanted."""
        exact = ("config", "origin", "node", "reason")
        return (
            all(getattr(self, name) in ("", getattr(row, name)) for name in exact)
            and (not self.player or any(self.player in name for name in row.players))
            and (not self.winner or self._won(row))
            and self.longer <= row.plies
            and (not self.shorter or row.plies <= self.shorter)
        )

    def _won(self, row: GameRow) -> bool:
        if self.winner in ("1", "2", "3", "4"):
            return row.winner == int(self.winner)
        return row.winner > 0 and self.winner in row.players[row.winner - 1]


class Found(NamedTuple):
    """Games newest first; the search read down to sequence `reached`, below which the next one goes
    on, 1 if it came to the oldest game."""

    games: list[Listed]
    reached: int


class Games:
    """The games of a log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._pieces = Latest[int, tuple[int, list[Listed]]](PIECES_MAX)
        """by number: sequence through which it was read, games in order"""
        self._reading = asyncio.Lock()
        self._kept = Latest[str, Game](GAMES_KEPT_MAX)

    async def search(self, wanted: Wanted, before: int = 0, limit: int = PAGE_GAMES) -> Found:
        """Return up to `limit` games below sequence `before` (0: from the newest), fewer if finding
        them takes too long."""
        tail = await self._log.tail(GAMES)
        top = min(before - 1, tail) if before else tail
        found: list[Listed] = []
        reads, reached = 0, top + 1
        for number in range((top - 1) // PIECE, -1, -1):
            read_to, _ = self._pieces.get(number) or (0, [])
            cold = read_to < min((number + 1) * PIECE, tail)
            if cold and reads == PIECES_PER_SEARCH_MAX:
                return Found(found, reached)
            reads += cold
            for game in reversed(await self._piece(number, tail)):
                if game.seq <= top and wanted.matches(game.row):
                    found.append(game)
                    if len(found) == limit:
                        return Found(found, game.seq)
            reached = number * PIECE + 1
        return Found(found, 1)

    async def _piece(self, number: int, tail: int) -> list[Listed]:
        """Return the games of one piece, read as far as they are written."""
        async with self._reading:
            after, until = number * PIECE, min((number + 1) * PIECE, tail)
            seen, rows = self._pieces.get(number) or (after, [])
            if seen < until:
                games = read.partial(self._log, _Envelope, GameCompleted, after=seen, until=until)
                rows = rows + [Listed(seq, one.time, one.data) async for seq, one in games]
            self._pieces.put(number, (max(seen, until), rows))
        return rows

    async def get(self, name: str) -> Game:
        """Return the game with an id, or at a sequence of `GAMES`. Raises CommandError."""
        if (found := self._kept.get(name)) is None:
            found = await Game.read(self._log, name)
            self._kept.put(name, found)
        return found


class Candidate(NamedTuple):
    """A move that was searched: its share of the improved policy, and whether it was played."""

    token: str
    share: float
    played: bool

    @property
    def mark(self) -> Mark:
        """The move as drawn on the board."""
        return Mark(self.token, self.share, self.played)


Turn = tuple[int, int, list[tuple[int, str]]]
"""number, seat and moves of a turn; a move has the ply that it leads to"""


class Game(NamedTuple):
    """A recorded game: its position in the log, its turns, and its searched decisions by ply.

    `every` are positions of the game, `SNAPSHOT_PLIES` apart, from which the others are played."""

    seq: int
    time: datetime
    cause: str | None
    fact: GameCompleted
    recorded: RecordedGame
    decisions: Mapping[int, Decision]
    problem: str
    """why the decisions cannot be read, empty if they can"""
    turns: list[Turn]
    every: list[Position]

    @classmethod
    async def read(cls, log: Log, name: str) -> Game:
        """Return the game with an id, or at a sequence of `GAMES`. Raises CommandError."""
        fact, meta = await find_fact(log, name)
        problem, decisions = "", list[Decision]()
        try:
            decisions = list(decode(fact.targets, fact.plies)[1])
        except TargetsError as error:
            problem = str(error)
        by_ply = {decision.ply: decision for decision in decisions}
        recorded = RecordedGame.of(fact)
        turns, every = await asyncio.to_thread(_replayed, recorded.record)
        return cls(meta.seq, meta.time, meta.cause, fact, recorded, by_ply, problem, turns, every)

    @property
    def moves(self) -> tuple[str, ...]:
        """Tokens of all moves."""
        return self.recorded.record.moves

    def at(self, ply: int) -> BoardView:
        """Return the position after `ply` plies, with the moves of the turn that led to it."""
        position = self.every[ply // SNAPSHOT_PLIES].copy()
        for move in self.moves[position.ply : ply]:
            position.play(move)
        turn = next((moves for _, _, moves in self.turns if moves[-1][0] >= ply), [])
        last = [move for at, move in turn if at <= ply]
        record, title = self.recorded.record, self.recorded.title
        return view(position, names=record.seats, last_turn=last, title=title)

    def candidates(self, board: BoardView) -> list[Candidate]:
        """Return the moves that were searched in a position of the game, the best first."""
        ply = board.position.ply
        decision = self.decisions.get(ply)
        if decision is None:
            return []
        legal, played = board.position.legal(), self.moves[ply] if ply < len(self.moves) else ""
        pairs = zip(decision.indices.tolist(), decision.probabilities.tolist(), strict=True)
        known = ((legal[index], share) for index, share in pairs if index < len(legal))
        found = [Candidate(token, share, token == played) for token, share in known]
        return sorted(found, key=lambda one: -one.share)

    def values(self) -> dict[int, list[float]]:
        """Return the values of all seats, -1 to 1, by ply of the searched decisions."""
        return {ply: decision.values.tolist() for ply, decision in self.decisions.items()}


def _replayed(record: Record) -> tuple[list[Turn], list[Position]]:
    """Return the turns of a game, and its positions at plies 0, `SNAPSHOT_PLIES`, ..."""
    position = record.start()
    turns, every = list[Turn](), [position.copy()]
    for ply, move in enumerate(record.moves, 1):
        if not turns or turns[-1][0] != position.turn_number:
            turns.append((position.turn_number, position.seat, []))
        turns[-1][2].append((ply, move))
        position.play(move)
        if ply % SNAPSHOT_PLIES == 0:
            every.append(position.copy())
    return turns, every
