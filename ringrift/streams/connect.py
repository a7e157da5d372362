"""Connections to the server: options that survive anything, errors that say what to do."""

from __future__ import annotations

import asyncio
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client

from ringrift.streams.errors import Unreachable
from ringrift.streams.wire import Wire, split_servers

RECONNECT_SECONDS = 0.25
PING_SECONDS = 5
PINGS_MAX = 2
"""a peer that died without a word is noticed after 10 s; the client's default would take four minutes"""
CONNECT_SECONDS_MAX = 5.0
UNSENT_BYTES_MAX = 32 * 1024 * 1024
"""room for a few of the largest messages while the connection is away"""

_log = structlog.get_logger("ringrift.streams")


async def connect(url: str, *, name: str) -> Client:
    """A client that reconnects for ever. Raises Unreachable, ServerTooOld if no usable server answers now."""
    servers = split_servers(url)
    (await Wire.open(servers, name=name)).close()  # tells at once, and in plain words, what the client would try for ever

    client = Client()

    async def on_error(error: Exception) -> None:
        _log.warning("connection", name=name, error=str(error) or type(error).__name__)

    async def on_loss() -> None:
        _fail_requests(client)
        if not client.is_closed:
            _log.warning("connection lost, reconnecting", name=name)

    async def on_return() -> None:
        _log.info("connection is back", name=name)

    options: dict[str, Any] = {
        "servers": servers, "name": name, "error_cb": on_error, "disconnected_cb": on_loss, "reconnected_cb": on_return,
        "max_reconnect_attempts": -1, "reconnect_time_wait": RECONNECT_SECONDS, "ping_interval": PING_SECONDS,
        "max_outstanding_pings": PINGS_MAX, "pending_size": UNSENT_BYTES_MAX, "connect_timeout": 2,
    }  # fmt: skip
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            await client.connect(**options)
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unreachable(f"no NATS server takes us at {url}: {error}") from error
    return client


def _fail_requests(client: Client) -> None:
    """Ends the requests whose answer was lost with the connection; the client itself would let each run into its timeout."""
    for answer in list(client._resp_map.values()):
        if not answer.done():
            answer.set_exception(nats.errors.ConnectionReconnectingError())
