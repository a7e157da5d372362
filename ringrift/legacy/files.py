"""Which files there are, and what each is by its content, whatever its name says."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ringrift.errors import CommandError
from ringrift.insight.board.recorded_game import RECORD_BYTES_MAX, WINNER_TAG
from ringrift.legacy import databases, records
from ringrift.legacy.replay import OldGame
from ringrift.legacy.words import REFUSED
from ringrift.rules import NotationError, Record, RulesError
from ringrift.rules.record import UNFINISHED

ENDINGS: Final = (
    *(".db", ".sqlite", ".sqlite3", ".jsonl", ".jsonl.gz", ".ndjson", ".record"),
    *(".npz", ".pt", ".pth"),
)
"""of the files that are taken from a directory; a file that is named is taken whatever its name"""
HEAD_BYTES: Final = 64


class RatingsFound(Exception):
    """The file is a database of ratings, which holds no games."""


class Found(NamedTuple):
    """A game, and the part of its file that is read, as bytes of its size."""

    game: OldGame
    read: int


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files that the paths name, those of directories in order of their names, each once.

    Raises CommandError for a path that is neither, such as a pipe."""
    found: dict[Path, None] = {}
    for path in paths:
        if not (path.is_file() or path.is_dir()):
            raise CommandError(f"there is no regular file or directory {path}")
        if path.is_dir():
            below = sorted(one for one in path.rglob("*") if one.is_file())
            found |= dict.fromkeys(one for one in below if one.name.endswith(ENDINGS))
        else:
            found[path] = None
    return list(found)


def games_of(path: Path) -> Iterator[Found]:
    """The games of a file. Raises CommandError with the reason if it holds none that could be
    read, RatingsFound for a database of ratings."""
    try:
        size, head = path.stat().st_size, _head(path)
        if not size:
            raise CommandError("the file is empty")
        if head.startswith(databases.SQLITE):
            yield from _of_database(path, size)
        elif head.startswith(b"PK\x03\x04"):
            raise CommandError(_refusal(path))
        elif head.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"["):
            if head.startswith(b"[Game "):
                yield Found(_record(path), size)
                return
            yield from (Found(game, at) for game, at in records.games_in(path))
        else:
            raise CommandError(REFUSED["hosts" if path.suffix in (".yaml", ".yml") else "unknown"])
    except databases.DAMAGE as error:
        raise CommandError(f"the database cannot be read: {error}") from error
    except OSError as error:
        raise CommandError(f"cannot be read: {error.strerror or error}") from error


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        with gzip.open(path) as packed:
            return packed.read1(HEAD_BYTES)
    except (EOFError, OSError, zlib.error) as error:
        raise CommandError(f"the gzip stream is damaged from its beginning: {error}") from error


def _of_database(path: Path, size: int) -> Iterator[Found]:
    with databases.opened(path) as database:
        known = databases.tables(database)
        if "games" not in known:
            names = {"match_history", "elo_ratings"}
            raise RatingsFound if names & known.keys() else CommandError(REFUSED["no_games"])
        total = databases.count_of(database)
        for done, game in enumerate(databases.games_of(database), start=1):
            yield Found(game, size * done // max(1, total))


def _refusal(path: Path) -> str:
    """Why an archive holds nothing to import: arrays of training, or weights."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return REFUSED["archive"]
    return REFUSED["arrays" if all(name.endswith(".npy") for name in names) else "weights"]


def _record(path: Path) -> OldGame:
    """The game of a record of ours."""
    try:
        if path.stat().st_size > RECORD_BYTES_MAX:
            raise CommandError(f"a game record has at most {RECORD_BYTES_MAX:,} bytes")
        record = Record.parse(path.read_text(encoding="ascii"))
    except (NotationError, RulesError, UnicodeDecodeError) as error:
        return OldGame(id=path.name, defect=("illegal_move", f"no game record: {error}"))
    over = record.result != UNFINISHED
    winner = record.result.split()[0] if over else record.tags.get(WINNER_TAG, "0")
    return OldGame(
        id=record.tags.get("Id", path.name),
        board=record.config.board,
        seats=record.config.seats,
        pie=record.pie,
        tokens=list(record.moves),
        winner=records.number(winner) or 0,
        finished=over or winner != "0",
        players=record.seats,
    )
