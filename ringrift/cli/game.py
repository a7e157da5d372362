"""`ringrift game show`: a game from the log or from a file, its position at any ply, in text and as
a picture."""

from __future__ import annotations

import argparse
import asyncio
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from ringrift.cli.source import console, opened, progress
from ringrift.errors import CommandError
from ringrift.events import UndecodableEvent
from ringrift.events.facts import EvaluationRequested, GameCompleted, SelfplayPlanned
from ringrift.insight.board.board_svg import svg
from ringrift.insight.board.drawing import BoardView, text, view
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS, GAMES
from ringrift.rules import Config, Position, Record, RulesError

CLOCK_SKEW = timedelta(minutes=1)
_OF_TICKET = re.compile(r"(?:selfplay|evaluation)-events-(\d+)-")
_POSITION = re.compile(r"(?:GAMES/)?(\d+)")
RECORD_BYTES_MAX = 4 * 1024 * 1024
"""of a file with a game record; the longest game has some 30 kB"""


@dataclass(frozen=True, kw_only=True)
class Game:
    """Moves of a game, who sat where, and where it was found."""

    title: str
    config: Config
    pie: bool
    lps_rounds: int
    names: tuple[str, ...]
    moves: tuple[str, ...]


def show(options: argparse.Namespace) -> int:
    """Draw the position after `--ply` plies, by default the last."""
    path = Path(options.game)
    try:
        game = read_record(path) if path.is_file() else asyncio.run(_from_log(options))
        board, position = at_ply(game, options.ply)
    except RulesError as error:
        raise CommandError(f"game {options.game}: {error}") from error
    if options.svg:
        try:
            options.svg.write_text(svg(board), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"cannot write {options.svg}: {error.strerror}") from error
    if options.json:
        print(msgspec.json.encode(_document(game, board, position)).decode())
        return 0
    console().print(text(board), soft_wrap=True)
    if options.svg:
        console().print(f"picture: {options.svg}", soft_wrap=True)
    return 0


def read_record(path: Path) -> Game:
    """The game of a record file (section 21.3). Raises RulesError, CommandError."""
    try:
        if path.stat().st_size > RECORD_BYTES_MAX:
            raise CommandError(
                f"{path} has more than {RECORD_BYTES_MAX:,} bytes: it is no game record"
            )
        record = Record.parse(path.read_text(encoding="ascii"))
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is no game record: byte {error.start} is not ASCII") from error
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    return Game(
        title=path.name,
        config=record.config,
        pie=record.pie,
        lps_rounds=record.lps_rounds,
        names=record.seats,
        moves=record.moves,
    )


def at_ply(game: Game, ply: int | None) -> tuple[BoardView, Position]:
    """The position after `ply` plies (None: all) with the moves of the turn that led to it. Raises
    RulesError, CommandError."""
    wanted = len(game.moves) if ply is None else ply
    if not 0 <= wanted <= len(game.moves):
        raise CommandError(f"the game has plies 0 to {len(game.moves)}, not {wanted}")
    position = Position.start(game.config, game.pie, game.lps_rounds)
    turn, last_turn = 0, list[str]()
    for move in game.moves[:wanted]:
        if position.turn_number != turn:
            turn, last_turn = position.turn_number, []
        last_turn.append(move)
        position.play(move)
    return view(position, names=game.names, last_turn=last_turn, title=game.title), position


async def _from_log(options: argparse.Namespace) -> Game:
    if "." in options.game:  # ids have no dots
        raise CommandError(f"there is no file {options.game}")
    async with opened(options) as log:
        fact = await find_game(log, options.game)
    if fact is None:
        hint = "`ringrift events tail --subject 'ringrift.game.>'` lists ids"
        raise CommandError(f"{options.game} is neither a file nor a game in the log; {hint}")
    return Game(
        title=fact.game,
        config=Config.parse(fact.config),
        pie=fact.pie,
        lps_rounds=3,
        names=tuple(seat.participant for seat in fact.seats),
        moves=tuple(fact.moves.split()),
    )


async def find_game(log: JetStreamLog, name: str) -> GameCompleted | None:
    """The game with this id, or at this sequence of `GAMES`; None if it is not there.

    An id names the request it was played for, which tells the config and the time from which to
    look."""
    try:
        if place := _POSITION.fullmatch(name):
            found = await read.fact_at(log, f"{GAMES}/{place[1]}")
            return found.event if found and isinstance(found.event, GameCompleted) else None
        ticket = _OF_TICKET.match(name)
        request = await read.fact_at(log, f"{EVENTS}/{ticket[1]}") if ticket else None
    except UndecodableEvent as error:
        raise CommandError(str(error)) from error
    where: dict[str, Any] = {}
    if request and isinstance(request.event, SelfplayPlanned | EvaluationRequested):
        where = {"scope": request.event.config, "since": request.meta.time - CLOCK_SKEW}
    mark = msgspec.json.encode({"game": name})[1:-1]
    with progress("looking through GAMES") as report:
        async for game, _ in read.search(log, [mark], GameCompleted, **where, progress=report):
            if game.game == name:
                return game
    return None


def _document(game: Game, board: BoardView, position: Position) -> dict[str, Any]:
    return {
        "game": game.title,
        "config": game.config.key,
        "pie": game.pie,
        "seats": game.names,
        "plies": len(game.moves),
        "ply": board.ply,
        "position": position.text(),
        "to_act": board.to_act,
        "phase": board.phase,
        "winner": position.winner,
        "reason": position.reason,
        "legal": position.legal(),
        "last_turn": [move.token for move in board.last_turn],
        "moves": game.moves,
    }
