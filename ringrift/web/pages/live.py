"""Live updates: a stream of versions; the pages fetch themselves again when they see a new one."""

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ringrift.web.latest import Changing
from ringrift.web.pages import view_of

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
    return stream(versions(view_of(request), pause=PAUSE_SECONDS))


def stream(parts: AsyncIterator[str]) -> Response:
    """Return server-sent events as an answer."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(parts, media_type="text/event-stream", headers=headers)


async def versions(
    shown: Changing, *, pause: float = 0.0, ended: Callable[[], bool] = lambda: False
) -> AsyncIterator[str]:
    """Yield the version of something as an event whenever it has changed, `pause` seconds apart."""
    global _viewers
    _viewers += 1
    seen = shown.version
    try:
        yield f"retry: 2000\ndata: {seen}\n\n"
        while not (shown.closed or ended()):
            try:
                async with asyncio.timeout(QUIET_SECONDS_MAX):
                    seen = await shown.changed(seen)
            except TimeoutError:
                yield ": quiet\n\n"
                continue
            yield f"data: {seen}\n\n"
            await asyncio.sleep(pause)
    finally:
        _viewers -= 1


routes = [Route("/live", live)]
