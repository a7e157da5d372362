"""The connection where the library would let a cancellation pass."""

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
    """What the library's request waits for, as it does."""
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def request(self: Client, *words: Any, timeout: float, **more: Any) -> str:
        return await asyncio.wait_for(found, timeout)

    monkeypatch.setattr(Client, "request", request)
    return found


async def test_a_cancellation_that_comes_with_the_answer_counts(
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


async def test_closing_ends_a_search_for_a_server_that_lost_a_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def close(self: Client) -> None:
        assert self._reconnection_task is not None
        self._reconnection_task.cancel()

    monkeypatch.setattr(Client, "close", close)

    async def search() -> None:
        try:
            await asyncio.Event().wait()
        except (
            asyncio.CancelledError
        ):  # as `wait_for` does when the cancellation comes with a refused connection
            await asyncio.Event().wait()

    client = Connection(None)
    client._reconnection_task = searching = asyncio.create_task(search())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await client.close()
    assert searching.cancelled()


def _elected(client: Connection, stream: str) -> Msg:
    return Msg(client, subject=f"{ELECTED}.{stream}")


async def test_those_who_wait_for_a_leader_hear_that_there_is_another() -> None:
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
    await client.rest(3600)  # not every server may know yet


async def test_a_connection_to_a_server_that_does_not_speak_is_closed_before_the_next_is_tried() -> (
    None
):
    """A frozen server: the kernel accepts for it, and it says nothing. A writer that nobody closes
    warns, which fails the test."""
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
    while len(accepted) < len(silent):  # noqa: ASYNC110  the other ends are told when the loop turns
        await asyncio.sleep(0)
    for each in (*silent, *accepted):
        each.close()
