"""What another policy would have decided on recorded history."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringrift.runtime.authorship import deciders
from ringrift.web.children import Answers, Children, reason
from ringrift.web.pages import number, shown, view_of
from ringrift.web.values import Values

menu = "/whatif", "What if"
SECONDS_MAX, WAIT_SECONDS = 300.0, 0.05
"""that a trial takes; that the page waits for it before it is shown without"""
DIFFERENCES_SHOWN_MAX = 40
SETTINGS_MAX = 20
_SETTING = re.compile(r"[a-z_]+(\.[a-z0-9_]+)*=[^\x00-\x1f]{0,200}")
USUAL = "promotion"
Found = dict[str, Any]


@contextlib.asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[None]:
    """End what runs at the end."""
    app.state.whatif, app.state.tried = Children("what if"), Answers[Found](app.state.view.touch)
    try:
        yield
    finally:
        await app.state.tried.close()


async def whatif(request: Request) -> Response:
    """Choose a decider and settings; show the first divergence and what changes, once known."""
    query, known = request.query_params, sorted(deciders())
    decider, text = query.get("decider", ""), query.get("set", "")[:4000]
    last = view_of(request).fold.seq
    since, until = number(request, "since", 0, 0, last), number(request, "until", last, 0, last)
    found, problem = None, ""
    if decider:
        if decider not in known:
            raise HTTPException(400, f"no decider is called {decider[:40]!r}")
        try:
            settings = _settings(text)
            if "until" not in query:  # the answer at an address stays the same
                return RedirectResponse(f"/whatif?{query}&until={last}", 307)
            work = partial(_tried, request, decider, settings, since, until)
            key = decider, *settings, since, until
            found = await request.app.state.tried.get(key, work, WAIT_SECONDS)
        except HTTPException as error:
            problem = error.detail
    return shown(
        request,
        "whatif.html",
        status=400 if problem else 200,
        title="What if",
        deciders=known,
        decider=decider or USUAL,
        waiting=bool(decider) and found is None and not problem,
        set=text,
        since=since,
        last=last,
        problem=problem,
        found=found,
        rows=[] if found is None else _rows(request, found["differences"]),
        totals=[] if found is None else list(_totals(found["summary"])),
    )


def _settings(text: str) -> list[str]:
    """The assignments, one a line. Raises HTTPException."""
    lines = [line.strip().replace(" ", "") for line in text.splitlines() if line.strip()]
    for line in lines[:SETTINGS_MAX]:
        if not _SETTING.fullmatch(line):
            raise HTTPException(400, f"{line[:60]!r}: write promotion.elo1=20, one a line")
    return lines[:SETTINGS_MAX]


async def _tried(
    request: Request, decider: str, settings: list[str], since: int, until: int
) -> Found:
    """The answer of `ringrift whatif`. Raises HTTPException."""
    state = request.app.state
    given = [word for setting in settings for word in ("--set", setting)]
    span = ("--since", str(since), "--until", str(until))
    arguments = ["ringrift.cli.main", "whatif", decider, *given, *span, "--json"]
    environment = {**os.environ, "RINGRIFT_SERVER": ",".join(state.log.servers)}
    status, output, said = await state.whatif.run(
        arguments, seconds=SECONDS_MAX, environment=environment
    )
    if status:
        raise HTTPException(400, reason(said))
    found: Found = msgspec.json.decode(output)
    return found


def _rows(request: Request, differences: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first differences: where, of what, and the changed fields with links."""
    values = Values(view_of(request).fold, lambda page: page)
    rows = []
    for item in differences[:DIFFERENCES_SHOWN_MAX]:
        side = item["recorded"] or item["tried"]
        fields = [
            (name, values.shown(before, name), values.shown(after, name))
            for name, (before, after) in item["fields"].items()
        ]
        moved = item["kind"] == "moved" and item["tried"]["cause"]
        fact = side["fact"]
        about = [fact.get("config", ""), values.shown(fact["model"]) if "model" in fact else ""]
        rows.append(
            {
                "kind": item["kind"],
                "type": side["type"],
                "cause": values.shown(side["cause"]),
                "position": values.shown(side["position"]) if side["position"] else "",
                "moved": values.shown(moved) if moved else "",
                "about": about,
                "fields": fields,
                "generation": fact.get("generation"),
            }
        )
    return rows


def _totals(summary: dict[str, dict[str, dict[str, Any]]]) -> Any:
    """Config, name of a total, recorded and tried, where there is one."""
    for config, sides in summary.items():
        recorded, tried = sides["recorded"], sides["tried"]
        for name in recorded:
            if name != "decisions" and (recorded[name] or tried[name]):
                yield config, name.replace("_", " "), recorded[name], tried[name]


routes = [Route("/whatif", whatif)]
