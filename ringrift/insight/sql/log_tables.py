"""The log as typed DuckDB tables: a view for every event type, and ready views over them.

The file is a projection: `refresh` reads on from the last sequence it has of each stream. It stores
the shape of its tables and the first event of its log; if either differs, it is recreated. Times
are UTC."""

import contextlib
import hashlib
import itertools
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import duckdb
import msgspec
from msgspec import Struct

from ringrift.errors import CommandError
from ringrift.events import REGISTRY, Fact, Recorded
from ringrift.insight.sql.ready_views import READY_VIEWS
from ringrift.insight.strength import people
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES

FILE = "events.duckdb"
FLUSH_EVENTS = 20_000
"""Events inserted at once: a million games do not fit in memory, and small inserts are slow."""
ENVELOPE = {"seq": "BIGINT", "time": "TIMESTAMP"}
ENVELOPE |= dict.fromkeys(("id", "cause", "source"), "VARCHAR")
LOG = dict.fromkeys(("position", "stream", "type", "scope"), "VARCHAR") | ENVELOPE
_SCALARS = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR", datetime: "TIMESTAMP"}

Connection = Any
"""A DuckDB connection; the package has no types."""


class TablesBusy(CommandError):
    """Another process has the file open."""


def view_name(kind: type[Fact]) -> str:
    """Return the name of an event type's view: `GameCompleted` → `game_completed`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def columns(kind: type[Fact]) -> dict[str, str]:
    """Return names and DuckDB types of an event type's columns: the envelope, then its fields.

    A field with the name of a column of the envelope is called `fact_<name>`. Bytes, such as the
    search targets of a game, have no column."""
    return ENVELOPE | {_name(name): type for name, type in _columns(kind).items()}


def _columns(kind: type) -> dict[str, str]:
    hints = get_type_hints(kind, include_extras=True)
    made = {name: _column(hint) for name, hint in hints.items()}
    return {name: type for name, type in made.items() if type is not None}


def _name(field: str) -> str:
    return f"fact_{field}" if field in ENVELOPE else field


def _column(hint: Any) -> str | None:
    """Return the DuckDB type of a field, None for bytes."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _column(arguments[0])
    if origin is Literal:
        return "VARCHAR"
    if origin in (Union, UnionType):
        kinds = [item for item in arguments if item is not NoneType]
        return _column(kinds[0]) if len(kinds) == 1 else "JSON"
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return f"{_column(arguments[0])}[]"
    if origin is tuple:
        numbers = {_column(item) for item in arguments} <= {"DOUBLE", "BIGINT"}
        return "DOUBLE[]" if numbers else "JSON"
    if isinstance(hint, type) and issubclass(hint, Struct):
        return f"STRUCT({_listed(_columns(hint))})"
    return None if hint is bytes else _SCALARS.get(hint, "JSON")


def _listed(shape: Mapping[str, str]) -> str:
    return ", ".join(f'"{name}" {made}' for name, made in shape.items())


def _statements() -> Iterator[str]:
    """Yield the statements that create an empty file."""
    yield "CREATE SCHEMA raw"
    yield "CREATE TABLE raw.known (stream VARCHAR PRIMARY KEY, seq BIGINT, first VARCHAR)"
    yield "CREATE TABLE raw.shape (digest VARCHAR)"
    yield f"CREATE TABLE raw.people ({_listed(_columns(people.PersonRating))})"
    shapes = {view_name(kind.fact_type): columns(kind.fact_type) for kind in REGISTRY.values()}
    for name, shape in {"log": LOG, **shapes}.items():
        yield f"CREATE TABLE raw.{name} ({_listed(shape)})"
        yield f"CREATE VIEW {name} AS FROM raw.{name}"
    yield from (f"CREATE VIEW {name} AS {text}" for name, text in READY_VIEWS.items())


async def refresh(log: Log, path: Path, progress: Progress | None = None) -> int:
    """Append the new events of the log to the file and return their number. Raises TablesBusy."""
    # the id and time of its first message distinguish a log from another
    entries = {stream: await log.get(stream, 1) for stream in (EVENTS, GAMES)}
    first = {
        stream: f"{entry.id} {entry.stamp_ns}" if entry else "" for stream, entry in entries.items()
    }
    with contextlib.closing(_opened(path, first)) as connection:
        added = [
            await _read_on(log, connection, stream, mark, progress)
            for stream, mark in first.items()
        ]
        if any(added):
            await _rate_people(log, connection)
    return sum(added)


async def _rate_people(log: Log, connection: Connection) -> None:
    """Fill the table of people's ratings."""
    rows = await people.ratings(log, _human_games(connection))
    connection.execute("DELETE FROM raw.people")
    if rows:
        places = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO raw.people VALUES ({places})", rows)


