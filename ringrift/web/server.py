"""Serving the pages: the socket, the bounds of connections, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from ringrift.cluster.supervisor import background, stop_on_signals
from ringrift.errors import CommandError
from ringrift.runtime.notify import READY, keep_alive, notify

PORT = 8780
CONNECTIONS_MAX = 1000
HEAD_BYTES_MAX = 32 * 1024
END_SECONDS_MAX = 2


def listen(host: str, port: int | None) -> socket.socket:
    """Listen on a port, on `PORT` or else a free one if none is given. Raises CommandError."""
    for tried in (port,) if port is not None else (PORT, 0):
        with contextlib.suppress(OSError):
            return _listening(host, tried)
    raise CommandError(f"{host}:{port or PORT} is taken or no address of this machine")


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


def free_port(host: str = "127.0.0.1") -> int:
    """Return `PORT` if it is free, else another port that is."""
    with listen(host, None) as found:
        port: int = found.getsockname()[1]
    return port


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the caller."""
        yield


async def serve(app: Starlette, listening: socket.socket) -> None:
    """Serve until a signal ends the process."""
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

    def stop() -> None:
        app.state.view.close()  # ends the streams of live viewers
        server.should_exit = True

    stop_on_signals(stop)
    notify(READY)
    async with background(keep_alive(lambda: True)):
        await asyncio.create_task(server.serve(sockets=[listening]))
