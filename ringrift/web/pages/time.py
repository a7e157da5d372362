"""Any time of the log: a slider over its events, what happened there, and what is different now."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringrift.events import Recorded
from ringrift.insight.describe import fields_line
from ringrift.log import read
from ringrift.web.pages import number, shown, view_of
from ringrift.web.view import View

menu = "/time", "Time"
AROUND = 4
"""events shown before and after the chosen one"""


async def time(request: Request) -> Response:
    """Choose a sequence or a time; show what happened there, and what is different now."""
    view = view_of(request)
    seq = _chosen(request, view)
    after = max(0, seq - AROUND - 1)
    near: list[Recorded] = [
        recorded async for recorded in read.facts(view.log, after=after, until=seq + AROUND)
    ]
    return shown(
        request,
        "time.html",
        title="Time",
        seq=seq,
        last=view.fold.seq,
        first_time=view.index.time_of(1),
        time=view.index.time_of(seq),
        near=[(event, meta, fields_line(event)) for event, meta in near],
        differences=list(view.history.since(seq)) if seq < view.fold.seq else [],
    )


routes = [Route("/time", time)]


def _chosen(request: Request, view: View) -> int:
    """The sequence that the query names, by itself or by a time; by default the last one."""
    last = view.fold.seq
    if text := request.query_params.get("when", ""):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise HTTPException(
                400, f"{text[:40]!r} is no time such as 2026-11-21T04:00"
            ) from error
        return view.index.at(moment.replace(tzinfo=moment.tzinfo or UTC))
    return number(request, "at", last, min(1, last), last)
