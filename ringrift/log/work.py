"""Tickets taken from the work queue of a JetStream server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ringrift.events.tickets import PRIORITIES
from ringrift.log.connect import Connection
from ringrift.log.errors import LogUnavailable
from ringrift.log.topology import WORK, consumer_of

PULL_SECONDS_MAX = 5.0
"""one request for a ticket; shorter than a wait so that a server's restart costs no more"""
ASK_SECONDS_MAX = 2.0
"""for what is there now; a server that does not answer in time is asked again with a wait"""
ACK_SECONDS_MAX = 5.0
ACK_TRIES_MAX = 4
_GRACE_SECONDS = 0.5


class JetStreamWorkItem:
    """A ticket delivered by a JetStream server; see `ringrift.log.protocol.WorkItem`."""

    def __init__(self, client: Connection, message: Msg) -> None:
        self._client = client
        self._reply = message.reply
        self.subject = message.subject
        self.body = message.data
        self.seq = message.metadata.sequence.stream
        self.deliveries = message.metadata.num_delivered

    async def in_progress(self) -> None:
        """Asks for more time."""
        await self._client.publish(self._reply, b"+WPI")

    async def ack(self) -> None:
        """Done; returns when the server has recorded it. Raises LogUnavailable: the ticket will
        come again."""
        await self._settle(b"+ACK")

    async def nak(self, delay_seconds: float = 0.0) -> None:
        """Not done; deliver it again after the delay."""
        await self._settle(
            b"-NAK " + json.dumps({"delay": int(delay_seconds * 1e9)}).encode()
            if delay_seconds
            else b"-NAK"
        )

    async def term(self, reason: str) -> None:
        """Will never be done: takes it off the queue."""
        await self._settle(b"+TERM " + reason.encode())

    async def _settle(self, verdict: bytes) -> None:
        for _ in range(ACK_TRIES_MAX):
            try:
                await self._client.request(self._reply, verdict, timeout=ACK_SECONDS_MAX)
            except (
                nats.errors.TimeoutError,
                nats.errors.NoRespondersError,
                nats.errors.OutboundBufferLimitError,
            ):
                await asyncio.sleep(_GRACE_SECONDS)
            else:
                return
        raise LogUnavailable(
            f"the server did not record {verdict[:4].decode()} for ticket {self.seq}; it will be delivered again"
        )


async def take_ticket(
    client: Connection, kind: str, wait_seconds: float
) -> JetStreamWorkItem | None:
    """The oldest ticket of the highest priority that nobody holds, None if none comes within
    `wait_seconds`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + wait_seconds
    names = [consumer_of(kind, priority) for priority in PRIORITIES]
    while (left := end - loop.time()) > 0:
        for name in names:  # what is there now, the highest priority first
            if (message := await _pull(client, [name], None)) is not None:
                return JetStreamWorkItem(client, message)
        message = await _pull(client, names, min(left, PULL_SECONDS_MAX))
        if message is not None:
            return JetStreamWorkItem(client, message)
    return None


async def _pull(client: Connection, consumers: Sequence[str], seconds: float | None) -> Msg | None:
    """One request for one ticket of each consumer, the first that comes; without `seconds` nobody
    waits.

    The inbox is of its own: a ticket comes under its own subject, not the inbox's."""
    pull = json.dumps(
        {"batch": 1, "no_wait": True}
        if seconds is None
        else {"batch": 1, "expires": int(seconds * 1e9)}
    ).encode()
    inbox = client.new_inbox()
    arrived: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

    async def receive(message: Msg) -> None:
        if not arrived.done():
            arrived.set_result(message)
        elif message.reply:  # the taker has left: back with it, or it waits until its time runs out
            await client.publish(message.reply, b"-NAK")

    subscription = await client.subscribe(inbox, cb=receive)
    try:
        for name in consumers:
            question = f"$JS.API.CONSUMER.MSG.NEXT.{WORK}.{name}"
            client.await_answer(arrived, question)
            await client.publish(question, pull, reply=inbox)
        async with asyncio.timeout((seconds or ASK_SECONDS_MAX) + _GRACE_SECONDS):
            message = await arrived
    except TimeoutError:
        return None
    except nats.errors.OutboundBufferLimitError:
        await asyncio.sleep(_GRACE_SECONDS)  # the server is away
        return None
    finally:
        await _leave(subscription)
    if message.headers and message.headers.get("Status") == "503":
        await asyncio.sleep(_GRACE_SECONDS)  # the server is up, its storage not yet
    return (
        message if message.reply else None
    )  # without a reply subject it is a status: nothing came in time


async def _leave(subscription: Subscription) -> None:
    with contextlib.suppress(nats.errors.Error):
        await subscription.unsubscribe()
