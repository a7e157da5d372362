"""Tickets while the server is away: each error of the client is one that workers know."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats import errors

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


async def test_a_refusal_is_no_outage() -> None:
    client = Client(Forbidden("publish to", "$JS.ACK", "viewer"), failures=99)
    with pytest.raises(Forbidden):
        await item(client).ack()
    assert client.asked == 1
