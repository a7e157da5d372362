"""Game records as JSON objects, by whichever of the old programs, and files with one a line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from ringrift.legacy.moves import Move, bare, form_of
from ringrift.legacy.replay import OldGame

LINE_BYTES_MAX: Final = 256 * 1024 * 1024
"""of one game, decompressed; the longest has some 5 MB"""
FINISHED: Final = ("completed", "finished")
_SIZES: Final = {8: "square8", 9: "hex8", 19: "square19", 25: "hexagonal"}
"""boards of records that name only the size of the grid"""
NOTHING: Final = Raw(b"")
"""of a field that a record lacks"""
_DAMAGE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Options(Struct, gc=False):
    swap: bool | None = msgspec.field(default=None, name="swapRuleEnabled")


class _Filled(Struct, gc=False):
    stacks: dict[str, Raw] = {}
    markers: dict[str, Raw] = {}


class State(Struct, gc=False):
    """What is read of a state: whether the pie rule is on and the board is empty."""

    camel: _Options | None = msgspec.field(default=None, name="rulesOptions")
    snake: _Options | None = msgspec.field(default=None, name="rules_options")
    board: _Filled | None = None

    @property
    def pie(self) -> bool:
        options = self.camel or self.snake
        return bool(options and options.swap)

    @property
    def empty(self) -> bool:
        return not self.board or not (self.board.stacks or self.board.markers)


class Record(Struct, gc=False):
    """A game record; each format has some of these fields. `Any` where programs disagree."""

    game_id: Any = None
    id: Any = None
    index: Any = None
    board_type: Any = None
    boardType: Any = None  # noqa: N815  names of the old system, as all below
    board_size: Any = None
    num_players: Any = None
    numPlayers: Any = None  # noqa: N815
    status: Any = None
    game_status: Any = None
    winner: Any = None
    outcome: Any = None
    moves: Raw = NOTHING
    initial_state: Raw = NOTHING
    initialState: Raw = NOTHING  # noqa: N815
    total_moves: Any = None
    totalMoves: Any = None  # noqa: N815
    num_moves: Any = None
    move_count: Any = None
    length: Any = None
    players: Any = None
    player_types: Any = None
    engine_mode: Any = None
    model_a: Any = None
    duration_ms: Any = None


_RECORD: Final = msgspec.json.Decoder(Record)
_STATE: Final = msgspec.json.Decoder(State | None)
_MARKS: Final = ("game_id", "board_type", "boardType", "board_size", "moves", "initial_state")
"""fields of which a game record has at least one"""


def decoded(decoder: msgspec.json.Decoder[Any], data: bytes | Raw) -> Any:
    """What `data` holds. Numbers such as NaN, which the old programs wrote, are read too. Raises
    msgspec.DecodeError, UnicodeDecodeError."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except _DAMAGE:
        try:
            plain = json.loads(bytes(data), parse_constant=lambda _: None)
            return decoder.decode(msgspec.json.encode(plain))
        except msgspec.ValidationError:
            raise
        except (ValueError, RecursionError) as error:
            raise msgspec.DecodeError(str(error)) from error


def state_of(data: bytes | Raw) -> State:
    """The state in `data`; an empty one if it cannot be read."""
    try:
        return decoded(_STATE, data) or State()
    except _DAMAGE:
        return State()


def first_state(found: Record) -> State:
    """The state that a game began with, as its record says."""
    camel, snake = found.initialState, found.initial_state
    return state_of(camel if snake == NOTHING else snake)


