"""Serving the pages: the socket, the bounds of connections, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from ringrift.cluster.supervisor import background
from ringrift.runtime.notify import READY, keep_alive, notify

CONNECTIONS_MAX = 1000
HEAD_BYTES_MAX = 32 * 1024
END_SECONDS_MAX = 2


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield


async def serve(app: Starlette, listening: socket.socket, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set."""
    server = _Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=CONNECTIONS_MAX,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            timeout_graceful_shutdown=END_SECONDS_MAX,
        )
    )

    async def stop() -> None:
        await stopping.wait()
        app.state.view.close()  # ends the streams of live viewers
        server.should_exit = True

    notify(READY)
    async with background(keep_alive(lambda: True), stop()):
        await asyncio.create_task(server.serve(sockets=[listening]))
