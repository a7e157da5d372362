"""The connection where the library would let a cancellation pass."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nats.aio.client import Client

from ringrift.streams.connect import Connection


@pytest.fixture
async def answer(monkeypatch: pytest.MonkeyPatch) -> asyncio.Future[str]:
    """What the library's request waits for, as it does."""
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def request(self: Client, *words: Any, timeout: float, **more: Any) -> str:
        return await asyncio.wait_for(found, timeout)

    monkeypatch.setattr(Client, "request", request)
    return found


async def test_a_cancellation_that_comes_with_the_answer_counts(answer: asyncio.Future[str]) -> None:
    asking = asyncio.create_task(Connection(None).request("anything", timeout=5))
    await asyncio.sleep(0)
    answer.set_result("an answer")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_an_answer_arrives(answer: asyncio.Future[str]) -> None:
    answer.set_result("an answer")
    assert await Connection(None).request("anything", timeout=5) == "an answer"


async def test_closing_ends_a_search_for_a_server_that_lost_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    async def close(self: Client) -> None:
        assert self._reconnection_task is not None
        self._reconnection_task.cancel()

    monkeypatch.setattr(Client, "close", close)

    async def search() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # as `wait_for` does when the cancellation comes with a refused connection
            await asyncio.Event().wait()

    client = Connection(None)
    client._reconnection_task = searching = asyncio.create_task(search())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await client.close()
    assert searching.cancelled()
