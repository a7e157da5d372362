"""What the commands that look at the log share: finding and opening it, points in it, and progress
on standard error."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ringrift.cluster.screen import PLAIN_WIDTH, clock
from ringrift.errors import CommandError
from ringrift.log.errors import AnotherInstance, Unreachable
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Progress as Report
from ringrift.server.embedded import EmbeddedServer, find_server

PLAIN_PROGRESS_SECONDS = 2.0
Moment = int | datetime
"""A sequence, or a time with its zone."""
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_AGE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@contextlib.asynccontextmanager
async def opened(
    options: argparse.Namespace, *, create: bool = False, start: bool = True
) -> AsyncIterator[JetStreamLog]:
    """The log of `--server`, else of the server that runs over `--data`, else of one that is
    started for the command and stopped.

    A directory without a log is left alone unless `create` says to make one there; without `start`
    no server is started at all. Raises Unreachable, ServerTooOld, and what `EmbeddedServer.start`
    raises."""
    logs_to_stderr()
    async with contextlib.AsyncExitStack() as leaving:
        try:
            url = await server_url(options)
        except Unreachable:
            if options.server or not start or not (create or _holds_log(options.data)):
                raise
            url = await leaving.enter_async_context(_served(options.data))
        log = await JetStreamLog.open(url, name="ringrift")
        leaving.push_async_callback(log.close)
        yield log


@contextlib.asynccontextmanager
async def _served(data: Path) -> AsyncIterator[str]:
    """Address of a server over `data` that runs until the block ends, however that is; one that
    dies meanwhile comes back.

    Raises CommandError out of the block when it cannot."""
    work = asyncio.current_task()
    assert work is not None
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, work.cancel
    )  # what was started for the purpose is ended in order
    try:
        server = await EmbeddedServer.start(data)
    except AnotherInstance:
        yield await find_server(data)  # another command started it just now
        return
    keeper = asyncio.create_task(
        server.keep(lambda line: print(f"ringrift: {line}", file=sys.stderr))
    )
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


def _holds_log(data: Path) -> bool:
    """Whether a server has ever stored anything there."""
    return (data / "nats").is_dir()


async def server_url(options: argparse.Namespace) -> str:
    """Address of the server the options mean. Raises Unreachable if none runs."""
    return str(options.server) if options.server else await find_server(options.data)


def logs_to_stderr() -> None:
    """Keep standard output for what was asked for."""

    def to_stderr(*_: Any) -> structlog.PrintLogger:
        return structlog.PrintLogger(sys.stderr)

    structlog.configure(logger_factory=to_stderr)


def moment(text: str, *, now: datetime | None = None) -> Moment:
    """The point that SEQ, TIME or AGE names: `120`, `2026-11-21T04:00` (UTC unless it says
    otherwise), `10m` ago.

    Raises CommandError."""
    if text.isdecimal():
        return int(text)
    if age := _AGE.fullmatch(text):
        return (now or datetime.now(UTC)) - timedelta(**{_AGE_UNITS[age[2]]: float(age[1])})
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        forms = "a sequence such as 120, a UTC time such as 2026-11-21T04:00, or an age such as 10m"
        raise CommandError(f"{text!r} is no point in the log: give {forms}") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def console(*, stderr: bool = False) -> Console:
    """The terminal, or plain lines of a fixed width."""
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return Console(stderr=stderr, highlight=False)
    return Console(stderr=stderr, width=PLAIN_WIDTH, highlight=False, force_terminal=False)


@contextlib.contextmanager
def progress(title: str) -> Iterator[Report]:
    """A callback (done, total) that draws a bar on standard error; off a terminal it writes a line
    now and then."""
    if not sys.stderr.isatty():
        yield _plain_progress(title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report


def _plain_progress(title: str) -> Report:
    first = last = time.monotonic()
    start: int | None = None

    def report(done: int, total: int) -> None:
        nonlocal last, start
        start = done if start is None else start
        if (now := time.monotonic()) - last >= PLAIN_PROGRESS_SECONDS:
            last = now
            rate = (done - start) / (now - first)
            pace = f", {rate:,.1f}/s, {clock((total - done) / rate)} left" if rate else ""
            print(f"{title}: {done:,} of {total:,}{pace}", file=sys.stderr, flush=True)

    return report


class _Rate(ProgressColumn):
    """How many are done a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.1f}/s" if task.speed else "")
