"""The log as tables: quality and cost by ready views, and any statement that only reads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringrift.events import REGISTRY
from ringrift.insight.sql.log_tables import FILE, view_name
from ringrift.insight.sql.ready_views import READY_VIEWS
from ringrift.log.protocol import Log
from ringrift.web.children import Children
from ringrift.web.fold import Fold
from ringrift.web.pages import shown, view_of
from ringrift.web.sql_child import ROWS_FILE_MAX, Answer
from ringrift.web.values import Values

menu = "/sql", "Tables"
CHILD = "ringrift.web.sql_child"
STATEMENT_SECONDS_MAX = 10.0
FILL_SECONDS_MAX = 900.0
FILL_WAIT_SECONDS = 25.0
"""that a request waits for the tables"""
FRESH_SECONDS = 10.0
"""for which tables count as up to date"""
STATEMENT_CHARS_MAX = 4000
READY = {
    "/quality": ("Quality of games", ("quality", "loop_latency")),
    "/cost": ("Cost and throughput", ("cost", "throughput")),
    "/people": ("Ratings of people", ("people",)),
}
TITLES = {
    "quality": "Games that generations were trained on",
    "loop_latency": "Seconds from an event to its effects",
    "cost": "Hours and cost by config, node and kind of work",
    "throughput": "Work finished by hour",
    "people": "Elo from kept games of people, apart from the ratings of networks",
}


class Tables:
    """The tables of a log in a folder of their own, filled and read by child processes."""

    def __init__(self, log: Log, folder: Path) -> None:
        self.log, self.folder = log, folder
        self.file = folder / FILE
        self.seq = 0
        """of the newest event in the tables"""
        self._children = Children("SQL")
        self._filling: asyncio.Task[None] | None = None
        self._filled = -FRESH_SECONDS
        self._ready: dict[tuple[str, ...], tuple[int, list[Answer]]] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def fill(self, seq: int) -> None:
        """Bring the tables up to the newest event, `seq`; a cancelled caller does not end it.

        Raises HTTPException."""
        if self._filling is None:
            if seq == self.seq or time.monotonic() < self._filled + FRESH_SECONDS:
                return
            self._filling = asyncio.create_task(self._fill(seq))
        try:
            async with asyncio.timeout(FILL_WAIT_SECONDS):
                await asyncio.shield(self._filling)
        except TimeoutError as error:
            why = "the tables are being filled from the log; load this page again in a minute"
            raise HTTPException(503, why) from error

    async def _fill(self, seq: int) -> None:
        try:
            await self.read_log()
            self.seq, self._filled = seq, time.monotonic()
        finally:
            self._filling = None

    async def read_log(self) -> None:
        """Append the new events in a child process. Raises HTTPException."""
        environment = {**os.environ, "RINGRIFT_SERVER": ",".join(self.log.servers)}
        arguments = (CHILD, "fill", str(self.file))
        status, _, said = await self._children.run(
            arguments, seconds=FILL_SECONDS_MAX, environment=environment
        )
        if status:
            raise HTTPException(503, f"the tables cannot be filled: {said[-300:]}")

    async def answer(self, *statements: str) -> list[Answer]:
        """Return the first rows of each statement. Raises HTTPException."""
        asked = msgspec.json.encode(statements)
        return msgspec.json.decode(await self._said("rows", asked), type=list[Answer])

    async def ready(self, names: tuple[str, ...], seq: int) -> tuple[int, list[Answer]]:
        """Return the rows of some ready views, and the sequence up to which they are known.

        What was read before is shown at once, and read again in the background."""
        if names not in self._ready:
            await self._renew(names, seq)
        elif self._ready[names][0] != seq and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.create_task(self._renewed(names, seq))
        return self._ready[names]

    async def _renew(self, names: tuple[str, ...], seq: int) -> None:
        await self.fill(seq)
        found = await self.answer(*(f"FROM {name} LIMIT 200" for name in names))
        self._ready[names] = self.seq, found

    async def _renewed(self, names: tuple[str, ...], seq: int) -> None:
        with contextlib.suppress(HTTPException):  # the next visitor asks again
            await self._renew(names, seq)

    async def file_of(self, statement: str, form: str) -> bytes:
        """Return a file with the rows of a statement. Raises HTTPException."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            path = Path(folder) / f"rows.{form}"
            await self._said(form, statement.encode(), str(path))
            return await asyncio.to_thread(path.read_bytes)

    async def _said(self, verb: str, given: bytes, *more: str) -> bytes:
        path = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        status, output, said = await self._children.run(
            (CHILD, verb, str(self.file), *more),
            seconds=STATEMENT_SECONDS_MAX,
            given=given,
            environment=path,
        )
        if status:
            why = said[-600:] or "it needed more memory or time than a page may use"
            raise HTTPException(400, f"the statement was refused or failed: {why}")
        return output

    async def close(self) -> None:
        """End what runs, and remove the folder."""
        running = [task for task in (self._filling, self._renewing) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def tables_of(request: Request) -> Tables:
    """Return the tables of the application."""
    state = request.app.state
    if not hasattr(state, "sql_tables"):
        state.sql_tables = Tables(state.log, Path(tempfile.mkdtemp(prefix="ringrift-web-")))
    found: Tables = state.sql_tables
    return found


@contextlib.asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[None]:
    """Remove the tables at the end."""
    try:
        yield
    finally:
        if hasattr(app.state, "sql_tables"):
            await app.state.sql_tables.close()


async def ready(request: Request) -> Response:
    """Show some ready views."""
    title, names = READY[request.url.path]
    fold = view_of(request).fold
    seq, answers = await tables_of(request).ready(names, fold.seq)
    parts = [
        (name, TITLES[name], found.columns, _cells(found, fold))
        for name, found in zip(names, answers, strict=True)
    ]
    return shown(request, "ready_tables.html", title=title, parts=parts, seq=seq)


async def sql(request: Request) -> Response:
    """Answer a statement; without one, say what there is."""
    statement, values, problem = _statement(request), {}, ""
    if statement:
        try:
            found = await _tables(request)
            (answer,) = await found.answer(statement)
            cells = _cells(answer, view_of(request).fold)
            values = {"columns": answer.columns, "rows": cells, "more": answer.more}
        except HTTPException as error:
            problem = error.detail
    return shown(
        request,
        "sql.html",
        status=400 if problem else 200,
        title="Tables",
        statement=statement,
        problem=problem,
        ready=list(READY_VIEWS),
        views=sorted(view_name(kind.fact_type) for kind in REGISTRY.values()),
        rows_max=ROWS_FILE_MAX,
        **{"columns": [], "rows": None, "more": False, **values},
    )


async def export(request: Request) -> Response:
    """Send the rows of a statement as a file."""
    statement, form = _statement(request), request.path_params["form"]
    if form not in ("csv", "parquet") or not statement:
        raise HTTPException(404, "give a statement: /sql/rows.csv?q=FROM leaderboard, or .parquet")
    data = await (await _tables(request)).file_of(statement, form)
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/vnd.apache.parquet"
    headers = {"content-disposition": f'attachment; filename="rows.{form}"'}
    return Response(data, media_type=kind, headers=headers)


async def _tables(request: Request) -> Tables:
    found = tables_of(request)
    await found.fill(view_of(request).fold.seq)
    return found


def _statement(request: Request) -> str:
    text = request.query_params.get("q", "").strip()
    if len(text) > STATEMENT_CHARS_MAX:
        raise HTTPException(400, f"a statement has at most {STATEMENT_CHARS_MAX} characters")
    return text


def _cells(answer: Answer, fold: Fold) -> list[list[Any]]:
    """The rows with links; numbers stay numbers, so that they are aligned."""
    values = Values(fold, lambda page: page)
    return [
        [
            (isinstance(item, int | float) and not isinstance(item, bool), values.shown(item, name))
            for name, item in zip(answer.columns, row, strict=True)
        ]
        for row in answer.rows
    ]


routes = [
    *(Route(path, ready) for path in READY),
    Route("/sql", sql),
    Route("/sql/rows.{form}", export),
]
