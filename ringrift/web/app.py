"""The application: pages, live updates, error pages, static files. `ringrift.web.pages` tells how a
page is written."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import ModuleType

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from ringrift.log.errors import LogUnavailable, StreamError
from ringrift.log.protocol import Log
from ringrift.web.guard import Bounds, Guard
from ringrift.web.kept import kept
from ringrift.web.pages import (
    analysis,
    docs,
    evaluations,
    events,
    fleet,
    games,
    letters,
    live,
    login,
    loop,
    metrics,
    networks,
    play,
    shown,
    tables,
    time,
    whatif,
)
from ringrift.web.rendering import HERE
from ringrift.web.view import View

PAGES: tuple[ModuleType, ...] = (
    *(loop, networks, evaluations),
    *(games, play, analysis),
    *(events, whatif, fleet, letters, tables),
    *(time, docs, live, login, metrics),
)

ANSWER_SECONDS_MAX, SILENT_SECONDS_MAX = 30, 3
"""in which a page answers, and while the server of the log is silent"""
END_SECONDS_MAX = 5
"""that writing the cache may take at the end"""


@dataclass(kw_only=True)
class State:
    """What an application shows and whom it trusts; `where` names the log for people, `commands`
    writes their page."""

    log: Log
    view: View
    guard: Guard
    where: str = ""
    commands: Callable[[], str] | None = None


@contextlib.asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[None]:
    """Run what the pages need beside the view until the block ends."""
    async with contextlib.AsyncExitStack() as stack:
        for module in PAGES:
            if hasattr(module, "running"):
                await stack.enter_async_context(module.running(app))
        yield


def make_app(state: State) -> Starlette:
    """Return the application over a log; it follows the log from its start to its end."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        following = asyncio.create_task(state.view.run())
        try:
            async with running(app):
                yield
        finally:
            state.view.close()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await asyncio.wait([asyncio.create_task(state.view.store(1))], timeout=END_SECONDS_MAX)

    folds = [route for module in PAGES for route in getattr(module, "past_routes", ())]
    past = [_in_time(Route(route.path, kept(route.endpoint))) for route in folds]
    now = [_in_time(route) for module in PAGES for route in getattr(module, "routes", ())]
    routes: list[BaseRoute] = [
        *past,
        *now,
        Mount("/at/{at:int}", routes=past),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Bounds, guard=state.guard)],
        exception_handlers={HTTPException: _refused, StreamError: _unavailable, 500: _failed},
    )
    for name, value in vars(state).items():
        setattr(app.state, name, value)
    in_past = {route.path for route in past}
    menus = (module.menu for module in PAGES if hasattr(module, "menu"))
    app.state.menu = [(address, name, address in in_past) for address, name in menus]
    return app


def _in_time(route: Route) -> Route:
    """Return a route that answers 503 when its handler waits for a log that does not answer."""

    async def answer(request: Request) -> Response:
        view: View = request.app.state.view
        seconds = SILENT_SECONDS_MAX if view.silent_seconds else ANSWER_SECONDS_MAX
        try:
            async with asyncio.timeout(seconds):
                response: Response = await route.endpoint(request)
        except TimeoutError as error:
            raise LogUnavailable(f"no answer within {seconds} seconds") from error
        return response

    return Route(route.path, answer, methods=sorted(route.methods or ()), name=route.name)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error_page(request, error.status_code, error.detail)


async def _unavailable(request: Request, error: Exception) -> Response:
    return _error_page(request, 503, f"the log cannot be read now: {error}")


async def _failed(request: Request, error: Exception) -> Response:
    return _error_page(request, 500, "this page has a fault; its log has the details")


def _error_page(request: Request, status: int, why: str) -> Response:
    titles = {401: "Sign in first", 404: "There is no such page", 503: "The log is not available"}
    title = titles.get(status, "That did not work")
    return shown(request, "error.html", status=status, title=title, why=why)
