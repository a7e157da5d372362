"""A recorded game, from the log or from a file, and its position after any ply."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ringrift.errors import CommandError
from ringrift.events import Recorded, facts
from ringrift.insight.board.drawing import BoardView, view
from ringrift.learning.ends import LIMIT as STOPPED, REASON as ENDED_WITHIN_TURN
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES
from ringrift.rules import PHASES, Config, Position, Record
from ringrift.rules.record import UNFINISHED

RECORD_BYTES_MAX = 4 * 1024 * 1024
"""Of a file with a game record; the longest game has some 30 kB."""
WINNER_TAG = "Winner"
"""Header of a record whose game ended within a turn, so that its moves do not say who won."""
CLOCK_SKEW_MAX = timedelta(minutes=1)
"""Between the writer of a request and the server that stored its games."""
_POSITION = re.compile(rf"(?:{GAMES}/)?(\d+)")
_OF_TICKET = re.compile(r"(?:selfplay|evaluation)-events-(\d+)-")


class RecordedGame(NamedTuple):
    """A game record, and the id or file it comes from."""

    title: str
    record: Record

    @classmethod
    def of(cls, fact: facts.GameCompleted) -> RecordedGame:
        """Return a game of the log."""
        names = tuple(seat.participant for seat in fact.seats)
        moves, result = tuple(fact.moves.split()), f"{fact.winner} {fact.reason}"
        return cls(fact.game, Record(Config.parse(fact.config), names, fact.pie, moves, result))

    @classmethod
    def read(cls, name: str | Path) -> RecordedGame | None:
        """Return the game of a record file (rules, section 21.3), None if `name` is rather the id
        of a game in the log. Raises RulesError, CommandError."""
        path = Path(name)
        if not path.is_file():
            if "." in path.name:  # ids have no dots
                raise CommandError(f"there is no file {path}")
            return None
        try:
            if path.stat().st_size > RECORD_BYTES_MAX:
                size = f"more than {RECORD_BYTES_MAX:,} bytes"
                raise CommandError(f"{path} is not a game record: it has {size}")
            return cls(path.name, Record.parse(path.read_text(encoding="ascii")))
        except UnicodeDecodeError as error:
            where = f"byte {error.start} is not ASCII"
            raise CommandError(f"{path} is not a game record: {where}") from error

    def text(self) -> str:
        """Return the game as a record (rules, section 21.3) that `Record.parse` and `ringrift
        import` read; the winner of a game that ended within a turn, or was stopped, is in its
        header."""
        winner, _, reason = self.record.result.partition(" ")
        tags, result = {"Id": self.title, **self.record.tags}, self.record.result
        if reason in (ENDED_WITHIN_TURN, STOPPED):
            tags, result = {**tags, WINNER_TAG: winner}, UNFINISHED
        return str(replace(self.record, tags=tags, result=result))

    def at(self, ply: int | None = None) -> BoardView:
        """Return the position after `ply` plies (None: all), with the moves of the turn that led to
        it. Raises RulesError, CommandError."""
        record, plies = self.record, len(self.record.moves)
        wanted = plies if ply is None else ply
        if not 0 <= wanted <= plies:
            raise CommandError(f"the game has plies 0 to {plies}, not {wanted}")
        position = Position.start(record.config, record.pie, record.lps_rounds)
        turn, last_turn = 0, list[str]()
        for move in record.moves[:wanted]:
            if position.turn_number != turn:
                turn, last_turn = position.turn_number, []
            last_turn.append(move)
            position.play(move)
        return view(position, names=record.seats, last_turn=last_turn, title=self.title)

    def document(self, board: BoardView) -> dict[str, Any]:
        """Return the game and a position of it as plain values."""
        position = board.position
        return {
            "game": self.title,
            "config": self.record.config.key,
            "pie": self.record.pie,
            "seats": self.record.seats,
            "plies": len(self.record.moves),
            "ply": position.ply,
            "position": position.text(),
            "to_act": position.seat,
            "phase": PHASES[position.phase],
            "winner": position.winner,
            "reason": position.reason,
            "legal": position.legal(),
            "last_turn": [move.token for move in board.last_turn],
            "moves": self.record.moves,
        }


async def find_game(log: Log, name: str, progress: Progress | None = None) -> RecordedGame:
    """Return the game with this id, or at this sequence of `GAMES`. Raises CommandError."""
    return RecordedGame.of((await find_fact(log, name, progress)).event)


async def find_fact(
    log: Log, name: str, progress: Progress | None = None
) -> Recorded[facts.GameCompleted]:
    """Return the event of the game with this id, or at this sequence of `GAMES`. Raises
    CommandError."""
    if place := _POSITION.fullmatch(name):
        found = await read.fact_at(log, f"{GAMES}/{place[1]}")
        if found is not None and isinstance(found.event, facts.GameCompleted):
            return Recorded(found.event, found.meta)
    else:
        config, since = await _origin(log, name)
        mark = msgspec.json.encode({"game": name})[1:-1]
        kind = facts.GameCompleted
        async for recorded in read.search(
            log, [mark], kind, scope=config, since=since, progress=progress
        ):
            if recorded.event.game == name:
                return recorded
    hint = "`ringrift events tail --subject 'ringrift.game.>'` lists ids"
    raise CommandError(f"{name} is neither a file nor a game in the log; {hint}")


async def _origin(log: Log, name: str) -> tuple[str | None, datetime | None]:
    """Return config and time of the request that the id of a game names, if it is in the log."""
    if ticket := _OF_TICKET.match(name):
        request = await read.fact_at(log, f"{EVENTS}/{ticket[1]}")
        if request is not None and isinstance(
            request.event, facts.SelfplayPlanned | facts.EvaluationRequested
        ):
            return request.event.config, request.meta.time - CLOCK_SKEW_MAX
    return None, None
