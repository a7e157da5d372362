"""Output to a terminal, or plain lines without one."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ringrift.events.visible import visible

PLAIN_WIDTH = 132
"""columns of tables that are not written to a terminal"""
PLAIN_PROGRESS_SECONDS = 2.0
WIDTH_MAX = 10_000
"""no table is wider"""


class _Console(Console):
    def __init__(self, **options: Any) -> None:
        # what is printed is text, not markup: names may contain brackets and colons
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape what a terminal would act on, before it is measured."""
        return super().render_str(visible(text, keep="\n\t"), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Escape the same in everything else that is printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text, keep="\n"), style, control)

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


def fitting(out: Console, found: Table, *, fold_columns: bool = True) -> RenderableType:
    """The table, or if it is too wide for `out` its rows one below another, a line for each value.
    It is too wide if a word would be broken; without `fold_columns`, if a cell would be."""
    wide = out.options.update(width=WIDTH_MAX, max_width=WIDTH_MAX)
    spare = 0
    for column in found.columns if fold_columns else ():
        texts = [str(column.header), *map(str, column.cells)]
        words = (word for text in texts for word in text.split())
        if not column.no_wrap:
            spare += max(map(cell_len, texts)) - max(map(cell_len, words), default=0)
    if Measurement.get(out, wide, found).maximum - spare <= out.width:
        return found
    names = [str(column.header) for column in found.columns]
    indent = max(map(len, names)) + 2
    parts: list[RenderableType] = [found.title] if found.title else []
    for number, row in enumerate(zip(*(column.cells for column in found.columns), strict=True), 1):
        parts.append(f"row {number}")
        record = Table.grid(padding=(0, 2, 0, 0))
        record.add_column(no_wrap=True, min_width=indent - 2)
        record.add_column(overflow="fold")
        for name, cell in zip(names, row, strict=True):
            record.add_row(f"  {name}", cell)
        parts.append(record)
    return Group(*parts)


def complain(text: str) -> None:
    """Write lines to standard error."""
    print(visible(text, keep="\n"), file=sys.stderr, flush=True)


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
            done, total = _within(done, total)
            bar.update(task, completed=done, total=total, rate=f"{speed:,.1f}/s" if speed else "")

        yield report


def _within(done: int, total: int) -> tuple[int, int]:
    """Progress that is neither negative nor beyond the end, which may still move."""
    return max(0, done), max(0, done, total)


def _plain_progress(title: str) -> Callable[[int, int], None]:
    first = last = time.monotonic()
    start: int | None = None

    def report(done: int, total: int) -> None:
        nonlocal last, start
        done, total = _within(done, total)
        start = done if start is None else start
        if (now := time.monotonic()) - last >= PLAIN_PROGRESS_SECONDS:
            last = now
            rate = max(0, done - start) / (now - first)
            pace = f", {rate:,.1f}/s, {clock((total - done) / rate)} left" if rate else ""
            complain(f"{title}: {done:,} of {total:,}{pace}")

    return report
