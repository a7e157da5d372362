"""Game databases of the old system: SQLite files of every version of its schema.

The source is never written to: a file is opened as immutable; one with a write-ahead log or a
journal next to it is copied with them first, because reading would change them."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from ringrift.errors import CommandError
from ringrift.legacy.moves import FORMS, Move, bare, form_of
from ringrift.legacy.records import (
    FINISHED,
    Record,
    State,
    decoded,
    first_state,
    from_start,
    number,
    read_moves,
    state_of,
)
from ringrift.legacy.replay import OldGame

SQLITE: Final = b"SQLite format 3\x00"
_MOVE: Final = {form: msgspec.json.Decoder(form) for form in FORMS}
_MOVES: Final = {form: msgspec.json.Decoder(list[form]) for form in FORMS}  # type: ignore[valid-type]
_RECORD: Final = msgspec.json.Decoder(Record)
DAMAGE: Final = (sqlite3.DatabaseError, UnicodeDecodeError)
"""errors of a damaged file; the library fails to decode some of its own messages"""
_BESIDE: Final = ("-wal", "-journal", "-shm")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads. Raises CommandError for a file in use or without a table."""
    with contextlib.ExitStack() as leaving:
        source, options = path, "immutable=1"
        beside = [path.with_name(path.name + end) for end in _BESIDE]
        if any(one.exists() and one.stat().st_size for one in beside[:2]):
            folder = Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="ringrift-")))
            source, options = folder / path.name, "mode=rw"
            for one in (path, *beside):
                if one.exists():
                    shutil.copyfile(one, folder / one.name)
        else:
            _refuse_locked(path)
        name = f"file:{quote(bytes(source.resolve()))}?{options}"
        database = sqlite3.connect(name, uri=True, check_same_thread=False)
        leaving.callback(database.close)
        database.row_factory, database.text_factory = sqlite3.Row, bytes
        yield database


def _refuse_locked(path: Path) -> None:
    with path.open("rb") as file:
        in_wal_mode = file.read(20)[18:20] == b"\x02\x02"
    if in_wal_mode:  # it has no log, so no program has it open
        return
    name = f"file:{quote(bytes(path.resolve()))}?mode=ro"
    with contextlib.closing(sqlite3.connect(name, uri=True, timeout=0.0)) as database:
        try:
            database.execute("SELECT 1 FROM sqlite_master").fetchall()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise CommandError("another program is writing it: stop that or copy it") from error


def tables(database: sqlite3.Connection) -> dict[str, set[str]]:
    """The columns of each table. Raises sqlite3.DatabaseError."""
    names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    found = {}
    for (name,) in names:
        quoted = name.decode().replace('"', '""')
        rows = database.execute(f'PRAGMA table_info("{quoted}")').fetchall()
        found[name.decode()] = {row["name"].decode() for row in rows}
    return found


def count_of(database: sqlite3.Connection) -> int:
    """Number of games, for the progress. Raises sqlite3.DatabaseError."""
    return int(database.execute("SELECT count(*) FROM games").fetchone()[0])


def games_of(database: sqlite3.Connection) -> Iterator[OldGame]:
    """Every game; those that cannot be read have a defect. Raises sqlite3.DatabaseError where the
    table of games is damaged."""
    known = tables(database)
    for found in database.execute("SELECT * FROM games"):
        row = row_of(found)
        try:
            yield _game(database, known, row)
        except DAMAGE as error:
            why = f"the file is damaged here: {error}"
            yield OldGame(id=str(row.get("game_id")), defect=("unreadable", why))


def row_of(row: sqlite3.Row) -> dict[str, Any]:
    """The values of a row by column, texts as `str` whatever their bytes."""
    values = ((name, row[name]) for name in row.keys())  # noqa: SIM118
    return {name: _plain(value) for name, value in values}


def _plain(value: object) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _game(database: sqlite3.Connection, known: dict[str, set[str]], row: dict[str, Any]) -> OldGame:
    name, status = row.get("game_id"), str(row.get("game_status")).lower()
    game = OldGame(
        id=str(name),
        board=str(row.get("board_type")),
        seats=number(row.get("num_players")) or 0,
        winner=number(row.get("winner")) or 0,
        finished=status.split(":")[0] in FINISHED,
        total=number(row.get("total_moves")),
        seconds=max(0, number(row.get("duration_ms")) or 0) / 1000,
    )
    if "ai_type" in known.get("game_players", ()):
        query = "SELECT * FROM game_players WHERE game_id = ? ORDER BY player_number"
        rows = map(row_of, database.execute(query, (name,)))
        game.players = tuple(str(one["ai_type"] or one["player_type"]) for one in rows)
    if row.get("moves"):
        read_moves(game, str(row["moves"]).encode())
    elif "move_json" in known.get("game_moves", ()):
        _read_rows(database, game)
    elif "game_moves" in known:
        query = "SELECT 1 FROM game_moves WHERE game_id = ? LIMIT 1"
        if database.execute(query, (name,)).fetchone():
            game.defect = "moves_without_origin", "the moves have one cell each, and no count"
    return from_start(game, _first_state(database, known, row))


def _read_rows(database: sqlite3.Connection, game: OldGame) -> None:
    """Read the rows of the moves, which are numbered from 0 without gaps."""
    query = "SELECT move_number, player, move_json FROM game_moves WHERE game_id = ? ORDER BY 1"
    cursor = database.cursor()
    cursor.row_factory = None  # plain tuples
    rows = cursor.execute(query, (game.id,)).fetchall()
    game.moves = _at_once([text for _, _, text in rows])
    for index, (at, player, text) in enumerate(rows):
        if at != index:
            game.defect, game.at = ("gap_in_moves", f"move {index} is missing"), index
            del game.moves[index:]
            return
        try:
            if index == len(game.moves):
                game.moves += bare([decoded(_MOVE[form_of(text)], text)])
        except (ValueError, TypeError) as error:
            game.defect, game.at = ("bad_move_json", f"move {index}: {error}"), index
            return
        if game.moves[index].player is None:
            game.moves[index].player = number(player)


def _at_once(texts: list[bytes]) -> list[Move]:
    """The moves in one decoding, several times as fast as one by one; none if that fails."""
    if not texts:
        return []
    try:
        data = b"[%b]" % b",".join(texts)
        form = form_of(data)
        moves = bare(_MOVES[form].decode(data))
        return moves if len(moves) == len(texts) and form is form_of(texts[0]) else []
    except (ValueError, TypeError):
        return []


def _first_state(
    database: sqlite3.Connection, known: dict[str, set[str]], row: dict[str, Any]
) -> State:
    if "game_initial_state" in known:
        query = "SELECT initial_state_json, compressed FROM game_initial_state WHERE game_id = ?"
        found = database.execute(query, (row.get("game_id"),)).fetchone()
        if found is not None:
            with contextlib.suppress(OSError, EOFError, TypeError):
                return state_of(gzip.decompress(found[0]) if found[1] else found[0])
    try:  # a converted record is kept whole
        return first_state(decoded(_RECORD, str(row.get("metadata_json") or "{}").encode()))
    except ValueError:
        return State()
