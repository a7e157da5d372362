"""The log as tables: quality and cost by ready views, and any statement that only reads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringrift.events import REGISTRY
from ringrift.insight.sql.log_tables import FILE, view_name
from ringrift.insight.sql.ready_views import READY_VIEWS
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS
from ringrift.web.cache import Cache
from ringrift.web.children import Answers, Children, Server, plain_environment, reason
from ringrift.web.fold import Fold
from ringrift.web.pages import shown, view_of
from ringrift.web.sql_child import ROWS_FILE_MAX, STATEMENT_SECONDS_MAX, Answer, Reply
from ringrift.web.values import Values
from ringrift.web.view import View

menu = "/sql", "Tables"
CHILD = "ringrift.web.sql_child"
FILL_SECONDS_MAX = 900.0
FILL_WAIT_SECONDS, WAIT_SECONDS = 25.0, 0.05
"""that a file waits for the first tables; that a page waits for rows before it is shown without"""
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
Statements = tuple[str, ...]
Rows = tuple[int, list[Answer]]
"""up to which event, and the answers"""
READY_STATEMENTS_OF = {
    page: tuple(f"FROM {name} LIMIT 200" for name in names) for page, (_, names) in READY.items()
}
READY_STATEMENTS = frozenset(READY_STATEMENTS_OF.values())
GREEDY = "it needed more memory or time than a page may use"


class Tables:
    """The tables of a log in a folder of their own, filled and read by child processes; `touch` is
    called when they are newer, or an answer is there. The first ones come from the cache, if it has
    some."""

    def __init__(
        self, log: Log, folder: Path, touch: Callable[[], None], cache: Cache | None = None
    ) -> None:
        self.log, self.folder, self._touch, self._cache = log, folder, touch, cache
        self.file = folder / FILE
        self.seq = -1
        """of the newest event in the tables, -1 before there are any"""
        self._serving = CHILD, "serve", str(self.file)
        self._children, self._server = Children("SQL"), Server("SQL")
        self._answers = Answers[list[Answer]](touch)
        self._ready: dict[Statements, Rows] = {}
        self._filling: asyncio.Task[None] | None = None
        self._filled = -FRESH_SECONDS

    async def fill(self, seq: int, wait: float) -> bool:
        """Bring the tables up to the newest event, `seq`, in the background; say whether there are
        tables, for the first of which this waits so many seconds. Raises HTTPException."""
        idle = self._filling is None or self._filling.done()
        if idle and seq != self.seq and self._age() > FRESH_SECONDS:
            self._filling = asyncio.create_task(self._fill())
        if self.seq < 0 and self._filling:
            await asyncio.wait([self._filling], timeout=wait)
            if self._filling.done():
                self._filling.result()  # raises why there are none
        return self.seq >= 0

    def _age(self) -> float:
        return time.monotonic() - self._filled

    async def _fill(self) -> None:
        try:
            seq = await self.log.tail(EVENTS)  # the pages may be reading the log still
            await self.read_log()
            await self._server.renew(self._serving)
            self.seq = seq
        finally:
            self._filled = time.monotonic()
            self._touch()

    async def read_log(self) -> None:
        """Append the new events in a child process. Raises HTTPException."""
        environment = {**os.environ, "RINGRIFT_SERVER": ",".join(self.log.servers)}
        kept = None
        if self._cache:
            with contextlib.suppress(OSError):
                kept = await self._cache.path(".duckdb")
        arguments = CHILD, "fill", *map(str, filter(None, (self.file, kept)))
        status, _, said = await self._children.run(
            arguments, seconds=FILL_SECONDS_MAX, environment=environment
        )
        if status < 0 or "\nduckdb." in said:  # perhaps what was kept is damaged
            for path in filter(None, (kept, self.file.with_suffix(".growing"))):
                path.unlink(missing_ok=True)
        if status:
            raise HTTPException(503, f"the tables cannot be filled: {reason(said)}")

    async def rows(self, statements: Statements, seq: int, wait: float) -> Rows | None:
        """Return the first rows of each statement and up to which event they are known: for ready
        views those of before while newer ones are read, None while there are none. Raises
        HTTPException."""
        if not await self.fill(seq, wait):
            return None
        at, work = self.seq, partial(self.answer, statements)
        if (found := await self._answers.get((at, statements), work, wait)) is None:
            return self._ready.get(statements)
        if statements in READY_STATEMENTS:
            self._ready[statements] = at, found
        return at, found

    async def answer(self, statements: Statements) -> list[Answer]:
        """Return the first rows of each statement. Raises HTTPException."""
        asked = msgspec.json.encode(statements)
        answer = await self._server.ask(self._serving, asked, STATEMENT_SECONDS_MAX)
        reply = msgspec.json.decode(answer, type=Reply) if answer else Reply(problem=GREEDY)
        if reply.problem:
            raise _refused(reply.problem)
        return reply.answers

    async def file_of(self, statement: str, form: str) -> bytes:
        """Return a file with the rows of a statement. Raises HTTPException."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            path = Path(folder) / f"rows.{form}"
            status, _, said = await self._children.run(
                (CHILD, form, str(self.file), str(path)),
                seconds=STATEMENT_SECONDS_MAX,
                given=statement.encode(),
                environment=plain_environment(),
            )
            if status:
                raise _refused(said or GREEDY)
            return await asyncio.to_thread(path.read_bytes)

    async def close(self) -> None:
        """End what runs."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        await self._answers.close()
        await self._server.end()


def _refused(why: str) -> HTTPException:
    return HTTPException(400, f"the statement was refused or failed: {why[-600:]}")


def tables_of(request: Request) -> Tables:
    """Return the tables of the application."""
    found: Tables = request.app.state.sql_tables
    return found


@contextlib.asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[None]:
    """Have a folder for the tables until the end."""
    with tempfile.TemporaryDirectory(prefix="ringrift-web-") as folder:
        view: View = app.state.view
        tables = Tables(app.state.log, Path(folder), view.touch, view.cache)
        app.state.sql_tables = tables
        try:
            yield
        finally:
            await tables.close()


async def ready(request: Request) -> Response:
    """Show some ready views."""
    (title, names), fold = READY[request.url.path], view_of(request).fold
    statements = READY_STATEMENTS_OF[request.url.path]
    seq, answers = await tables_of(request).rows(statements, fold.seq, WAIT_SECONDS) or (0, [])
    parts = [
        (name, TITLES[name], found.columns, _cells(found, fold))
        for name, found in zip(names, answers, strict=False)
    ]
    return shown(request, "ready_tables.html", title=title, parts=parts, seq=seq, waiting=not parts)


async def sql(request: Request) -> Response:
    """Answer a statement; without one, say what there is."""
    statement, values, problem = _statement(request), {}, ""
    tables, fold = tables_of(request), view_of(request).fold
    try:
        if not statement:
            await tables.fill(fold.seq, 0)  # a statement will follow
        elif found := await tables.rows((statement,), fold.seq, WAIT_SECONDS):
            seq, (answer,) = found
            cells = _cells(answer, fold)
            values = {"columns": answer.columns, "rows": cells, "more": answer.more, "seq": seq}
    except HTTPException as error:
        problem = error.detail
    return shown(
        request,
        "sql.html",
        status=400 if problem else 200,
        title="Tables",
        statement=statement,
        problem=problem,
        waiting=bool(statement) and not values and not problem,
        ready=list(READY_VIEWS),
        views=sorted(view_name(kind.fact_type) for kind in REGISTRY.values()),
        rows_max=ROWS_FILE_MAX,
        **{"columns": [], "rows": None, "more": False, "seq": 0, **values},
    )


async def export(request: Request) -> Response:
    """Send the rows of a statement as a file."""
    statement, form = _statement(request), request.path_params["form"]
    if form not in ("csv", "parquet") or not statement:
        raise HTTPException(404, "give a statement: /sql/rows.csv?q=FROM leaderboard, or .parquet")
    tables = tables_of(request)
    if not await tables.fill(view_of(request).fold.seq, FILL_WAIT_SECONDS):
        why = "the tables are being filled from the log; load this page again in a minute"
        raise HTTPException(503, why)
    data = await tables.file_of(statement, form)
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/vnd.apache.parquet"
    headers = {"content-disposition": f'attachment; filename="rows.{form}"'}
    return Response(data, media_type=kind, headers=headers)


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
            (type(item) in (int, float), _cell(values, item, name))
            for name, item in zip(answer.columns, row, strict=True)
        ]
        for row in answer.rows
    ]


def _cell(values: Values, item: Any, name: str) -> Markup:
    """A value of a row; one that contains others is folded, so that a row stays low."""
    text = values.shown(item, name)
    if "<dl" not in text and "<table" not in text:
        return text
    return Markup("<details><summary>{} parts</summary>{}</details>").format(len(item), text)


routes = [
    *(Route(path, ready) for path in READY),
    Route("/sql", sql),
    Route("/sql/rows.{form}", export),
]
