"""`ringrift query` and `ringrift sql`: SQL over the log, by DuckDB. `ringrift plot`: pictures of
the same."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
from rich.table import Table

from ringrift.cli.source import console, opened, progress
from ringrift.errors import CommandError
from ringrift.insight.describe import field_text
from ringrift.insight.sql.ready_views import READY_VIEWS
from ringrift.insight.sql.tables import FILE, Connection, TablesBusy, open_tables, refresh, rows_of

ROWS_SHOWN_MAX = 200
PROMPT, MORE = "ringrift> ", "     ...> "


async def query(options: argparse.Namespace) -> int:
    """Print the rows of one statement."""
    await _refresh(options)
    connection = _open(options)
    try:
        _answer(connection, options.sql, as_json=options.json)
    except duckdb.Error as error:
        raise CommandError(_reason(error)) from error
    finally:
        connection.close()
    return 0


async def sql(options: argparse.Namespace) -> int:
    """Answer statements until the input ends."""
    await _refresh(options)
    connection = _open(options)
    try:
        await asyncio.to_thread(_prompt, connection, options.json)
    finally:
        connection.close()
    return 0


async def plot(options: argparse.Namespace) -> int:
    """Draw one picture."""
    from ringrift.insight.sql import sql_plots

    await _refresh(options)
    connection = _open(options)
    try:
        sql_plots.PLOTS[options.what](connection, options.config, options.output)
    except sql_plots.NothingToPlot as error:
        raise CommandError(str(error)) from error
    finally:
        connection.close()
    print(options.output)
    return 0


def _path(options: argparse.Namespace) -> Path:
    return Path(options.data) / FILE


async def _refresh(options: argparse.Namespace) -> None:
    async with opened(options) as log:
        with progress("reading the log into tables") as report:
            try:
                await refresh(log, _path(options), report)
            except TablesBusy as error:
                raise CommandError(str(error)) from error


def _open(options: argparse.Namespace) -> Connection:
    try:
        return open_tables(_path(options))
    except TablesBusy as error:
        raise CommandError(str(error)) from error


def _prompt(connection: Connection, as_json: bool) -> None:
    """Statements end with a semicolon; an error is told and the prompt goes on."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  line editing for input()

        print(
            f"views: {', '.join(READY_VIEWS)}, log, and one for every event type (SHOW TABLES); \\q ends"
        )
    for statement in _statements():
        try:
            _answer(connection, statement, as_json=as_json)
        except duckdb.Error as error:
            print(f"ringrift: {_reason(error)}", file=sys.stderr)


def _statements() -> Iterator[str]:
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


def _answer(connection: Connection, statement: str, *, as_json: bool) -> None:
    """Raises duckdb.Error."""
    rows = rows_of(connection, statement)
    if as_json:
        for row in rows:
            print(msgspec.json.encode(row, enc_hook=str).decode())
        return
    table, count = Table(pad_edge=False), 0
    for row in rows:
        if not count:
            for name, value in row.items():
                table.add_column(
                    name, justify="right" if isinstance(value, int | float) else "left"
                )
        count += 1
        if count <= ROWS_SHOWN_MAX:
            table.add_row(*map(_cell, row.values()))
    out = console()
    if count:
        out.print(table)
    more = (
        f", {ROWS_SHOWN_MAX} shown: add LIMIT, or --json for all" if count > ROWS_SHOWN_MAX else ""
    )
    out.print(f"{count:,} row{'' if count == 1 else 's'}{more}")


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list):
        return field_text(tuple(value))
    return "" if value is None else field_text(value if not isinstance(value, dict) else str(value))


def _reason(error: duckdb.Error) -> str:
    """DuckDB's own words without the picture of the place."""
    return str(error).split("\n\nLINE", 1)[0].replace("\n", " ")
