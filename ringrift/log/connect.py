"""Connections to the server: options that survive outages, and errors with a remedy."""

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
from nats.aio.subscription import Subscription

from ringrift.log.diagnostics import logger
from ringrift.log.entry import matches
from ringrift.log.errors import Forbidden, LeaderChanged, Unreachable
from ringrift.log.login import Login, inbox_prefix, login_for, tls_context
from ringrift.log.topology import STREAMS
from ringrift.log.wire import Wire, forbidden_in, shown_address, split_servers, without_tls

RECONNECT_SECONDS = 0.25
PING_SECONDS = 5
PINGS_MAX = 2
"""a peer that died silently is noticed after 10 s; the library's default is four minutes"""
CONNECT_SECONDS_MAX = 5.0
MOVE_SECONDS = 4.0
"""a server through which nothing was acknowledged for this time is left for another: it may be cut
off from the others, which it notices itself only after 10 s. In an election, when no other server
is better, moving costs nothing"""
LATE_SECONDS = 1.0
"""in which a message arrives that was sent before the server knew that it is not wanted any more"""
PAYLOAD_BYTES_MIN = 8 * 1024 * 1024
"""`max_payload` in `nats.conf`; a server that takes less would refuse games and checkpoints"""
UNSENT_BYTES_MAX = 32 * 1024 * 1024
"""room for a few of the largest messages while the connection is lost"""

ELECTED = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED"
"""published for every stream, 20 ms after a leader stepped down; messages in flight to the old
leader are lost without an error"""
UNKNOWN_SECONDS, KNOWN_SECONDS = 0.005, 0.5
"""pause between attempts, and how long it is that short, while some servers may not know a new
leader yet"""
_INFO, _GET = "$JS.API.STREAM.INFO", "$JS.API.STREAM.MSG.GET"
_LED = {
    stream.name: (*stream.subjects, f"{_INFO}.{stream.name}", f"{_GET}.{stream.name}")
    for stream in STREAMS
}
"""requests that a stream's leader answers and that may be repeated"""

Headers = dict[str, Any] | None

# the library's reader logs this at the end of every TLS connection; it has no consequence
logging.getLogger("asyncio").addFilter(
    lambda record: "returning true from eof_received" not in record.getMessage()
)


