"""The log as typed DuckDB tables: a view per event type, and ready views over them. A projection:
delete the file, it comes back.

`refresh` reads on from the last sequence it has of each stream. The file remembers the shape of its
tables and the first event of its log; if either is another now it is made anew. Times are UTC."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import IO, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import duckdb
import msgspec
from msgspec import Struct

from ringrift.events import REGISTRY, Fact, Recorded
from ringrift.insight.sql.ready_views import READY_VIEWS
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES

FILE = "events.duckdb"
FLUSH_EVENTS = 20_000
"""events written to the tables at once: a million games would not fit in memory, and small inserts
are slow"""
ENVELOPE = {
    "seq": "BIGINT",
    "time": "TIMESTAMP",
    "id": "VARCHAR",
    "cause": "VARCHAR",
    "source": "VARCHAR",
}
LOG = {
    "position": "VARCHAR",
    "stream": "VARCHAR",
    "type": "VARCHAR",
    "scope": "VARCHAR",
    **ENVELOPE,
}
_SCALARS = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR", datetime: "TIMESTAMP"}

Connection = Any
"""a duckdb connection; the package has no types"""


class TablesBusy(Exception):
    """Another process has the file open."""


def view_name(kind: type[Fact]) -> str:
    """`GameCompleted` → `game_completed`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def columns(kind: type[Fact]) -> dict[str, str]:
    """Names and DuckDB types of an event type's columns: those of the envelope, then its fields.

    A field called like a column of the envelope is `fact_<name>`; bytes, such as a game's search
    targets, are left out."""
    found = dict(ENVELOPE)
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if (made := _column(hint)) is not None:
            found[_name(name)] = made
    return found


def _name(field: str) -> str:
    return f"fact_{field}" if field in ENVELOPE else field


def _column(hint: Any) -> str | None:
    """The DuckDB type of a field, None if it has none."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _column(arguments[0])
    if origin is Literal:
        return "VARCHAR"
    if origin in (Union, UnionType):
        kinds = [item for item in arguments if item is not NoneType]
        return _column(kinds[0]) if len(kinds) == 1 else "JSON"
    if origin is tuple:
        return _tuple(arguments)
    if isinstance(hint, type) and issubclass(hint, Struct):
        fields = {
            name: _column(item) for name, item in get_type_hints(hint, include_extras=True).items()
        }
        return (
            "STRUCT(" + ", ".join(f'"{name}" {made}' for name, made in fields.items() if made) + ")"
        )
    return None if hint is bytes else _SCALARS.get(hint, "JSON")


def _tuple(arguments: tuple[Any, ...]) -> str:
    """A list; of numbers where all are, in JSON where they are of several types."""
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return f"{_column(arguments[0])}[]"
    made = {_column(item) for item in arguments}
    return "DOUBLE[]" if made <= {"DOUBLE", "BIGINT"} else "JSON"


def _ddl() -> list[str]:
    """The statements that make an empty file."""

    def table(name: str, shape: dict[str, str]) -> str:
        return (
            f"CREATE TABLE {name} ("
            + ", ".join(f'"{column}" {made}' for column, made in shape.items())
            + ")"
        )

    made = [
        "CREATE SCHEMA raw",
        "CREATE TABLE raw.known (stream VARCHAR PRIMARY KEY, seq BIGINT, first VARCHAR)",
        "CREATE TABLE raw.shape (digest VARCHAR)",
        table("raw.log", LOG),
        "CREATE VIEW log AS FROM raw.log",
    ]
    for kind in REGISTRY.values():
        name = view_name(kind.fact_type)
        made += [
            table(f"raw.{name}", columns(kind.fact_type)),
            f"CREATE VIEW {name} AS FROM raw.{name}",
        ]
    return made + [f"CREATE VIEW {name} AS {text}" for name, text in READY_VIEWS.items()]


async def refresh(log: Log, path: Path, progress: Progress | None = None) -> int:
    """Bring the file up to the end of the log; events added. Raises TablesBusy, StreamError."""
    first = {stream: await _first(log, stream) for stream in (EVENTS, GAMES)}
    connection = _opened(path, first)
    try:
        added = 0
        for stream in (EVENTS, GAMES):
            added += await _read_on(log, connection, stream, first[stream], progress)
        return added
    finally:
        connection.close()


def open_tables(path: Path) -> Connection:
    """The file, for reading only. Raises TablesBusy."""
    return _connect(path, read_only=True)


def _connect(path: Path, *, read_only: bool = False) -> Connection:
    try:
        return duckdb.connect(str(path), read_only=read_only)
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise TablesBusy(
                f"{path} is in use by another process: end that `ringrift sql`, or wait for it"
            ) from error
        path.unlink(missing_ok=True)  # damaged: it is only a projection
        return duckdb.connect(str(path))


def _opened(path: Path, first: dict[str, str]) -> Connection:
    """The file if it is of this shape and this log, a new one otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connect(path)
    statements = _ddl()
    shape = hashlib.sha256("\n".join(statements).encode()).hexdigest()
    if not _fits(connection, shape, first):
        connection.close()
        path.unlink()
        connection = _connect(path)
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO raw.shape VALUES (?)", [shape])
    return connection


