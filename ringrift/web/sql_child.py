"""The child process of the SQL page: brings the tables up to date, or answers one statement.

    python -m ringrift.web.sql_child fill FILE [KEPT]       the log is $RINGRIFT_SERVER
    python -m ringrift.web.sql_child serve FILE             answers lists of statements
    python -m ringrift.web.sql_child csv|parquet FILE OUT   the statement is on the input

A statement reads the tables and nothing else: no other file, no network, no extension, no setting
can be changed. The exit status of a statement that is refused or fails is 1.

`fill` replaces the file by a newer one, so that it can be read meanwhile, and begins with the file
that was kept before. `serve` reads a JSON list
of statements after its size, and writes a `Reply` after its size, again and again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from ringrift.web.children import SIZE_BYTES

Connection = Any
"""A DuckDB connection; the package has no types."""
MEMORY = "1GB"
STATEMENT_SECONDS_MAX = 10.0
ROWS_SHOWN_MAX = 500
KEPT_EVENTS_MIN = 20_000
"""new ones after which the kept file is replaced too"""
ROWS_FILE_MAX = 200_000
FORMATS = {"csv": "FORMAT csv, HEADER", "parquet": "FORMAT parquet"}
READING = {"StatementType.SELECT", "StatementType.EXPLAIN"}


class Answer(msgspec.Struct):
    """The rows of a statement, and whether there are more than these."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool


class Reply(msgspec.Struct):
    """The answers to a list of statements, or why there are none."""

    answers: list[Answer] = []
    problem: str = ""


async def fill(path: Path, kept: Path | None = None) -> None:
    """Append the new events of the log to the tables beside the file, and replace the file; from
    time to time the kept one, too."""
    from ringrift.insight.sql.log_tables import refresh  # most of the time of a start
    from ringrift.log.jetstream import JetStreamLog

    log = await JetStreamLog.open(os.environ["RINGRIFT_SERVER"], name="ringrift web sql")
    growing = _begun(path, kept)
    try:
        added = await refresh(log, growing)
    finally:
        await log.close()
    _replace(path, growing)
    if kept and added >= KEPT_EVENTS_MIN:
        with contextlib.suppress(OSError):  # it only saves time
            _replace(kept, growing)


def _begun(path: Path, kept: Path | None) -> Path:
    """The file that grows, at first a copy of the kept one."""
    growing = path.with_suffix(".growing")
    if kept and kept.exists() and not growing.exists():
        shutil.copyfile(kept, growing)
    return growing


def _replace(path: Path, newer: Path) -> None:
    """Replace a file at once, so that a reader has the whole old or the whole new one."""
    new = path.with_suffix(f".{os.getpid()}")
    try:
        shutil.copyfile(newer, new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def confined(path: Path, output: Path | None = None) -> Connection:
    """Open the tables so that a statement reaches nothing else, but the one file to write."""
    connection = duckdb.connect(str(path), read_only=True)
    if output is not None:
        connection.execute("SET allowed_paths = [$1]", [str(output)])
    for setting in (
        "enable_external_access = false",
        f"memory_limit = '{MEMORY}'",
        "threads = 1",
        "max_temp_directory_size = '0B'",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def only(connection: Connection, text: str) -> str:
    """Return the one reading statement in a text. Raises ValueError."""
    statements = connection.extract_statements(text)
    kinds = {str(one.type) for one in statements}
    if len(statements) != 1 or not kinds <= READING:
        raise ValueError("give one statement that only reads, such as FROM leaderboard")
    return str(statements[0].query).strip().rstrip(";")


def answer(connection: Connection, text: str) -> Answer:
    """Return the first rows of a statement. Raises duckdb.Error and ValueError."""
    found = connection.execute(only(connection, text))
    columns = [name for name, *_ in found.description or ()]
    rows = [list(row) for row in found.fetchmany(ROWS_SHOWN_MAX + 1)]
    return Answer(columns, rows[:ROWS_SHOWN_MAX], len(rows) > ROWS_SHOWN_MAX)


def write(connection: Connection, text: str, form: str, output: Path) -> None:
    """Write the rows of a statement to a file. Raises duckdb.Error and ValueError."""
    inner = only(connection, text)
    rows = f"SELECT * FROM (\n{inner}\n) LIMIT {ROWS_FILE_MAX}"
    connection.execute(f"COPY ({rows}) TO '{output}' ({FORMATS[form]})")


def serve(path: Path) -> None:
    """Answer until the input ends."""
    with confined(path) as connection:
        while size := sys.stdin.buffer.read(SIZE_BYTES):
            _limit_time()
            given = sys.stdin.buffer.read(int.from_bytes(size))
            try:
                texts = msgspec.json.decode(given, type=list[str])
                reply = Reply([answer(connection, text) for text in texts])
            except (duckdb.Error, ValueError) as error:
                reply = Reply(problem=_said(error))
            said = msgspec.json.encode(reply, enc_hook=str)
            sys.stdout.buffer.write(len(said).to_bytes(SIZE_BYTES) + said)
            sys.stdout.buffer.flush()


def _limit_time() -> None:
    """End this process if the next statement computes for much longer than its parent waits, which
    may be gone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + STATEMENT_SECONDS_MAX) + 5
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _said(error: Exception) -> str:
    return str(error).split("\n\nLINE", 1)[0]


def main(verb: str, path: Path, output: Path | None = None) -> int:
    """Do what the first argument says; return the exit status."""
    if verb == "fill":
        asyncio.run(fill(path, output))
        return 0
    try:
        if output is None:
            serve(path)
        else:
            with confined(path, output) as connection:
                write(connection, sys.stdin.read(), verb, output)
    except (duckdb.Error, ValueError) as error:
        print(_said(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(Path, sys.argv[2:])))