class Connection(Client):
    """The library's client, which also fails a request that the server refuses, and one whose
    answer was lost with a stream's leader."""

    def __init__(self, role: str | None, name: str = "") -> None:
        super().__init__()
        self.role = role
        self._name = name
        self.secured = False
        """whether every connection must use TLS, as the first one did"""
        self._reported = set[str]()
        self.reconnected = asyncio.Event()
        """set when the connection was lost and is restored"""
        self._connected_at = time.monotonic()
        self._left: str | None = None
        self._elected, self._elected_at = asyncio.Event(), -math.inf
        self._leaving = set[asyncio.Task[None]]()
        self._ended = False
        self._asked: WeakKeyDictionary[asyncio.Future[Any], str] = WeakKeyDictionary()

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: Headers = None
    ) -> None:
        """See the library. A request fails with Forbidden if the server refuses it."""
        waiting = self._resp_map.get(reply[len(self._resp_sub_prefix or b"") :]) if reply else None
        if waiting is not None:
            self.await_answer(waiting, subject)
        await super().publish(subject, payload, reply=reply, headers=headers)

    def _connect_command(self) -> bytes:
        """See the library, which sends a password to any server that it reaches."""
        if self.secured and not self._server_info.get("tls_required"):
            assert self._current_server is not None
            raise ConnectionRefusedError(without_tls(self._current_server.uri.geturl()))
        # the library would send what was not sent before the connection was lost, however long ago;
        # each request is retried by its caller as long as it wants it
        self._pending.clear()
        self._pending_data_size = 0
        return super()._connect_command()

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        old_style: bool = False,
        headers: Headers = None,
    ) -> Msg:
        """See the library. A cancellation at the same time as the answer is raised; `wait_for` of
        Python 3.11 would lose it."""
        task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        answer: Msg = await super().request(
            subject, payload, timeout=timeout, old_style=old_style, headers=headers
        )
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
        return answer

    @property
    def clustered(self) -> bool:
        """Whether the server is one of a cluster."""
        return bool(self._server_info.get("cluster"))

    async def close(self) -> None:
        """See the library. Its search for a server ends too; `wait_for` of Python 3.11 may lose the
        first cancellation."""
        self._ended = True
        for leaving in self._leaving:
            leaving.cancel()
        try:
            await super().close()
        finally:
            task = self._reconnection_task
            while task is not None and not task.done() and task is not asyncio.current_task():
                task.cancel()
                await asyncio.wait({task}, timeout=RECONNECT_SECONDS)
            if self._transport is not None:  # the search may have connected meanwhile
                self._transport.close()  # type: ignore[no-untyped-call]

    def await_answer(self, waiting: asyncio.Future[Any], subject: str) -> None:
        """Let `waiting` fail with Forbidden if the server refuses a publish to `subject`."""
        self._asked[waiting] = subject

    def leave(self, subscription: Subscription) -> None:
        """Unsubscribe; what is on its way still arrives."""
        task = asyncio.create_task(self._leave(subscription))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave(self, subscription: Subscription) -> None:
        with contextlib.suppress(nats.errors.Error, OSError):
            if not self.is_reconnecting:
                await self._send_unsubscribe(subscription._id)
            await asyncio.sleep(LATE_SECONDS)
            await subscription.unsubscribe()  # again, as a new connection would have subscribed

    async def on_leader_elected(self, message: Msg) -> None:
        """Fail requests to the old leader of a stream, and end every `rest`."""
        stream = message.subject.removeprefix(f"{ELECTED}.")
        for waiting, subject in list(self._asked.items()):
            if not waiting.done() and any(matches(led, subject) for led in _LED.get(stream, ())):
                waiting.set_exception(LeaderChanged(stream))
        self._elected_at = time.monotonic()
        self._elected.set()
        self._elected = asyncio.Event()

    async def rest(self, seconds: float) -> None:
        """Wait before the next attempt, or until a stream has a new leader.

        The wait is short just after an election, while some servers do not know its result."""
        just_elected = time.monotonic() - self._elected_at < KNOWN_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, UNKNOWN_SECONDS) if just_elected else seconds):
                await self._elected.wait()

    async def move(self) -> None:
        """Leave this server for another known one, unless it was connected to just now."""
        server, now = self._current_server, time.monotonic()
        if server is None or len(self._server_pool) < 2 or now - self._connected_at < MOVE_SECONDS:
            return
        self._connected_at = now
        self._left = server.uri.netloc
        await self.force_reconnect()

    def choose(self, servers: Sequence[Server], info: Mapping[str, Any]) -> tuple[Server, float]:
        """The server to connect to next and the pause before: the one with the fewest failures, not
        the one that was left."""
        if self._ended:  # the library may search twice at once, and then forgets the first search
            raise asyncio.CancelledError
        # the library forgets a connection to a server that accepted it and then stayed silent
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]
        chosen = min(
            servers, key=lambda server: (server.uri.netloc == self._left, server.reconnects)
        )
        self._left = None
        return chosen, RECONNECT_SECONDS if chosen.reconnects else 0.0

    async def on_error(self, error: Exception) -> None:
        """Log an error, and fail the requests that its text says the server refused."""
        text = str(error) or type(error).__name__
        if text not in self._reported:  # once, not at every attempt
            logger().warning("connection", name=self._name, error=text)
        if self.is_reconnecting:
            self._reported.add(text)
        denial = forbidden_in(text, self.role)
        if denial is None:
            return
        for waiting, subject in list(self._asked.items()):
            # the library has converted the text to lower case
            if subject.lower() == denial.subject.lower() and not waiting.done():
                waiting.set_exception(Forbidden(denial.verb, subject, self.role))

    async def on_disconnect(self) -> None:
        """Fail the requests whose answer was lost with the connection; the library would let each
        run into its timeout."""
        for answer in {*self._resp_map.values(), *self._asked}:
            if not answer.done():
                answer.set_exception(nats.errors.ConnectionReconnectingError())
        if not self.is_closed:
            logger().warning("connection lost, reconnecting", name=self._name)

    async def on_reconnect(self) -> None:
        """Note that the connection is restored."""
        self._reported.clear()
        logger().info("connection restored", name=self._name)
        self._connected_at = time.monotonic()
        self.reconnected.set()


def _check_usable(info: Mapping[str, Any], where: str) -> None:
    """Raise Unreachable unless a server stores messages, also the largest ones."""
    if not info.get("jetstream"):
        remedy = "start it with the nats.conf of RingRift"
        raise Unreachable(f"{where} runs without JetStream, which stores the log: {remedy}")
    limit = int(info.get("max_payload", 0))
    if limit < PAYLOAD_BYTES_MIN:
        needed = f"{PAYLOAD_BYTES_MIN} are needed: raise max_payload in its configuration"
        raise Unreachable(f"{where} takes messages of {limit} bytes, {needed}")


async def connect(url: str, *, name: str, login: Login | None = None) -> Connection:
    """Return a client that reconnects until it is closed, by default with the user of the
    environment. Raises Unreachable, ServerTooOld if no usable server answers now."""
    servers = split_servers(url)
    # fails at once and with a clear message, where the client would retry
    first = await Wire.open(servers, name=name, login=login)
    first.close()
    where = ", ".join(map(shown_address, servers))
    _check_usable(first.info, where)
    login = login or login_for(servers[0])
    client = Connection(login.user if login else None, name)
    client.secured = secured = first.secured
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            await client.connect(
                servers,
                name=name,
                error_cb=client.on_error,
                disconnected_cb=client.on_disconnect,
                reconnected_cb=client.on_reconnect,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_SECONDS,  # type: ignore[arg-type]
                ping_interval=PING_SECONDS,
                max_outstanding_pings=PINGS_MAX,
                pending_size=UNSENT_BYTES_MAX,
                connect_timeout=2,
                inbox_prefix=inbox_prefix(login),
                reconnect_to_server_handler=client.choose,
                tls=tls_context() if secured else None,
                **(login.options() if login else {}),
            )
            await client.subscribe(f"{ELECTED}.*", cb=client.on_leader_elected)
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unreachable(f"no NATS server accepts the connection to {where}: {error}") from error
    return client
