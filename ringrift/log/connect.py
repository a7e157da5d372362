"""Connections to the server: options that survive anything, errors that say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import nats.errors
from nats.aio.client import Client, Server
from nats.aio.msg import Msg

from ringrift.log.diagnostics import logger
from ringrift.log.entry import matches
from ringrift.log.errors import Forbidden, LeaderChanged, Unreachable
from ringrift.log.login import inbox_prefix, login_for, tls_context
from ringrift.log.topology import STREAMS
from ringrift.log.wire import Wire, forbidden_in, split_servers

RECONNECT_SECONDS = 0.25
PING_SECONDS = 5
PINGS_MAX = 2
"""a peer that died without a word is noticed after 10 s; the client's default would take four
minutes"""
CONNECT_SECONDS_MAX = 5.0
MOVE_SECONDS = 4.0
"""a server through which nothing was acknowledged for so long is left for another: it may be cut
off from the rest, which it itself notices after 10 s and more. In an election, where no other is
better, moving costs nothing"""
UNSENT_BYTES_MAX = 32 * 1024 * 1024
"""room for a few of the largest messages while the connection is away"""

ELECTED = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED"
"""a server says so of every stream, 20 ms after a leader stepped down: what was on its way to that
one is lost without a word"""
UNKNOWN_SECONDS, KNOWN_SECONDS = 0.005, 0.5
"""between tries as long as the others may not know of a new leader yet"""
_LED = {
    stream.name: (
        *stream.subjects,
        f"$JS.API.STREAM.INFO.{stream.name}",
        f"$JS.API.STREAM.MSG.GET.{stream.name}",
    )
    for stream in STREAMS
}
"""what a stream's leader answers and may be asked twice"""

logging.getLogger("asyncio").addFilter(
    lambda record: "returning true from eof_received" not in record.getMessage()
)
"""the library's reader says it at the end of every TLS connection; it has no consequence"""


class Connection(Client):
    """The library's client, which also tells a question that the server refused from one it did not
    answer."""

    def __init__(self, role: str | None) -> None:
        super().__init__()
        self.role = role
        self.reconnected = asyncio.Event()
        """set when the connection was lost and is back"""
        self._arrived = time.monotonic()
        self._left: str | None = None
        self._elected, self._elected_at = asyncio.Event(), -math.inf
        self._asked: WeakKeyDictionary[asyncio.Future[Any], str] = WeakKeyDictionary()

    async def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: dict[str, Any] | None = None,
    ) -> None:
        """See the library. Who waits for the reply hears of a refusal."""
        waiting = self._resp_map.get(reply[len(self._resp_sub_prefix or b"") :]) if reply else None
        if waiting is not None:
            self.await_answer(waiting, subject)
        await super().publish(subject, payload, reply=reply, headers=headers)

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        old_style: bool = False,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """See the library. A cancellation that comes together with the answer counts; `wait_for` of
        Python 3.11 would lose it."""
        task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        answer: Msg = await super().request(
            subject, payload, timeout=timeout, old_style=old_style, headers=headers
        )
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
        return answer

    async def close(self) -> None:
        """See the library. Its search for a server ends too: `wait_for` of Python 3.11 may lose the
        first cancellation."""
        try:
            await super().close()
        finally:
            task = self._reconnection_task
            while task is not None and not task.done() and task is not asyncio.current_task():
                task.cancel()
                await asyncio.wait({task}, timeout=RECONNECT_SECONDS)

    def await_answer(self, waiting: asyncio.Future[Any], subject: str) -> None:
        """Let `waiting` fail with Forbidden if the server refuses what is published to
        `subject`."""
        self._asked[waiting] = subject

    async def heard_of_leader(self, message: Msg) -> None:
        """End the waiting for an answer of the leader before, and every `rest`."""
        stream = message.subject.removeprefix(f"{ELECTED}.")
        for waiting, subject in list(self._asked.items()):
            if not waiting.done() and any(matches(led, subject) for led in _LED.get(stream, ())):
                waiting.set_exception(LeaderChanged(stream))
        self._elected_at = time.monotonic()
        self._elected.set()
        self._elected = asyncio.Event()

    async def rest(self, seconds: float) -> None:
        """Wait so long before another try, or until a stream has a new leader; just after, when not
        all know it, not long."""
        just_elected = time.monotonic() - self._elected_at < KNOWN_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, UNKNOWN_SECONDS) if just_elected else seconds):
                await self._elected.wait()

    async def move(self) -> None:
        """Leave this server for another of those we know, unless we have only just come."""
        server = self._current_server
        if (
            server is not None
            and len(self._server_pool) > 1
            and time.monotonic() - self._arrived >= MOVE_SECONDS
        ):
            self.arrived()
            self._left = server.uri.netloc
            await self.force_reconnect()

    def arrived(self) -> None:
        """Note that the server is a new one, or the old one anew."""
        self._arrived = time.monotonic()

    def choose(self, servers: Sequence[Server], info: Mapping[str, Any]) -> tuple[Server, float]:
        """The server to connect to next and the pause before: one that failed less often, not the
        one that was left.

        Closes what the try before may have opened, to a server that then did not speak: the library
        forgets it."""
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]
        chosen = min(
            servers, key=lambda server: (server.uri.netloc == self._left, server.reconnects)
        )
        self._left = None
        return chosen, RECONNECT_SECONDS if chosen.reconnects else 0.0

    def refused(self, text: str) -> None:
        """Fail those who wait for what the server's error text says it refused."""
        denial = forbidden_in(text, self.role)
        if denial is None:
            return
        for waiting, subject in list(self._asked.items()):
            if (
                subject.lower() == denial.subject.lower() and not waiting.done()
            ):  # the library has made the text lower-case
                waiting.set_exception(Forbidden(denial.verb, subject, self.role))


