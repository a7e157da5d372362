"""Cancellation, closing, and changes of leader on a connection."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlparse

import pytest
from nats.aio.client import Client, Server
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport

from ringrift.log.connect import ELECTED, Connection
from ringrift.log.errors import LeaderChanged


@pytest.fixture
async def answer(monkeypatch: pytest.MonkeyPatch) -> asyncio.Future[str]:
    """The answer that the library's request waits for."""
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def request(self: Client, *words: Any, timeout: float, **more: Any) -> str:
        return await asyncio.wait_for(found, timeout)

    monkeypatch.setattr(Client, "request", request)
    return found


async def test_a_cancellation_at_the_time_of_the_answer_is_raised(
    answer: asyncio.Future[str],
) -> None:
    asking = asyncio.create_task(Connection(None).request("anything", timeout=5))
    await asyncio.sleep(0)
    answer.set_result("an answer")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_an_answer_arrives(answer: asyncio.Future[str]) -> None:
    answer.set_result("an answer")
    assert await Connection(None).request("anything", timeout=5) == "an answer"


async def test_close_ends_the_search_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async def close(self: Client) -> None:
        assert self._reconnection_task is not None
        self._reconnection_task.cancel()

    monkeypatch.setattr(Client, "close", close)

    async def search() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            # like `wait_for`, when the connection is refused at the same time
            await asyncio.Event().wait()

    client = Connection(None)
    client._reconnection_task = searching = asyncio.create_task(search())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await client.close()
    assert searching.cancelled()


def _elected(client: Connection, stream: str) -> Msg:
    return Msg(client, subject=f"{ELECTED}.{stream}")


async def test_requests_to_an_old_leader_fail() -> None:
    client = Connection(None)
    subjects = [
        "ringrift.model.hex8_2p.promoted",
        "$JS.API.STREAM.INFO.EVENTS",
        "ringrift.game.hex8_2p.completed",
        "$KV.leases.planner",
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS.x",
        "$JS.API.STREAM.DELETE.EVENTS",
    ]
    asked = {subject: asyncio.get_running_loop().create_future() for subject in subjects}
    for subject, waiting in asked.items():
        client.await_answer(waiting, subject)
    await client.on_leader_elected(_elected(client, "EVENTS"))
    assert [subject for subject, waiting in asked.items() if waiting.done()] == subjects[:2]
    assert isinstance(asked[subjects[0]].exception(), LeaderChanged)
    assert "EVENTS has a new leader" in str(asked[subjects[1]].exception())
    await client.on_leader_elected(_elected(client, "KV_leases"))
    await client.on_leader_elected(_elected(client, "of-somebody-else"))
    assert isinstance(asked[subjects[3]].exception(), LeaderChanged)
    assert not asked[subjects[2]].done()


async def test_a_new_leader_ends_a_rest() -> None:
    client = Connection(None)
    resting = asyncio.create_task(client.rest(3600))
    await asyncio.sleep(0)
    await client.on_leader_elected(_elected(client, "EVENTS"))
    await resting
    await client.rest(3600)  # some servers may not know yet


async def test_a_connection_to_a_silent_server_is_closed_before_the_next_attempt() -> None:
    """The kernel accepts connections of a frozen server. A writer that is not closed warns, which
    fails the test."""
    accepted: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    silent = [await asyncio.start_server(accept, "127.0.0.1", 0) for _ in range(2)]
    client = Connection(None)
    opened: list[asyncio.StreamWriter] = []
    transport = TcpTransport()
    for server in silent:
        uri = urlparse(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        client.choose([Server(uri)], {})
        client._transport = transport
        await transport.connect(uri, 1024, 1)
        opened.append(transport._io_writer)
    assert [writer.is_closing() for writer in opened] == [True, False]
    transport.close()
    while len(accepted) < len(silent):  # noqa: ASYNC110  no event is set
        await asyncio.sleep(0)
    for each in (*silent, *accepted):
        each.close()


async def test_no_password_is_sent_without_tls_after_a_reconnect() -> None:
    client = Connection("worker")
    client._setup_server_pool("nats://worker:secret@host:1")
    client._current_server = client._server_pool[0]
    client.options |= {"user": "worker", "password": "secret", "name": "x", "no_echo": False}
    client.options |= {"verbose": False, "pedantic": False}
    client._auth_configured = True
    for offered in ({"tls_required": True}, {}):
        client._server_info = offered
        assert b"secret" in client._connect_command()
    client.secured = True
    with pytest.raises(ConnectionRefusedError, match="nats://host:1 offers no TLS") as caught:
        client._connect_command()
    assert "secret" not in str(caught.value)
    client._server_info = {"tls_required": True}
    assert b"secret" in client._connect_command()
