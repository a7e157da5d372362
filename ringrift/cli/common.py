"""Shared by commands: the types of parameters, opening the log, printing a result, progress.

How to write a command
----------------------
A command is one function. Its signature is its parser and its docstring is its help page:

    async def pause(
        *,
        config: Config | None = None,
        kind: Kind = "all",
        why: str,
        session: Session = HERE,
    ) -> None:
        \"\"\"Stop new work; work in progress is finished.

        Args:
            config: Pause only this config.
            kind: What to pause.
            why: The reason, recorded with the pause.
        \"\"\"
        async with opened(session) as log:
            seq = await steering.record(log, PipelinePaused(scope=config or "all", ...))
        show({"seq": seq}, session.json, f"{kind} is paused")

- Keep the description of a parameter within one line; the help page wraps it.
- Parameters before `/` are positional, those after `*` are options. An option without a default is
  required; a tuple is an option that may be given several times.
- `Session` (`Source` if the command has no JSON, `Tabular` if it prints a table), `Json`,
  `Config`, `PositiveInt`, `Words`, `Numbers`, `Assignments`, `Duration` and `Moment` are the shared
  types. Use `Annotated[T, Parameter(name="--for")]` where the option has another name than the
  parameter.
- The function parses, opens the log and prints. The work is done by a function of `insight`,
  `cluster` or `tools`, which takes typed parameters and returns values.
- What takes long to import (torch, numba, matplotlib) is imported inside the function.
- Return nothing, or the exit status if it may be another than 0. Raise `CommandError` when the
  request cannot be carried out: `main` prints it in one line and exits with 1. A value that cannot
  be parsed is wrong usage and exits with 2: raise ValueError in a converter.
- Add the function to `ringrift.cli.main.COMMANDS`; it is imported only when the command runs.
"""

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from cyclopts import Parameter, Token, validators
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ringrift.cli import formats
from ringrift.cli.formats import Row
from ringrift.cluster.terminal import complain, console as console, fitting, progress as progress
from ringrift.errors import CommandError
from ringrift.events import facts
from ringrift.events.visible import visible
from ringrift.log import marks, read
from ringrift.log.errors import AnotherInstance, Unreachable
from ringrift.log.identity import find_key
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS
from ringrift.server.address import find_server
from ringrift.server.embedded import EmbeddedServer

_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_AGE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


