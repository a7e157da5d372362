"""Tickets taken from the work queue of a JetStream server."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Protocol

from nats import errors
from nats.aio.msg import Msg

from ringrift.events.tickets import PRIORITIES
from ringrift.log.connect import Connection
from ringrift.log.errors import LogUnavailable
from ringrift.log.topology import WORK, consumer_of

PULL_SECONDS_MAX = 5.0
"""of one request for a ticket; shorter than a wait, to limit the cost of a server's restart"""
ASK_SECONDS_MAX = 2.0
"""of a request for a ticket that is there now; without an answer, a request that waits follows"""
ACK_SECONDS_MAX = 5.0
ACK_TRIES_MAX = 4
_GRACE_SECONDS = 0.5
UNAVAILABLE = (errors.Error, LogUnavailable, TimeoutError, OSError)
"""what a client raises while the server is away or elects a leader; `Forbidden` is none of these"""


class WorkItem(Protocol):
    """A ticket delivered to a worker, which must acknowledge it or ask for more time."""

    subject: str
    body: bytes
    seq: int
    deliveries: int
    """1 at the first delivery"""

    async def in_progress(self) -> None:
        """Restart the time until redelivery (`WORK_ACK_SECONDS`)."""

    async def ack(self) -> None:
        """Remove the ticket from the queue because it is done; return when the server has recorded
        that."""

    async def nak(self, delay_seconds: float = 0.0) -> None:
        """Have the ticket redelivered after a delay."""

    async def term(self, reason: str) -> None:
        """Remove the ticket from the queue because it cannot be done.

        Store a dead letter first: its bytes are lost afterwards."""


class JetStreamWorkItem:
    """A ticket delivered by a JetStream server; see `WorkItem`."""

    def __init__(self, client: Connection, message: Msg) -> None:
        self._client = client
        self._reply = message.reply
        self.subject = message.subject
        self.body = message.data
        self.seq = message.metadata.sequence.stream
        self.deliveries = message.metadata.num_delivered

    async def in_progress(self) -> None:
        """See `WorkItem.in_progress`."""
        try:
            await self._client.publish(self._reply, b"+WPI")
        except UNAVAILABLE as error:
            raise LogUnavailable(f"ticket {self.seq} was not extended: {error}") from error

    async def ack(self) -> None:
        """See `WorkItem.ack`. Raises LogUnavailable; the ticket is redelivered then."""
        await self._settle(b"+ACK")

    async def nak(self, delay_seconds: float = 0.0) -> None:
        """See `WorkItem.nak`."""
        delay = json.dumps({"delay": int(delay_seconds * 1e9)}).encode()
        await self._settle(b"-NAK " + delay if delay_seconds else b"-NAK")

    async def term(self, reason: str) -> None:
        """See `WorkItem.term`."""
        await self._settle(b"+TERM " + reason.encode())

    async def _settle(self, verdict: bytes) -> None:
        for _ in range(ACK_TRIES_MAX):
            try:
                await self._client.request(self._reply, verdict, timeout=ACK_SECONDS_MAX)
            except UNAVAILABLE:
                await asyncio.sleep(_GRACE_SECONDS)
            else:
                return
        what = f"{verdict[:4].decode()} for ticket {self.seq}"
        raise LogUnavailable(f"the server did not record {what}; it is redelivered")


async def take_ticket(client: Connection, kind: str, seconds: float) -> JetStreamWorkItem | None:
    """Return the oldest free ticket of the highest priority, or None if there is none within
    `seconds`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    names = [consumer_of(kind, priority) for priority in PRIORITIES]
    while (left := end - loop.time()) > 0:
        for name in names:  # tickets that are there now, the highest priority first
            if (message := await _pull(client, [name], None)) is not None:
                return JetStreamWorkItem(client, message)
        message = await _pull(client, names, min(left, PULL_SECONDS_MAX))
        if message is not None:
            return JetStreamWorkItem(client, message)
    return None


async def _pull(client: Connection, consumers: Sequence[str], seconds: float | None) -> Msg | None:
    """Ask each consumer for one ticket and return the first one; without `seconds`, do not wait.

    The request has an inbox of its own, because a ticket arrives under its own subject."""
    waiting = {"no_wait": True} if seconds is None else {"expires": int(seconds * 1e9)}
    pull = json.dumps({"batch": 1} | waiting).encode()
    inbox = client.new_inbox()
    arrived: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

    async def receive(message: Msg) -> None:
        if not arrived.done():
            arrived.set_result(message)
        elif message.reply:  # not needed: return it, instead of waiting for its time to run out
            await client.publish(message.reply, b"-NAK")

    try:
        subscription = await client.subscribe(inbox, cb=receive)
    except UNAVAILABLE:
        await asyncio.sleep(_GRACE_SECONDS)
        return None
    try:
        for name in consumers:
            question = f"$JS.API.CONSUMER.MSG.NEXT.{WORK}.{name}"
            client.await_answer(arrived, question)
            await client.publish(question, pull, reply=inbox)
        async with asyncio.timeout((seconds or ASK_SECONDS_MAX) + _GRACE_SECONDS):
            message = await arrived
    except TimeoutError:
        return None
    except UNAVAILABLE:
        await asyncio.sleep(_GRACE_SECONDS)
        return None
    finally:
        with contextlib.suppress(errors.Error):
            await subscription.unsubscribe()
    if message.headers and message.headers.get("Status") == "503":
        await asyncio.sleep(_GRACE_SECONDS)  # the server runs, its storage does not yet
    return message if message.reply else None  # a status has no reply subject