async def connect(url: str, *, name: str) -> Connection:
    """A client that reconnects for ever. Raises Unreachable, ServerTooOld if no usable server
    answers now."""
    servers = split_servers(url)
    first = await Wire.open(
        servers, name=name
    )  # tells at once, and in plain words, what the client would try for ever
    first.close()
    secured = first.secured

    login = login_for(servers[0])
    client = Connection(login.user if login else None)
    told = set[str]()

    async def on_error(error: Exception) -> None:
        text = str(error) or type(error).__name__
        if text not in told:  # once, not at every try to come back
            logger().warning("connection", name=name, error=text)
        if client.is_reconnecting:
            told.add(text)
        client.refused(str(error))

    async def on_loss() -> None:
        _fail_requests(client)
        if not client.is_closed:
            logger().warning("connection lost, reconnecting", name=name)

    async def on_return() -> None:
        client.arrived()
        told.clear()
        logger().info("connection is back", name=name)
        client.reconnected.set()

    options: dict[str, Any] = {
        "servers": servers,
        "name": name,
        "error_cb": on_error,
        "disconnected_cb": on_loss,
        "reconnected_cb": on_return,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": RECONNECT_SECONDS,
        "ping_interval": PING_SECONDS,
        "max_outstanding_pings": PINGS_MAX,
        "pending_size": UNSENT_BYTES_MAX,
        "connect_timeout": 2,
        "inbox_prefix": inbox_prefix(login),
        "reconnect_to_server_handler": client.choose,
    }
    if login is not None:
        options |= {"user": login.user, "password": login.password}
    if secured:
        options["tls"] = tls_context()
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            await client.connect(**options)
            await client.subscribe(f"{ELECTED}.*", cb=client.heard_of_leader)
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unreachable(f"no NATS server takes us at {url}: {error}") from error
    return client


def _fail_requests(client: Client) -> None:
    """Ends the requests whose answer was lost with the connection; the client itself would let each
    run into its timeout."""
    for answer in list(client._resp_map.values()):
        if not answer.done():
            answer.set_exception(nats.errors.ConnectionReconnectingError())
