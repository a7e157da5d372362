"""Messages that are no events: keys that expire, replacements, purges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support.log_subject import Subject

from ringrift.log.errors import ConcurrencyError
from ringrift.log.protocol import Log

pytestmark = pytest.mark.asyncio(loop_scope="module")

Connect = Callable[[], Awaitable[Log]]


async def test_publish_once_by_id_and_under_an_expectation(log: Log, subject: Subject) -> None:
    key = f"$KV.control.{subject.node}"
    first = await log.publish("KV_control", key, b"a", expect_last=0, id=f"{key}-1")
    assert await log.publish("KV_control", key, b"a", expect_last=0, id=f"{key}-1") == first
    second = await log.publish("KV_control", key, b"b", expect_last=first)
    with pytest.raises(ConcurrencyError) as caught:
        await log.publish("KV_control", key, b"c", expect_last=first)
    assert caught.value.actual == second
    assert [
        entry.body async for batch in log.read("KV_control", filters=[key]) for entry in batch
    ] == [b"a", b"b"]
    assert await log.subjects("KV_control", f"$KV.control.{subject.node}") == [key]
    await log.purge("KV_control", key)
    assert await log.last("KV_control", key) is None
    assert await log.subjects("KV_control", f"$KV.control.{subject.node}") == []


async def test_an_expired_key_leaves_a_marker(log: Log, subject: Subject) -> None:
    key = f"$KV.leases.{subject.node}"
    seq = await log.publish("KV_leases", key, b"mine", kept_seconds=1)
    changes = log.follow("KV_leases", filters=[key], start_seq=seq + 1)
    async with asyncio.timeout(10):
        marker = await anext(changes)
    await changes.aclose()
    assert (marker.body, marker.headers["Nats-Marker-Reason"]) == (b"", "MaxAge")
    retaken = await log.publish(
        "KV_leases", key, b"mine now", expect_last=marker.seq, kept_seconds=1
    )
    assert retaken == marker.seq + 1