def _fits(connection: Connection, shape: str, first: dict[str, str]) -> bool:
    try:
        if connection.execute("SELECT digest FROM raw.shape").fetchall() != [(shape,)]:
            return False
        known = connection.execute("SELECT stream, first FROM raw.known").fetchall()
    except duckdb.Error:
        return False
    return all(first[stream] == mark for stream, mark in known)


async def _first(log: Log, stream: str) -> str:
    """What tells one log from another: id and time of storage of its first message."""
    entry = await log.get(stream, 1)
    return f"{entry.id} {entry.stamp_ns}" if entry else ""


async def _read_on(
    log: Log, connection: Connection, stream: str, first: str, progress: Progress | None
) -> int:
    row = connection.execute("SELECT seq FROM raw.known WHERE stream = ?", [stream]).fetchone()
    after, added = (row[0] if row else 0), 0
    waiting: list[Recorded] = []
    async for recorded in read.facts(log, after=after, stream=stream, progress=progress):
        waiting.append(recorded)
        if len(waiting) >= FLUSH_EVENTS:
            added += _flush(connection, stream, first, waiting)
    return added + _flush(connection, stream, first, waiting)


def _flush(connection: Connection, stream: str, first: str, waiting: list[Recorded]) -> int:
    """Put what is waiting into the tables, all of it or nothing, through a file of JSON lines for
    each table."""
    if not waiting:
        return 0
    with tempfile.TemporaryDirectory(prefix="ringrift-sql-") as folder:
        files = _written(Path(folder), waiting)
        connection.execute("BEGIN")
        for name, shape in files.items():
            listed = ", ".join(f"'{column}': '{made}'" for column, made in shape.items())
            source = f"read_json('{Path(folder) / name}', format='newline_delimited', columns={{{listed}}})"
            connection.execute(f"INSERT INTO raw.{name} SELECT * FROM {source}")
        last = waiting[-1].meta.seq
        connection.execute(
            "INSERT OR REPLACE INTO raw.known VALUES (?, ?, ?)", [stream, last, first]
        )
        connection.execute("COMMIT")
    count = len(waiting)
    waiting.clear()
    return count


def _written(folder: Path, waiting: list[Recorded]) -> dict[str, dict[str, str]]:
    """Write the lines of every table to a file of its name; the columns by table."""
    lines: dict[str, list[bytes]] = defaultdict(list)
    shapes: dict[str, dict[str, str]] = {"log": LOG}
    encoder = msgspec.json.Encoder()
    for event, meta in waiting:
        name, time = view_name(type(event)), meta.time.astimezone(UTC).replace(tzinfo=None)
        envelope = {
            "seq": meta.seq,
            "time": time,
            "id": meta.id,
            "cause": meta.cause,
            "source": meta.source,
        }
        if name not in shapes:
            shapes[name] = columns(type(event))
        fields = {
            _name(key): value
            for key, value in msgspec.structs.asdict(event).items()
            if not isinstance(value, bytes)
        }
        lines[name].append(encoder.encode(envelope | fields))
        scope, kind = meta.subject.split(".")[2], type(event).__name__
        lines["log"].append(
            encoder.encode(
                {
                    "position": meta.position,
                    "stream": meta.stream,
                    "type": kind,
                    "scope": scope,
                    **envelope,
                }
            )
        )
    for name, rows in lines.items():
        with (folder / name).open("wb") as file:
            _write(file, rows)
    return {name: shapes[name] for name in lines}


def _write(file: IO[bytes], rows: list[bytes]) -> None:
    for row in rows:
        file.write(row + b"\n")


def rows_of(connection: Connection, sql: str, *values: Any) -> Iterator[dict[str, Any]]:
    """Rows by column name. Raises duckdb.Error."""
    found = connection.execute(sql, list(values))
    names = [item[0] for item in found.description]
    while batch := found.fetchmany(1000):
        yield from (dict(zip(names, row, strict=True)) for row in batch)
