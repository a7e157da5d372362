"""Output to a terminal, or plain lines without one."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

PLAIN_WIDTH = 132
"""columns of tables that are not written to a terminal"""
PLAIN_PROGRESS_SECONDS = 2.0


class _Console(Console):
    def __init__(self, **options: Any) -> None:
        # what is printed is text, not markup: names may contain brackets and colons
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """Let the caller end the command: rich would exit with status 1."""
        raise BrokenPipeError


def console(*, plain: bool = False, width: int = PLAIN_WIDTH) -> Console:
    """The terminal; plain lines of `width` columns if there is none, if it cannot move its cursor,
    or if `plain`."""
    found = _Console()
    if found.is_terminal and not found.is_dumb_terminal and not plain:
        return found
    return _Console(width=width, force_terminal=False)


def complain(text: str) -> None:
    """Write a line to standard error."""
    print(text, file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """A length of time as people write it, such as 4:09 or 1:00:00."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextlib.contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A callback (done, total) that draws a bar on standard error; without a terminal it writes a
    line every `PLAIN_PROGRESS_SECONDS`."""
    out = _Console(stderr=True)
    if not out.is_terminal or out.is_dumb_terminal:
        yield _plain_progress(title)
        return
    from rich import progress as bars

    title_and_bar = (bars.TextColumn("{task.description}", markup=False), bars.BarColumn())
    rate = bars.TextColumn("{task.fields[rate]}")
    columns = (*title_and_bar, bars.MofNCompleteColumn(), rate, bars.TimeRemainingColumn())
    with bars.Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task(title, total=None, rate="")

        def report(done: int, total: int) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.1f}/s" if speed else "")

        yield report


def _plain_progress(title: str) -> Callable[[int, int], None]:
    first = last = time.monotonic()
    start: int | None = None

    def report(done: int, total: int) -> None:
        nonlocal last, start
        start = done if start is None else start
        if (now := time.monotonic()) - last >= PLAIN_PROGRESS_SECONDS:
            last = now
            rate = (done - start) / (now - first)
            pace = f", {rate:,.1f}/s, {clock((total - done) / rate)} left" if rate else ""
            complain(f"{title}: {done:,} of {total:,}{pace}")

    return report
