"""Creating and updating streams on a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from support.embedded import connected, event, running

from ringrift.log.errors import ServerRefused
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import CONSUMERS, EVENTS, STREAMS, StreamConfig
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import Drift, ensure
from ringrift.server.recreate import Recreated, recreate_consumers


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    async with running(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def log(server: EmbeddedServer) -> AsyncIterator[JetStreamLog]:
    async with connected(server) as log:
        yield log


async def test_differences_are_reported_and_not_changed(log: JetStreamLog) -> None:
    info = await log.ask("$JS.API.STREAM.INFO.WORK", b"", 5)
    config = msgspec.json.decode(info)["config"] | {"max_msgs": 7}
    await log.ask("$JS.API.STREAM.UPDATE.WORK", msgspec.json.encode(config), 5)
    for _ in range(2):
        assert await ensure(log) == [Drift("WORK", "max_msgs", 1000, 7)]


async def test_an_older_stream_and_consumer_get_the_metadata_of_checks(log: JetStreamLog) -> None:
    for kind, name in (("STREAM", "WORK"), ("CONSUMER", "WORK.selfplay")):
        config = (await log.call(f"{kind}.INFO.{name}"))["config"] | {"metadata": {"mine": "1"}}
        request = config if kind == "STREAM" else {"stream_name": "WORK", "config": config}
        changing = "STREAM.UPDATE" if kind == "STREAM" else "CONSUMER.CREATE"
        await log.call(f"{changing}.{name}", request)
    assert await ensure(log) == []
    for question in ("STREAM.INFO.WORK", "CONSUMER.INFO.WORK.selfplay"):
        metadata = (await log.call(question))["config"]["metadata"]
        assert metadata.items() >= {"mine": "1", "io.nats.monitor.enabled": "true"}.items()


async def test_a_deleted_consumer_of_the_queue_is_recreated(log: JetStreamLog) -> None:
    assert await recreate_consumers(log) == []
    name = CONSUMERS[0].name
    await log.call(f"CONSUMER.DELETE.WORK.{name}")
    assert await recreate_consumers(log) == [Recreated(f"WORK.{name}", "missing", 0.0)]
    assert await recreate_consumers(log) == []


async def test_a_consumer_of_an_older_build_gets_room_for_idle_workers(log: JetStreamLog) -> None:
    await log.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"one", "1")
    config = (await log.call("CONSUMER.INFO.WORK.selfplay"))["config"] | {"max_waiting": 512}
    await log.call("CONSUMER.DELETE.WORK.selfplay")
    request = {"stream_name": "WORK", "config": config}
    await log.call("CONSUMER.CREATE.WORK.selfplay", request)
    assert await log.next_ticket("selfplay", wait_seconds=5) is not None
    assert await ensure(log) == []
    again = await log.next_ticket("selfplay", wait_seconds=5)
    assert again is not None, "a ticket in hand is delivered once more"


async def _new_reader(log: JetStreamLog, number: int) -> str:
    """Create a consumer like one that a killed reader left."""
    config = {
        "name": f"left-{number}",
        "ack_policy": "none",
        "mem_storage": True,
        "num_replicas": 1,
    }
    request = {"stream_name": EVENTS, "config": config, "action": "create"}
    return str((await log.call(f"CONSUMER.CREATE.{EVENTS}.left-{number}", request))["name"])


async def test_a_stream_has_room_for_the_readers_of_a_fleet(log: JetStreamLog) -> None:
    await log.append([event()])
    for number in range(1001):  # the server's default is 1000
        await _new_reader(log, number)
    async with asyncio.timeout(10):
        assert [entry.seq async for batch in log.read(EVENTS) for entry in batch] == [1]


async def test_a_stream_of_an_older_build_gets_room_for_readers(log: JetStreamLog) -> None:
    await log.append([event()])
    config = (await log.call(f"STREAM.INFO.{EVENTS}"))["config"]
    await log.call(f"STREAM.UPDATE.{EVENTS}", config | {"max_consumers": 1})
    await _new_reader(log, 0)
    with pytest.raises(ServerRefused, match="maximum consumers"):
        await _new_reader(log, 1)
    entries = log.follow(EVENTS)
    first = asyncio.create_task(anext(entries))
    done, _ = await asyncio.wait({first}, timeout=0.6)  # more than one attempt
    assert not done
    assert await ensure(log) == []
    async with asyncio.timeout(10):
        assert (await first).seq == 1
    await entries.aclose()


async def test_a_compressed_stream_of_an_older_build_is_decompressed(log: JetStreamLog) -> None:
    config = (await log.call(f"STREAM.INFO.{EVENTS}"))["config"]
    await log.call(f"STREAM.UPDATE.{EVENTS}", config | {"compression": "s2"})
    assert await ensure(log) == []
    assert (await log.call(f"STREAM.INFO.{EVENTS}"))["config"].get("compression", "none") == "none"


LASTING = [stream for stream in STREAMS if stream.name != "KV_leases"]
"""Streams without keys that expire; only coordinators may write those."""
RIGHTS = [("Nats-Rollup", "sub"), ("Nats-Rollup", "all"), ("Nats-TTL", "1s")]


@pytest.mark.parametrize("stream", LASTING, ids=lambda stream: stream.name)
async def test_headers_give_no_right_to_delete(log: JetStreamLog, stream: StreamConfig) -> None:
    subject = stream.subjects[0].replace(".>", ".x.5.y")
    for header, value in RIGHTS:
        with pytest.raises(ServerRefused, match=r"rollup|TTL"):
            await log.publish(stream.name, subject, b"x", headers={header: value})
    assert await log.tail(stream.name) == 0
