"""Tickets while the server is away: each error of the client is one that workers know."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats import errors
from nats.aio.msg import Msg

from ringrift.events.tickets import PRIORITIES
from ringrift.log import work
from ringrift.log.connect import Connection
from ringrift.log.errors import Forbidden, LeaderChanged, LogUnavailable
from ringrift.log.work import ACK_TRIES_MAX, JetStreamWorkItem, take_ticket

AWAY = [
    errors.ConnectionReconnectingError(),
    errors.ConnectionClosedError(),
    errors.OutboundBufferLimitError(),
    errors.NoRespondersError(),
    errors.TimeoutError(),
    LeaderChanged("WORK"),
    ConnectionResetError(),
]


class Client:
    """Fails `failures` times with `error`, then answers."""

    def __init__(self, error: Exception, failures: int) -> None:
        self._error, self._failures, self.asked = error, failures, 0

    async def request(self, *args: Any, **options: Any) -> None:
        self.asked += 1
        if self.asked <= self._failures:
            raise self._error

    async def publish(self, *args: Any, **options: Any) -> None:
        await self.request()

    async def subscribe(self, *args: Any, **options: Any) -> None:
        await self.request()

    def new_inbox(self) -> str:
        return "_INBOX.1"


class Server:
    """A client whose server answers a request as `answer` says, and that counts what is sent."""

    def __init__(self, answer: Callable[[str, dict[str, Any]], Msg | None]) -> None:
        self._answer, self.sent = answer, list[tuple[str, bytes]]()
        self.asked = asyncio.Event()
        """set once a request waits"""

    async def subscribe(self, subject: str, cb: Callable[[Msg], Awaitable[None]]) -> None:
        self.receive = cb

    async def publish(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        self.sent.append((subject, payload))
        if reply and (answer := self._answer(reply, json.loads(payload))) is not None:
            await self.receive(answer)
        elif reply:
            self.asked.set()

    def await_answer(self, waiting: Any, subject: str) -> None: ...

    def leave(self, subscription: Any) -> None: ...

    def new_inbox(self) -> str:
        return "_INBOX.1"

    @property
    def waits(self) -> int:
        """Requests that the server was asked to keep."""
        return sum(b'"expires"' in payload for _, payload in self.sent)


def status(subject: str, code: str) -> Msg:
    return cast(Msg, SimpleNamespace(subject=subject, reply="", headers={"Status": code}))


def delivered(number: int) -> Msg:
    metadata = SimpleNamespace(sequence=SimpleNamespace(stream=number), num_delivered=1)
    ticket = {"subject": "ringrift.work", "data": b"", "headers": None, "metadata": metadata}
    return cast(Msg, SimpleNamespace(reply=f"$JS.ACK.{number}", **ticket))


def empty(reply: str, pull: dict[str, Any]) -> Msg | None:
    """No ticket is there now."""
    return status(reply, "404") if "no_wait" in pull else None


def take(server: Server, seconds: float) -> asyncio.Task[JetStreamWorkItem | None]:
    return asyncio.create_task(take_ticket(cast(Connection, server), "selfplay", seconds))


def item(client: Client) -> JetStreamWorkItem:
    sequence = SimpleNamespace(stream=7, consumer=7)
    metadata = SimpleNamespace(sequence=sequence, num_delivered=1)
    message = SimpleNamespace(reply="$JS.ACK", subject="ringrift.work", data=b"", metadata=metadata)
    return JetStreamWorkItem(cast(Connection, client), cast(Any, message))


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_GRACE_SECONDS", 0.0)


@pytest.mark.parametrize("error", AWAY, ids=repr)
async def test_a_verdict_is_sent_again_after(error: Exception) -> None:
    client = Client(error, failures=ACK_TRIES_MAX - 1)
    await item(client).nak(1.0)
    assert client.asked == ACK_TRIES_MAX


@pytest.mark.parametrize("error", AWAY, ids=repr)
async def test_a_verdict_that_stays_unanswered_is_reported(error: Exception) -> None:
    for settle in (item(Client(error, 99)).ack, item(Client(error, 99)).nak):
        with pytest.raises(LogUnavailable, match="ticket 7; it is redelivered"):
            await settle()


@pytest.mark.parametrize("error", AWAY, ids=repr)
async def test_an_extension_that_is_not_sent_is_reported(error: Exception) -> None:
    with pytest.raises(LogUnavailable, match="ticket 7 was not extended"):
        await item(Client(error, 99)).in_progress()


@pytest.mark.parametrize("error", AWAY, ids=repr)
async def test_a_pull_finds_no_ticket_after(error: Exception) -> None:
    assert await take_ticket(cast(Connection, Client(error, 10**9)), "selfplay", 0.01) is None


async def test_a_request_that_waits_is_not_repeated_while_its_consumers_send_heartbeats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(work, "_now", lambda: now[0])
    server = Server(empty)
    taking = take(server, 100.0)
    await server.asked.wait()
    for _ in range(4):
        now[0] += work.BEAT_SECONDS
        for number in range(len(PRIORITIES)):
            await server.receive(status(f"_INBOX.1.{number}", "100"))
    assert server.waits == len(PRIORITIES)
    await server.receive(delivered(1))
    item = await taking
    assert item is not None
    assert item.seq == 1


async def test_a_request_is_repeated_when_a_consumer_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work, "SILENT_SECONDS_MAX", 0.01)
    server = Server(empty)
    taking = take(server, 100.0)
    await server.asked.wait()
    server.asked.clear()
    await server.asked.wait()
    assert server.waits > len(PRIORITIES)
    taking.cancel()


async def test_tickets_that_are_not_needed_are_handed_back() -> None:
    server = Server(empty)
    taking = take(server, 100.0)
    await server.asked.wait()
    await server.receive(delivered(1))
    await server.receive(delivered(2))
    assert await taking
    assert [subject for subject, body in server.sent if body == b"-NAK"] == ["$JS.ACK.2"]


@pytest.mark.parametrize("first", [True, False])
async def test_a_ticket_that_meets_a_cancellation_is_handed_back(*, first: bool) -> None:
    server = Server(empty)
    taking = take(server, 100.0)
    await server.asked.wait()
    if first:
        await server.receive(delivered(1))
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    if not first:
        await server.receive(delivered(1))
    assert server.sent[-1] == ("$JS.ACK.1", b"-NAK")


async def test_a_worker_rests_when_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_GRACE_SECONDS", 0.05)
    server = Server(lambda reply, _: status(reply, "409"))
    assert await take(server, 0.2) is None
    assert len(server.sent) < 10


async def test_a_refusal_is_no_outage() -> None:
    client = Client(Forbidden("publish to", "$JS.ACK", "viewer"), failures=99)
    with pytest.raises(Forbidden):
        await item(client).ack()
    assert client.asked == 1