Json: TypeAlias = Annotated[bool, Parameter(help="Print JSON for scripts.")]
Data: TypeAlias = Annotated[
    Path, Parameter(env_var="RINGRIFT_DATA", help="Data directory of `ringrift up`.")
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Source:
    """The log that a command reads or writes: that of `server` if given, else the one in `data`."""

    data: Data = Path(".ringrift")
    server: Annotated[
        str | None, Parameter(env_var="RINGRIFT_SERVER", help="URL of a NATS server.")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Session(Source):
    """The log of a command, and whether it answers in JSON."""

    json: Json = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Form:
    """The form of the table that a command prints."""

    json: Json = False
    format: Annotated[
        Literal["table", "json", "csv", "parquet"],
        Parameter(help="Form of the answer; json is the same as --json."),
    ] = "table"
    output: Annotated[
        Path | None, Parameter(help="Write CSV or Parquet to this file instead of to the output.")
    ] = None

    @property
    def form(self) -> str:
        """The form that is asked for. Raises CommandError for contradicting options."""
        if self.json and self.format not in ("table", "json"):
            raise CommandError(f"--json contradicts --format {self.format}: give one of them")
        form = "json" if self.json else self.format
        if self.output is not None and form not in ("csv", "parquet"):
            raise CommandError("--output needs --format csv or --format parquet")
        return form


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Tabular(Session, Form):
    """The log of a command that prints a table, and the form of the table."""


HERE = Session()
"""the default of a parameter of type `Source` or `Session`"""
TABLE = Tabular()
"""the default of a parameter of type `Tabular` or `Form`"""


def parsed(read: Callable[[str], Any]) -> Callable[[type, Sequence[Token]], Any]:
    """A converter that reads the one word of an option with `read`, which may raise ValueError."""
    return lambda _, tokens: read(tokens[0].value)


def words(text: str) -> tuple[str, ...]:
    """Words separated by commas."""
    return tuple(word for word in text.split(",") if word)


def numbers(text: str) -> tuple[int, ...]:
    """Positive whole numbers separated by commas. Raises ValueError."""
    found = words(text)
    if not all(word.isdecimal() and int(word) for word in found):
        raise ValueError(
            f"{text!r}: give positive whole numbers separated by commas, such as 8,16,32"
        )
    return tuple(int(word) for word in found)


def age(text: str) -> timedelta:
    """A length of time such as 90s, 30m, 2h, 1d. Raises ValueError."""
    if match := _AGE.fullmatch(text):
        with contextlib.suppress(OverflowError):
            return timedelta(**{_AGE_UNITS[match[2]]: float(match[1])})
    raise ValueError(
        f"{text!r} is not a length of time: give a number with s, m, h or d, such as 30m"
    )


def moment(text: str, *, now: datetime | None = None) -> int | datetime:
    """The point in the log that SEQ, TIME or AGE names: `120`, `2026-11-21T04:00` (UTC unless it
    has an offset), `10m` before `now`. Raises ValueError."""
    try:
        if text.isdecimal():
            return int(text)
        if _AGE.fullmatch(text):
            return (now or datetime.now(UTC)) - age(text)
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        forms = "a sequence such as 120, a UTC time such as 2026-11-21T04:00, or an age such as 10m"
        raise ValueError(f"{text!r} is not a point in the log: give {forms}") from error


Config: TypeAlias = facts.ConfigName
"""Board and number of seats, such as hex8_2p."""
Assignments: TypeAlias = Annotated[tuple[str, ...], Parameter(name="--set", metavar="NAME=VALUE")]
"""Assignments to settings, for `settings_sources.from_arguments`."""
Words: TypeAlias = Annotated[
    tuple[str, ...], Parameter(converter=parsed(words), n_tokens=1, metavar="A,B,...")
]
Numbers: TypeAlias = Annotated[
    tuple[int, ...], Parameter(converter=parsed(numbers), n_tokens=1, metavar="N,N,...")
]
PositiveInt: TypeAlias = Annotated[int, Parameter(validator=validators.Number(gt=0))]
Duration: TypeAlias = Annotated[
    timedelta, Parameter(converter=parsed(age), n_tokens=1, metavar="TIME")
]
Moment: TypeAlias = Annotated[
    int | datetime, Parameter(converter=parsed(moment), n_tokens=1, metavar="SEQ|TIME|AGE")
]


@contextlib.asynccontextmanager
async def opened(
    source: Source, *, create: bool = False, start: bool = True
) -> AsyncIterator[JetStreamLog]:
    """The log of `source`: of its server, else of the server of its data directory,
    else of one that is started for the command and stopped.

    A directory without a log is an error unless `create` is true; unless `start` is true no server
    is started at all. Raises Unreachable, ServerTooOld, and errors of `EmbeddedServer.start`."""
    if isinstance(source, Form):
        _ = source.form  # refuses contradicting options before any work
    async with contextlib.AsyncExitStack() as leaving:
        served = False
        try:
            url = source.server or await find_server(source.data)
        except Unreachable:
            if source.server or not start or not (create or (source.data / "nats").is_dir()):
                raise
            url, served = await leaving.enter_async_context(_served(source.data)), True
        log = await JetStreamLog.open(url, name="ringrift")
        log.signer = find_key(source.data)
        leaving.push_async_callback(log.close)
        if served:
            leaving.push_async_callback(marks.remember, log)
        yield log


async def seq_at(log: Log, point: int | datetime, stream: str = EVENTS) -> int:
    """The sequence of a point in the log. Raises CommandError for a sequence that is not written
    yet."""
    if isinstance(point, int) and point > (tail := await log.tail(stream)):
        remedy = "a time is written as 2026-11-21T04:00"
        raise CommandError(
            f"{stream}/{point} is not written yet: the log ends with {stream}/{tail}; {remedy}"
        )
    return point if isinstance(point, int) else await read.seq_at(log, point)


@contextlib.asynccontextmanager
async def _served(data: Path) -> AsyncIterator[str]:
    """Address of a server over `data` that runs until the block ends and is restarted if it dies.

    Raises CommandError out of the block when it cannot be restarted."""
    work = asyncio.current_task()
    assert work is not None
    # these signals end the block by cancellation, so that the server is stopped in order
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        server = await EmbeddedServer.start(data, room=0)  # most commands only read
    except AnotherInstance:
        yield await find_server(data)  # another command started it just now
        return
    keeper = asyncio.create_task(server.keep(lambda line: complain(f"ringrift: {line}")))
    keeper.add_done_callback(lambda task: None if task.cancelled() else work.cancel())
    try:
        yield server.url
    except asyncio.CancelledError:
        if keeper.done() and (error := keeper.exception()) is not None:
            work.uncancel()
            raise CommandError(str(error)) from error
        raise
    finally:
        keeper.cancel()
        await server.stop()


@contextlib.asynccontextmanager
async def reading(
    source: Source, title: str
) -> AsyncIterator[tuple[JetStreamLog, Callable[[int, int], None]]]:
    """The log of `source`, and a callback that shows the progress of reading it under `title`."""
    async with opened(source) as log:
        with progress(title) as report:
            yield log, report


def show(
    document: object, json: bool, *texts: RenderableType | None, fold_columns: bool = True
) -> None:
    """Print a result: `document` as one line of JSON if `json`, else `texts` for people.

    Each text is a string, which is never wrapped, something else that rich prints, or None to print
    nothing. A table that is too wide is printed as one line for each value; without `fold_columns`
    it is too wide if a cell would need a second line."""
    if json:
        print(visible(msgspec.json.encode(document, enc_hook=str).decode()), flush=True)
        return
    out = console()
    for text in texts:
        if isinstance(text, Table):
            text = fitting(out, text, fold_columns=fold_columns)
        if text is not None:
            out.print(text, soft_wrap=isinstance(text, str | Text))


def show_rows(
    form: Form,
    document: object,
    rows: Iterable[Row | msgspec.Struct],
    *texts: RenderableType | None,
) -> None:
    """Print a result that is a table: as `show` does, or `rows` as CSV or Parquet."""
    plain = (
        msgspec.structs.asdict(row) if isinstance(row, msgspec.Struct) else row for row in rows
    )
    match form.form:
        case "csv":
            formats.write_csv(plain, form.output)
        case "parquet":
            formats.write_parquet(plain, form.output)
        case wanted:
            show(document, wanted == "json", *texts)
