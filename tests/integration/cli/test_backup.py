"""`ringrift cluster backup|restore` on real servers."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from support.clusters import content

from ringrift.cli.main import main
from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.blobs import Blobs
from ringrift.log.errors import ServerError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import hold
from ringrift.log.topology import EVENTS, STREAMS
from ringrift.server.backup import load, save
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure
from ringrift.server.grow import copy, live

NETWORK = b"network" * 100_000


def started(number: int) -> Any:
    fact = ConsumerStarted(node="n", consumer="test", instance=str(number), version="1")
    return draft(fact, cause=None, source="test", key=f"backup-{number}")


async def test_a_restored_server_continues_from_the_backup(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers = [await EmbeddedServer.start(tmp_path / name) for name in ("old", "new")]
        for server in servers:
            stack.push_async_callback(server.stop)
        old, new = [await JetStreamLog.open(server.url, name="test") for server in servers]
        for log in (old, new):
            stack.push_async_callback(log.close)
        await ensure(old)
        await old.append_each([started(number) for number in range(250)])
        await old.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"{}", "ticket")
        digest = await Blobs(old).put("models", NETWORK)

        before = {stream.name: await content(old, stream.name) for stream in STREAMS}
        writing = asyncio.create_task(
            old.append_each([started(number) for number in range(250, 2000)])
        )
        await save(await live(old), tmp_path / "backup")
        await writing
        said: list[str] = []
        await copy(load(tmp_path / "backup"), new, replicas=1, report=said.append)
        assert sorted(line.split(":")[0] for line in said) == sorted(
            stream.name for stream in STREAMS
        )
        for stream in STREAMS:
            found = await content(new, stream.name)
            assert found[: len(before[stream.name])] == before[stream.name], stream.name
        everything = await content(old, EVENTS)
        events = await content(new, EVENTS)
        assert events == everything[: len(events)], "a prefix of the events written meanwhile"
        assert await Blobs(new).get("models", digest) == NETWORK
        assert await ensure(new) == []
        item = await new.next_ticket("selfplay", wait_seconds=10)
        assert item is not None
        await item.ack()
        assert await new.append([started(5000)]) == [len(events) + 1]


def test_the_commands(
    run: Any, system: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "backup"
    assert f"ringrift cluster restore --from {directory}" in run(
        "cluster", "backup", "--to", str(directory)
    )
    assert "EVENTS: " in run.err
    run("cluster", "backup", "--to", str(directory), status=1)
    assert f"{directory} is not empty" in run.err
    run("cluster", "restore", "--from", str(directory), status=1)
    assert "give --replicas 1" in run.err
    server = system.call(EmbeddedServer.start(tmp_path / "new"))
    try:
        assert (
            main(
                [
                    "cluster",
                    "restore",
                    "--from",
                    str(directory),
                    "--replicas",
                    "1",
                    "--server",
                    server.url,
                ]
            )
            == 0
        )
        assert "restored: every stream has 1 replicas" in capsys.readouterr().out
    finally:
        system.call(server.stop())


async def test_a_backup_with_keys_that_expired_is_restored_and_continued(tmp_path: Path) -> None:
    """Sixty seconds after a backup its leases and heartbeats are gone."""
    async with contextlib.AsyncExitStack() as stack:
        servers = [await EmbeddedServer.start(tmp_path / name) for name in ("old", "new")]
        for server in servers:
            stack.push_async_callback(server.stop)
        old, new = [await JetStreamLog.open(server.url, name="test") for server in servers]
        for log in (old, new):
            stack.push_async_callback(log.close)
        await ensure(old)
        async with hold(old, "planner", "a", "test"):
            await old.publish("KV_nodes", "$KV.nodes.n1", b"{}", kept_seconds=None)
            await old.publish("KV_breakers", "$KV.breakers.n1", b"{}")
            await save(await live(old), tmp_path / "backup")
        for attempt in range(2):  # the second one finds everything done
            await copy(load(tmp_path / "backup"), new, replicas=1)
            for stream in ("KV_leases", "KV_nodes", "KV_breakers"):
                assert await content(new, stream) == [], attempt
        before = await old.last("KV_leases", "$KV.leases.planner")
        assert before is not None
        async with asyncio.timeout(5), hold(new, "planner", "b", "test") as lease:
            key = await new.last("KV_leases", "$KV.leases.planner")
            assert key is not None
            assert key.seq >= before.seq
            assert lease.token == await new.tail(EVENTS)
        assert await ensure(new) == []
        await new.append([started(1)])
        with pytest.raises(ServerError, match=r"has streams already \(EVENTS\): nothing was"):
            await copy(load(tmp_path / "backup"), new, replicas=1)


async def test_an_interrupted_restore_is_continued(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers = [await EmbeddedServer.start(tmp_path / name) for name in ("old", "new")]
        for server in servers:
            stack.push_async_callback(server.stop)
        old, new = [await JetStreamLog.open(server.url, name="test") for server in servers]
        for log in (old, new):
            stack.push_async_callback(log.close)
        await ensure(old)
        await old.append_each([started(number) for number in range(20)])
        await save(await live(old), tmp_path / "backup")
        source = load(tmp_path / "backup")
        names = list(source)

        async def broken() -> Any:
            raise ServerError("no more")

        with pytest.raises(ServerError, match="no more"):
            await copy({**source, names[3]: broken}, new, replicas=1)
        assert len((await new.call("STREAM.NAMES"))["streams"]) == 3
        with pytest.raises(ServerError, match="give --replicas 1"):
            await copy(source, new, replicas=3)
        await copy(source, new, replicas=1)
        for stream in STREAMS:
            assert await content(new, stream.name) == await content(old, stream.name)


async def test_an_incomplete_backup_is_refused(tmp_path: Path) -> None:
    server = await EmbeddedServer.start(tmp_path / "server")
    log = await JetStreamLog.open(server.url, name="test")
    await ensure(log)
    await log.append([started(1)])
    await save(await live(log), tmp_path / "backup")
    await log.close()
    await server.stop()
    with pytest.raises(ServerError, match="holds no backup"):
        load(tmp_path)
    snapshot, manifest = (
        tmp_path / "backup" / "EVENTS.snapshot",
        tmp_path / "backup" / "backup.json",
    )
    whole, said = snapshot.read_bytes(), manifest.read_bytes()
    snapshot.write_bytes(whole[:-1])
    with pytest.raises(ServerError, match=r"EVENTS\.snapshot is damaged \(\d+ bytes of \d+\)"):
        load(tmp_path / "backup")
    snapshot.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(ServerError, match=r"EVENTS\.snapshot is damaged"):
        load(tmp_path / "backup")
    snapshot.unlink()
    with pytest.raises(ServerError, match=r"EVENTS\.snapshot is missing"):
        load(tmp_path / "backup")
    snapshot.write_bytes(whole)
    manifest.write_bytes(b"{")
    with pytest.raises(ServerError, match=r"backup\.json is not the manifest of a backup"):
        load(tmp_path / "backup")
    manifest.unlink()
    with pytest.raises(ServerError, match=r"backup\.json is missing: the backup is unfinished"):
        load(tmp_path / "backup")
    manifest.write_bytes(said)
    assert EVENTS in load(tmp_path / "backup")
