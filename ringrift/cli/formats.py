"""Tables for other programs: CSV and Parquet, to standard output or a file."""

import contextlib
import csv
import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from ringrift.errors import CommandError
from ringrift.events.visible import visible

Row = Mapping[str, Any]


@contextlib.contextmanager
def written_to(output: Path | None) -> Iterator[IO[bytes]]:
    """The file `output`, or standard output. Raises OSError."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with output.open("wb") as file:
        yield file


@contextlib.contextmanager
def csv_lines(output: Path | None) -> Iterator[Callable[[Row], None]]:
    """A function that writes a row as soon as it is called, the first one below the names of its
    columns; lists and groups are written as JSON."""
    names: list[str] = []
    terminal = output is None and sys.stdout.isatty()
    with written_to(output) as file:

        def put(cells: Iterable[str]) -> None:
            text = io.StringIO(newline="")
            csv.writer(text, lineterminator="\n").writerow(cells)
            line = text.getvalue()
            file.write((visible(line, keep="\n") if terminal else line).encode())

        def write(row: Row) -> None:
            if not names:
                names.extend(row)
                put(names)
            put(_csv_cell(row.get(name)) for name in names)
            file.flush()

        yield write


def write_csv(rows: Iterable[Row], output: Path | None) -> None:
    """Write rows as CSV."""
    with csv_lines(output) as write:
        for row in rows:
            write(row)


def _csv_cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
    return msgspec.json.encode(value, enc_hook=str).decode()


def write_parquet(rows: Iterable[Row], output: Path | None) -> None:
    """Write a Parquet file with the types that DuckDB finds in the rows. Raises CommandError for a
    terminal, and without a row, because a file needs columns."""
    import duckdb

    known = list(rows)
    if not known:
        raise CommandError("there are no rows to write as Parquet")
    with parquet_file(output) as target, tempfile.TemporaryDirectory(prefix="ringrift-") as folder:
        lines = Path(folder) / "rows"
        lines.write_bytes(msgspec.json.Encoder(enc_hook=str).encode_lines(known))
        with duckdb.connect() as connection:
            found = connection.read_json(str(lines), format="newline_delimited", sample_size=-1)
            found.write_parquet(str(target))


@contextlib.contextmanager
def parquet_file(output: Path | None) -> Iterator[Path]:
    """Where to write a Parquet file: `output`, or a temporary file that is copied to standard
    output. Raises CommandError for a terminal."""
    if output is not None:
        yield output
        return
    if sys.stdout.isatty():
        raise CommandError("Parquet is no text: give --output FILE, or a pipe")
    with tempfile.TemporaryDirectory(prefix="ringrift-") as folder:
        path = Path(folder) / "table.parquet"
        yield path
        with path.open("rb") as file, written_to(None) as out:
            shutil.copyfileobj(file, out)
