"""Live updates: a stream of versions; the pages fetch themselves again when they see a new one."""

import asyncio
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ringrift.web.pages import view_of
from ringrift.web.view import View

VIEWERS_MAX = 500
PAUSE_SECONDS = 0.4
"""between two messages to one viewer"""
QUIET_SECONDS_MAX = 15.0
"""after which a comment keeps the connection open"""
_viewers = 0


async def live(request: Request) -> Response:
    """Send the version of the view whenever it has changed; a slow viewer misses versions and
    delays no other."""
    if _viewers >= VIEWERS_MAX:
        raise HTTPException(503, f"{VIEWERS_MAX} viewers are connected")
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(
        _versions(view_of(request)), media_type="text/event-stream", headers=headers
    )


async def _versions(view: View) -> AsyncIterator[str]:
    global _viewers
    _viewers += 1
    seen = view.version
    try:
        yield f"retry: 2000\ndata: {seen}\n\n"
        while not view.closed:
            try:
                async with asyncio.timeout(QUIET_SECONDS_MAX):
                    seen = await view.changed(seen)
            except TimeoutError:
                yield ": quiet\n\n"
                continue
            yield f"data: {seen}\n\n"
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        _viewers -= 1


routes = [Route("/live", live)]
