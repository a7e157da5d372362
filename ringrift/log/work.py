"""Tickets taken from the work queue of a JetStream server."""

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from typing import Protocol

from nats import errors
from nats.aio.msg import Msg

from ringrift.events.tickets import PRIORITIES
from ringrift.log.connect import Connection
from ringrift.log.errors import LogUnavailable
from ringrift.log.topology import WORK, consumer_of

PULL_SECONDS_MAX = 30.0
"""of one request for a ticket, which the server keeps: a thousand idle workers with three requests
each ask a hundred times a second"""
BEAT_SECONDS, SILENT_SECONDS_MAX = 5.0, 11.0
"""between two heartbeats of a consumer with such a request, and without one until it is sent again,
as it was lost with the leader of the consumer"""
ASK_SECONDS_MAX = 2.0
"""of a request for a ticket that is there now; without an answer, a request that waits follows"""
ACK_SECONDS_MAX = 5.0
ACK_TRIES_MAX = 4
_GRACE_SECONDS = 0.5
_AWAY = "no answer"
_now = time.monotonic
_NONE_THERE = ("", "404", "408")
"""statuses of a request to which there is no ticket"""
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
    `seconds`. A ticket that arrives too late, or after a cancellation, is handed back."""
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
    inbox = client.new_inbox()
    waiting = _Waiting(client, len(consumers))
    try:
        subscription = await client.subscribe(f"{inbox}.*", cb=waiting.receive)
    except UNAVAILABLE:
        await asyncio.sleep(_GRACE_SECONDS)
        return None
    try:
        for number, name in enumerate(consumers):
            question = f"$JS.API.CONSUMER.MSG.NEXT.{WORK}.{name}"
            client.await_answer(waiting.arrived, question)
            await client.publish(question, _request(seconds), reply=f"{inbox}.{number}")
        message = await waiting.first(seconds)
    except TimeoutError:
        return None
    except UNAVAILABLE:
        message = None
    finally:  # without a pause, so that a cancellation loses no ticket
        client.leave(subscription)
    if message is not None and message.reply:  # a status has no reply subject
        return message
    status = (message.headers or {}).get("Status", "") if message is not None else _AWAY
    if status not in _NONE_THERE:  # too many wait, or the server's storage does not run yet
        await asyncio.sleep(_GRACE_SECONDS)
    return None


def _request(seconds: float | None) -> bytes:
    """A request for one ticket that the server keeps for `seconds`, if given."""
    if seconds is None:
        return json.dumps({"batch": 1, "no_wait": True}).encode()
    pull = {"batch": 1, "expires": int(seconds * 1e9)}
    if seconds > 2 * BEAT_SECONDS:
        pull["idle_heartbeat"] = int(BEAT_SECONDS * 1e9)
    return json.dumps(pull).encode()


class _Waiting:
    """What arrives for one pull: heartbeats of consumers without a ticket, then its answer."""

    def __init__(self, client: Connection, consumers: int) -> None:
        self._client = client
        self.arrived: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._beats: dict[str, float] = {}
        self._began, self._consumers = _now(), consumers

    async def receive(self, message: Msg) -> None:
        """Take the first answer, and hand back every other ticket."""
        if (message.headers or {}).get("Status") == "100":
            self._beats[message.subject] = _now()
        elif self.arrived.done():
            await self._hand_back(message)
        else:
            self.arrived.set_result(message)

    async def first(self, seconds: float | None) -> Msg:
        """The first answer. Raises TimeoutError without one, or if a consumer has gone silent, as
        when its leader was killed with the request."""
        end = self._began + (ASK_SECONDS_MAX if seconds is None else seconds) + _GRACE_SECONDS
        try:
            while not self.arrived.done() and (left := min(end, self._heard()) - _now()) > 0:
                await asyncio.wait({self.arrived}, timeout=left)
        except asyncio.CancelledError:
            if self.arrived.done() and not self.arrived.exception():
                await self._hand_back(self.arrived.result())
            raise
        finally:
            late = self.arrived.cancel()
        if late:
            raise TimeoutError
        return self.arrived.result()

    def _heard(self) -> float:
        """Until when each consumer is taken to keep its request."""
        beats = self._beats.values()
        oldest = min(beats) if len(beats) == self._consumers else self._began
        return oldest + SILENT_SECONDS_MAX

    async def _hand_back(self, message: Msg) -> None:
        """Return a ticket that is not needed, instead of waiting for its time to run out."""
        if message.reply:
            with contextlib.suppress(*UNAVAILABLE):
                await self._client.publish(message.reply, b"-NAK")
