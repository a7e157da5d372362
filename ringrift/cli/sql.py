"""Commands that query the log in SQL, or plot the results."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import duckdb

from ringrift.cli import formats
from ringrift.cli.common import (
    HERE,
    TABLE,
    Config,
    Session,
    Source,
    Tabular,
    reading,
    show,
    show_rows,
)
from ringrift.cluster.terminal import complain
from ringrift.errors import CommandError
from ringrift.insight.describe import field_text, plural, table
from ringrift.insight.sql.log_tables import FILE, Connection, open_tables, refresh, rows_of
from ringrift.insight.sql.ready_views import READY_VIEWS

ROWS_SHOWN_MAX = 200
NO_PEOPLE = "no game of people is kept: play in the browser (`ringrift web`) and keep the game"
PROMPT, MORE = "ringrift> ", "     ...> "


async def query(statement: str, /, *, session: Tabular = TABLE) -> None:
    """Print the rows of an SQL statement over the log.

    Every event type is a view; there are ready ones such as leaderboard.

    Args:
        statement: Such as 'FROM leaderboard'; several are separated by semicolons.
    """
    async with _tables(session) as connection:
        statements = connection.extract_statements(statement)
        if not statements:
            raise CommandError("there is no statement: give one such as 'FROM leaderboard'")
        if session.form in ("csv", "parquet") and len(statements) > 1:
            raise CommandError(f"--format {session.form} takes one statement")
        for each in statements:
            _answer(connection, each.query, session)


async def sql(*, session: Session = HERE) -> None:
    """Open a prompt for SQL statements over the log."""
    async with _tables(session) as connection:
        await asyncio.to_thread(_prompt, connection, Tabular(json=session.json))


async def plot(
    what: Literal["elo", "throughput", "loss", "cost", "allocation", "efficiency"],
    /,
    *,
    config: Config,
    output: Path,
    session: Session = HERE,
) -> None:
    """Draw a picture of one config.

    Args:
        what: The subject of the picture.
        config: Board and number of seats, such as hex8_2p.
        output: File to write; its suffix selects the format.
    """
    from ringrift.insight.sql import sql_plots

    if what == "elo":
        async with reading(session, "folding EVENTS") as (log, report):
            await sql_plots.elo(log, config, output, report)
    else:
        async with _tables(session) as connection:
            sql_plots.PLOTS[what](connection, config, output)
    show({"picture": str(output)}, session.json, str(output))


async def people(*, config: Config | None = None, session: Tabular = TABLE) -> None:
    """Rate people by their kept games, apart from the ratings of networks.

    Elo 0 is the baseline of the rating tables, or the network with the most games where no chain of
    games leads to a baseline. Networks that people played are listed too.

    Args:
        config: Only those of this config.
    """
    async with _tables(session) as connection:
        rows = list(rows_of(connection, "FROM people WHERE config = coalesce($1, config)", config))
    names = ("config", "participant", "elo", "elo_95_half_width", "games", "anchor")
    cells = (
        [f"{v:.0f}" if isinstance(v, float) else v for v in map(row.get, names)] for row in rows
    )
    shown = table(("config", "participant", ">Elo", ">± 95 %", ">games", "Elo 0"), cells)
    show_rows(session, rows, rows, shown if rows else NO_PEOPLE)


@contextlib.asynccontextmanager
async def _tables(source: Source) -> AsyncIterator[Connection]:
    """Bring the tables up to date and open them. Raises TablesBusy, and DuckDB's errors
    as CommandError."""
    path = source.data / FILE
    try:
        async with reading(source, "reading the log into tables") as (log, report):
            await refresh(log, path, report)
        with contextlib.closing(open_tables(path)) as connection:
            yield connection
    except duckdb.Error as error:
        raise CommandError(_reason(error)) from error


def _prompt(connection: Connection, session: Tabular) -> None:
    """Answer statements until the input ends; errors are printed and the prompt continues."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  gives input() line editing

        ready = ", ".join(READY_VIEWS)
        print(f"views: {ready}, log, and one per event type (SHOW TABLES); \\q ends")
    for statement in _statements():
        try:
            for each in connection.extract_statements(statement):
                _answer(connection, each.query, session)
        except duckdb.Error as error:
            complain(f"ringrift: {_reason(error)}")


def _statements() -> Iterator[str]:
    """Yield the statements of the input; each ends with a semicolon or with the input."""
    text = ""
    while True:
        try:
            line = input((MORE if text else PROMPT) if sys.stdin.isatty() else "")
        except EOFError:
            if text.strip():
                yield text
            return
        if line.strip() in ("\\q", "exit", "quit"):
            return
        text += line + "\n"
        if line.rstrip().endswith(";"):
            yield text
            text = ""


def _answer(connection: Connection, statement: str, session: Tabular) -> None:
    """Print the rows of a statement. Raises duckdb.Error."""
    if session.form == "parquet":
        with formats.parquet_file(session.output) as path:
            found = connection.sql(statement)
            if found is None:
                raise CommandError("the statement has no rows to write")
            found.write_parquet(str(path))
        return
    rows = rows_of(connection, statement)
    if session.form == "csv":
        formats.write_csv(rows, session.output)
        return
    if session.form == "json":
        for row in rows:
            show(row, json=True)
        return
    _show_table(list(rows))


def _show_table(rows: list[dict[str, Any]]) -> None:
    shown = None
    if rows:
        numbers = {name for name, value in rows[0].items() if isinstance(value, int | float)}
        names = [f">{name}" if name in numbers else name for name in rows[0]]
        cells = (map(_cell, row.values()) for row in rows[:ROWS_SHOWN_MAX])
        shown = table(names, cells)
    count = plural(len(rows), "row")
    if len(rows) > ROWS_SHOWN_MAX:
        count += f", {ROWS_SHOWN_MAX} shown: add LIMIT, or --format csv or json for all"
    show(None, False, shown, count, fold_columns=False)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else field_text(value)


def _reason(error: duckdb.Error) -> str:
    """Return DuckDB's message without the excerpt of the statement."""
    return str(error).split("\n\nLINE", 1)[0].replace("\n", " ")