def number(value: object) -> int | None:
    """A whole number, also one written as text; None for anything else."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def moves_in(data: bytes) -> list[Move]:
    """The moves of a JSON list of objects, or of texts that hold objects. Raises ValueError."""
    form = form_of(data)
    try:
        return bare(msgspec.json.decode(data, type=list[form]))  # type: ignore[valid-type]
    except _DAMAGE:
        items = json.loads(data)
        texts = [one if isinstance(one, str) else json.dumps(one) for one in items]
        return bare(msgspec.json.decode(one, type=form_of(one.encode())) for one in texts)


def read_moves(game: OldGame, data: bytes | Raw) -> OldGame:
    """Put the moves in `data` into the game, or the reason why they cannot be read."""
    try:
        game.moves = moves_in(bytes(data)) if bytes(data) not in (b"", b"null") else []
    except (ValueError, TypeError, RecursionError) as error:
        game.defect = "bad_move_json", f"moves: {error}"
    return game


def from_start(game: OldGame, state: State) -> OldGame:
    """Take the pie rule from the first state, which must have an empty board."""
    game.pie = state.pie
    if not state.empty and game.defect is None:
        game.defect = "not_from_start", "the game begins with pieces on the board"
    return game


def game_of(line: bytes, number_of_line: int) -> OldGame:
    """The game in one line of JSON."""
    try:
        found = decoded(_RECORD, line)
    except msgspec.ValidationError:
        return _no_game(number_of_line)
    except _DAMAGE as error:
        defect = "bad_json", f"line {number_of_line} is no JSON: {error}"
        return OldGame(id=None, line=number_of_line, defect=defect)
    if not any(getattr(found, name) not in (None, NOTHING) for name in _MARKS):
        return _no_game(number_of_line)
    return _read(found, number_of_line)


def _no_game(line: int) -> OldGame:
    defect = "not_a_game_record", f"line {line} is no game record"
    return OldGame(id=None, line=line, defect=defect)


def _read(found: Record, line: int) -> OldGame:
    name = found.game_id if found.game_id is not None else found.id
    if name is None and found.index is not None:
        name = f"index:{found.index}"
    board = found.board_type or found.boardType or _SIZES.get(number(found.board_size) or 0)
    winner, decided = number(found.winner) or 0, found.winner is not None
    if isinstance(found.outcome, dict):
        winner, decided = _best(found.outcome), True
    totals = (found.total_moves, found.totalMoves, found.num_moves, found.move_count, found.length)
    game = OldGame(
        id=None if name is None else str(name),
        line=line,
        board=str(board or ""),
        winner=winner,
        finished=_is_finished(found.status or found.game_status, decided),
        total=next((value for value in map(number, totals) if value is not None), None),
        players=_names(found),
        seconds=max(0.0, (number(found.duration_ms) or 0) / 1000),
    )
    read_moves(game, found.moves)
    seats = number(found.num_players if found.num_players is not None else found.numPlayers)
    game.seats = seats if seats is not None else max([2, *(m.player or 0 for m in game.moves)])
    return from_start(game, first_state(found))


def _is_finished(status: object, decided: bool) -> bool:
    """Whether a status says that the game is over; without one, a recorded winner does."""
    if not isinstance(status, str):
        return decided
    return status.lower().split(":")[0] in FINISHED


def _best(scores: dict[str, Any]) -> int:
    """The seat with the highest score, 0 if several share it."""
    values = {seat: score for seat, score in scores.items() if isinstance(score, int | float)}
    best = [seat for seat, score in values.items() if score == max(values.values())]
    return number(best[0]) or 0 if len(best) == 1 else 0


def _names(found: Record) -> tuple[str, ...]:
    """What the record says about the players, by seat; empty if nothing."""
    if isinstance(found.players, list):
        return tuple(
            str(player.get("aiType") or player.get("playerType") or "ai")
            for player in found.players
            if isinstance(player, dict)
        )
    if isinstance(found.player_types, list):
        return tuple(map(str, found.player_types))
    return (str(found.engine_mode),) if found.engine_mode else ()


def games_in(path: Path) -> Iterator[tuple[OldGame, int]]:
    """The games of a file with one JSON object a line, and the bytes of the file read so far.

    Plain or gzip by content, not by name; a stream that is cut yields what can be read of its last
    line. Raises OSError."""
    number_of_line, rest = 0, b""
    for data, at in _chunks(path):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            number_of_line += 1
            if text := line.removeprefix(b"\xef\xbb\xbf").strip():
                yield game_of(text, number_of_line), at
        if len(rest) > LINE_BYTES_MAX:
            raise OSError(f"line {number_of_line + 1} has more than {LINE_BYTES_MAX:,} bytes")
    if text := rest.removeprefix(b"\xef\xbb\xbf").strip():
        yield game_of(text, number_of_line + 1), at


def _chunks(path: Path, size: int = 1 << 20) -> Iterator[tuple[bytes, int]]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        while True:
            try:
                data = file.read1(size) if packed else file.read(size)
            except (EOFError, zlib.error, gzip.BadGzipFile):  # cut or damaged: the rest is lost
                return
            if not data:
                return
            yield data, raw.tell()
