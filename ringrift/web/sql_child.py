"""The child process of the SQL page: brings the tables up to date, or answers one statement.

    python -m ringrift.web.sql_child fill FILE              the log is $RINGRIFT_SERVER
    python -m ringrift.web.sql_child rows FILE              statements on the input, a JSON list
    python -m ringrift.web.sql_child csv|parquet FILE OUT   the statement is on the input

A statement reads the tables and nothing else: no other file, no network, no extension, no setting
can be changed. The exit status of a statement that is refused or fails is 1."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import duckdb
import msgspec

Connection = Any
"""A DuckDB connection; the package has no types."""
MEMORY = "1GB"
ROWS_SHOWN_MAX = 500
ROWS_FILE_MAX = 200_000
FORMATS = {"csv": "FORMAT csv, HEADER", "parquet": "FORMAT parquet"}
READING = {"StatementType.SELECT", "StatementType.EXPLAIN"}


class Answer(msgspec.Struct):
    """The rows of a statement, and whether there are more than these."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool


async def fill(path: Path) -> None:
    """Append the new events of the log to the tables."""
    from ringrift.insight.sql.log_tables import refresh  # most of the time of a start
    from ringrift.log.jetstream import JetStreamLog

    log = await JetStreamLog.open(os.environ["RINGRIFT_SERVER"], name="ringrift web sql")
    try:
        await refresh(log, path)
    finally:
        await log.close()


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


def main(verb: str, path: Path, output: Path | None = None) -> int:
    """Do what the first argument says; return the exit status."""
    if verb == "fill":
        asyncio.run(fill(path))
        return 0
    try:
        with confined(path, output) as connection:
            if output is None:
                texts = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str])
                found = [answer(connection, text) for text in texts]
                sys.stdout.buffer.write(msgspec.json.encode(found, enc_hook=str))
            else:
                write(connection, sys.stdin.read(), verb, output)
    except (duckdb.Error, ValueError) as error:
        print(str(error).split("\n\nLINE", 1)[0], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(Path, sys.argv[2:])))