def _human_games(connection: Connection) -> list[tuple[int, people.HumanGame]]:
    rows = rows_of(connection, "FROM raw.game_completed WHERE origin = 'human' ORDER BY seq")
    return [(row["seq"], msgspec.convert(row, people.HumanGame)) for row in rows]


def open_tables(path: Path, *, read_only: bool = True) -> Connection:
    """Open the file. Raises TablesBusy."""
    try:
        return duckdb.connect(str(path), read_only=read_only)
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            remedy = "end that `ringrift sql`, or wait for it"
            raise TablesBusy(f"{path} is in use by another process: {remedy}") from error
        path.unlink(missing_ok=True)  # damaged, and only a projection
        return duckdb.connect(str(path))


def _opened(path: Path, first: Mapping[str, str]) -> Connection:
    """Open the file for writing, recreated if its shape or its log differs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = open_tables(path, read_only=False)
    statements = list(_statements())
    shape = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    if not _fits(connection, shape, first):
        connection.close()
        path.unlink()
        connection = open_tables(path, read_only=False)
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO raw.shape VALUES (?)", [shape])
    return connection


def _fits(connection: Connection, shape: str, first: Mapping[str, str]) -> bool:
    try:
        if connection.execute("SELECT digest FROM raw.shape").fetchall() != [(shape,)]:
            return False
        known = connection.execute("SELECT stream, first FROM raw.known").fetchall()
    except duckdb.Error:
        return False
    return all(first[stream] == mark for stream, mark in known)


async def _read_on(
    log: Log, connection: Connection, stream: str, first: str, progress: Progress | None
) -> int:
    """Insert the events of a stream after the last inserted one; return their number."""
    row = connection.execute("SELECT seq FROM raw.known WHERE stream = ?", [stream]).fetchone()
    after, added = (row[0] if row else 0), 0
    waiting: list[Recorded] = []
    async for recorded in read.facts(log, after=after, stream=stream, progress=progress):
        waiting.append(recorded)
        if len(waiting) >= FLUSH_EVENTS:
            added += _flush(connection, stream, first, waiting)
    return added + _flush(connection, stream, first, waiting)


def _flush(connection: Connection, stream: str, first: str, waiting: list[Recorded]) -> int:
    """Insert all waiting events in one transaction, through a file of JSON lines per table."""
    if not waiting:
        return 0
    with tempfile.TemporaryDirectory(prefix="ringrift-sql-") as folder:
        # DuckDB reads a file much faster than it inserts rows one by one
        shapes = _write(Path(folder), waiting)
        connection.execute("BEGIN")
        for name, shape in shapes.items():
            file = Path(folder) / name
            options = f"format='newline_delimited', columns={shape}"
            connection.execute(f"INSERT INTO raw.{name} FROM read_json('{file}', {options})")
        known = [stream, waiting[-1].meta.seq, first]
        connection.execute("INSERT OR REPLACE INTO raw.known VALUES (?, ?, ?)", known)
        connection.execute("COMMIT")
    count = len(waiting)
    waiting.clear()
    return count


def _write(folder: Path, waiting: Iterable[Recorded]) -> dict[str, dict[str, str]]:
    """Write the rows of each table to a file of its name; return the columns by table."""
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    shapes: dict[str, dict[str, str]] = {"log": LOG}
    for event, meta in waiting:
        name = view_name(type(event))
        if name not in shapes:
            shapes[name] = columns(type(event))
        envelope = {column: getattr(meta, column) for column in ENVELOPE}
        envelope["time"] = meta.time.astimezone(UTC).replace(tzinfo=None)
        values = msgspec.structs.asdict(event)
        fields = {_name(key): value for key, value in values.items() if type(value) is not bytes}
        lines[name].append(envelope | fields)
        about = meta.position, meta.stream, type(event).__name__, meta.subject.split(".")[2]
        lines["log"].append(dict(zip(LOG, about, strict=False)) | envelope)
    encoder = msgspec.json.Encoder()
    for name, rows in lines.items():
        (folder / name).write_bytes(encoder.encode_lines(rows))
    return {name: shapes[name] for name in lines}


def rows_of(connection: Connection, sql: str, *values: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a statement, by column name; a name that occurs twice gets a number. Raises
    duckdb.Error."""
    found = connection.execute(sql, list(values))
    names: dict[str, None] = {}
    for name, *_ in found.description or ():
        wanted = name
        for number in itertools.count(1):
            if wanted not in names:
                break
            wanted = f"{name}_{number}"
        names[wanted] = None
    while batch := found.fetchmany(1000):
        yield from (dict(zip(names, row, strict=True)) for row in batch)
