"""`ringrift cluster backup|restore` on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clusters import content
from support.voters import voters

from ringrift.cli.main import main
from ringrift.consumers.archiving import moving
from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted, StreamTrimmed
from ringrift.log.blobs import Blobs
from ringrift.log.errors import BlobCorrupt, ServerError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import hold
from ringrift.log.object_store import ObjectStore
from ringrift.log.topology import EVENTS, STREAMS
from ringrift.log.wire import Wire
from ringrift.server import increment
from ringrift.server.backup import damaged, load, names, prune, save
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure
from ringrift.server.grow import Stream, copy, live

NETWORK = b"network" * 100_000
AHEAD_BYTES_MAX = 2_500_000
"""sent by a server before it waits for an answer"""


def started(number: int, node: str = "n") -> Any:
    fact = ConsumerStarted(node=node, consumer="test", instance=str(number), version="1")
    return draft(fact, cause=None, source="test", key=f"backup-{node}-{number}")


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
        await save(await live(old), str(tmp_path / "backup"))
        await writing
        said: list[str] = []
        await copy(await load(str(tmp_path / "backup")), new, replicas=1, report=said.append)
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
    assert main(["cluster", "backups", "--at", str(directory), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert main(["cluster", "backups", "--at", str(tmp_path / "none")]) == 1
    assert f"there is no directory {tmp_path}/none" in capsys.readouterr().err
    assert main(["cluster", "backups", "--at", str(directory), "--check"]) == 0
    assert not (tmp_path / "none").exists(), "what is only read is not created"
    run("cluster", "restore", "--from", str(directory), "--replicas", "3", status=1)
    assert "give --replicas 1" in run.err
    server = system.call(EmbeddedServer.start(tmp_path / "new"))
    try:
        words = ("cluster", "restore", "--from", str(directory), "--server", server.url)
        assert main([*words]) == 0
        assert "restored: every stream has 1 replica," in capsys.readouterr().out
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
            await save(await live(old), str(tmp_path / "backup"))
        for attempt in range(2):  # the second one finds everything done
            await copy(await load(str(tmp_path / "backup")), new, replicas=1)
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
            await copy(await load(str(tmp_path / "backup")), new, replicas=1)


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
        await save(await live(old), str(tmp_path / "backup"))
        source = await load(str(tmp_path / "backup"))
        streams = list(source)

        async def broken() -> Any:
            raise ServerError("no more")

        with pytest.raises(ServerError, match="no more"):
            await copy({**source, streams[3]: broken}, new, replicas=1)
        assert len((await new.call("STREAM.NAMES"))["streams"]) == 3
        with pytest.raises(ServerError, match="give --replicas 1"):
            await copy(source, new, replicas=3)
        await copy(source, new, replicas=1)
        for stream in STREAMS:
            assert await content(new, stream.name) == await content(old, stream.name)


@contextlib.asynccontextmanager
async def served(tmp_path: Path, *names: str) -> AsyncIterator[list[JetStreamLog]]:
    """Logs on servers of their own, the first one with streams."""
    async with contextlib.AsyncExitStack() as stack:
        logs = []
        for name in names:
            server = await EmbeddedServer.start(tmp_path / name)
            stack.push_async_callback(server.stop)
            logs.append(await JetStreamLog.open(server.url, name="test"))
            stack.push_async_callback(logs[-1].close)
        await ensure(logs[0])
        yield logs


def objects(place: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in (place / "objects").iterdir()}


async def test_a_second_backup_stores_only_what_is_new(tmp_path: Path) -> None:
    place = tmp_path / "backups"
    async with served(tmp_path, "old", "first", "second") as (old, first, second):
        await old.append_each([started(number) for number in range(300)])
        await Blobs(old).put("models", os.urandom(9_000_000))
        one = await save(await live(old), str(place))
        before = await content(old, EVENTS)
        assert one.new_bytes == one.size_bytes == sum(objects(place).values())
        same = await save(await live(old), str(place))
        assert (same.new_bytes, same.size_bytes) == (0, one.size_bytes)
        await old.append([started(5000)])
        two = await save(await live(old), str(place))
        assert 0 < two.new_bytes < one.size_bytes / 10
        await copy(await load(str(place), one.name), first, replicas=1)
        assert await content(first, EVENTS) == before
        await copy(await load(str(place)), second, replicas=1)
        for stream in STREAMS:
            assert await content(second, stream.name) == await content(old, stream.name)
        await prune(str(place), 1)
        assert await names(ObjectStore(str(place))) == [two.name]
        await load(str(place))
        assert sum(objects(place).values()) == two.size_bytes


@contextlib.contextmanager
def counted(log: JetStreamLog, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The bytes that arrive at all connections in the block."""
    found, receive = [0], Wire.data_received

    def counting(wire: Wire, data: bytes) -> None:
        found[0] += len(data)
        receive(wire, data)

    monkeypatch.setattr(Wire, "data_received", counting)
    before = log.client.stats["in_bytes"]
    yield found
    found[0] += log.client.stats["in_bytes"] - before


async def restored(place: Path, old: JetStreamLog, new: JetStreamLog) -> None:
    """Restore the newest backup, and compare everything."""
    await copy(await load(str(place)), new, replicas=1)
    for stream in STREAMS:
        assert await content(new, stream.name) == await content(old, stream.name), stream.name
    assert await new.append([started(9999)]) == [await old.tail(EVENTS) + 1]


async def test_a_second_backup_reads_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "backups"
    async with served(tmp_path, "old", "new") as (old, new):
        await old.append_each([started(number) for number in range(1000)])
        await Blobs(old).put("models", os.urandom(12_000_000))
        with counted(old, monkeypatch) as read:
            await save(await live(old), str(place))
        assert read[0] > 12_000_000
        await old.append_each([started(number) for number in range(1000, 1100)])
        await Blobs(old).put("models", os.urandom(100_000))
        with counted(old, monkeypatch) as read:
            await save(await live(old), str(place))
        assert read[0] < 2 * AHEAD_BYTES_MAX + 500_000
        await restored(place, old, new)


async def test_what_was_deleted_since_a_backup_is_not_in_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "backups"
    async with served(tmp_path, "old", "new") as (old, new):
        await old.append_each([started(number) for number in range(3000)])
        blobs = Blobs(old)
        digests = [await blobs.put("models", os.urandom(3_000_000)) for _ in range(5)]
        whole = await save(await live(old), str(place))
        for digest in (digests[0], digests[2]):  # the first messages, and some in the middle
            await blobs.delete("models", digest)
        await old.purge(EVENTS, "ringrift.consumer.n.started", before=1500)
        await old.append([started(3000)])
        with counted(old, monkeypatch) as read:
            made = await save(await live(old), str(place))
        assert read[0] < 2 * AHEAD_BYTES_MAX + 500_000
        assert made.size_bytes < whole.size_bytes - 6_000_000
        await restored(place, old, new)
        assert await Blobs(new).names("models") == sorted(
            digest for number, digest in enumerate(digests) if number not in (0, 2)
        )


async def test_a_trimmed_stream_with_many_gaps_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(increment, "DELETED_MAX", 0)
    place = tmp_path / "backups"
    async with served(tmp_path, "old", "new") as (old, new):
        await old.append_each([started(number, "rare") for number in range(3)])
        await old.append_each([started(number) for number in range(6000)])
        await save(await live(old), str(place))
        trimmed = StreamTrimmed(stream="EVENTS", last_seq=4000)
        await old.append([draft(trimmed, cause=None, source="test")])
        await old.archive.refresh()
        await moving.purge(old, EVENTS, 4000)
        with counted(old, monkeypatch) as read:
            made = await save(await live(old), str(place))
        assert read[0] < AHEAD_BYTES_MAX + 100_000
        assert made.size_bytes < 1_500_000
        await copy(await load(str(place)), new, replicas=1)
        found = [
            [one async for part in log.read(EVENTS, archived=False) for one in part]
            for log in (old, new)
        ]
        assert [one.seq for one in found[1]] == [3, *range(4001, 6005)]
        assert found[0] == found[1]


@pytest.mark.parametrize("more", [0, 500])
async def test_a_stream_that_was_created_again_is_read_as_a_whole(
    tmp_path: Path, more: int
) -> None:
    place = tmp_path / "backups"
    async with served(tmp_path, "old", "new") as (old, new):
        await old.append_each([started(number) for number in range(1000)])
        await save(await live(old), str(place))
        await old.call(f"STREAM.DELETE.{EVENTS}")
        await ensure(old)
        await old.append_each([started(number) for number in range(1000, 2000 + more)])
        await save(await live(old), str(place))
        await restored(place, old, new)


async def test_what_is_deleted_during_a_backup_leaves_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "backups"
    begun = Stream.begun
    async with served(tmp_path, "old", "new") as (old, new):
        digests = [await Blobs(old).put("models", os.urandom(600_000)) for _ in range(3)]
        await save(await live(old), str(place))

        async def before(stream: Stream) -> Any:
            if stream.name == "OBJ_models":
                await Blobs(old).delete("models", digests[0])
            return await begun(stream)

        async def after(stream: Stream) -> Any:
            snapshot = await begun(stream)
            if stream.name == "OBJ_models":
                await Blobs(old).delete("models", digests[-1])
            return snapshot

        for disturbed in (before, after):
            monkeypatch.setattr(Stream, "begun", disturbed)
            digests.append(await Blobs(old).put("models", os.urandom(100_000)))
            await save(await live(old), str(place))
        await restored(place, old, new)


async def test_what_is_missing_at_the_place_is_stored_again(tmp_path: Path) -> None:
    place = tmp_path / "backups"
    async with served(tmp_path, "old", "new") as (old, new):
        await Blobs(old).put("models", os.urandom(900_000))
        await save(await live(old), str(place))
        next(file for file in (place / "objects").iterdir()).unlink()
        with pytest.raises(ServerError, match="restore another backup"):
            await load(str(place))
        await save(await live(old), str(place))
        await restored(place, old, new)


async def test_a_backup_that_is_broken_off_is_continued(tmp_path: Path) -> None:
    place = tmp_path / "backups"
    async with served(tmp_path, "old") as (old,):
        await old.append_each([started(number) for number in range(300)])
        await Blobs(old).put("models", os.urandom(3_000_000))
        source = await live(old)

        async def broken() -> Any:
            raise ServerError("no more")

        last = list(source)[-1]
        with pytest.raises(ServerError, match="no more"):
            await save({**source, last: broken}, str(place))
        with pytest.raises(ServerError, match="holds no finished backup"):
            await load(str(place))
        stored = objects(place)
        made = await save(source, str(place))
        assert made.new_bytes <= made.size_bytes - max(stored.values())
        await load(str(place))


async def test_a_damaged_backup_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "backups"
    async with served(tmp_path, "old") as (old,):
        await old.append_each([started(number) for number in range(100)])
        made = await save(await live(old), str(place))
    victim = next((place / "objects").iterdir())
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1])
    with pytest.raises(BlobCorrupt, match="wanted"):
        await load(str(place))
    victim.unlink()
    with pytest.raises(ServerError, match="restore another backup"):
        await load(str(place))
    ((name, (text,)),) = (await damaged(ObjectStore(str(place)))).items()
    assert (name, text) == (made.name, f"{place}/objects/{victim.name}: no such object")
    with pytest.raises(ServerError, match="has no backup 2001; it has"):
        await load(str(place), "2001")
    (place / "backups" / f"{made.name}.json").write_bytes(b"{")
    with pytest.raises(ServerError, match="is damaged"):
        await load(str(place))


async def test_a_backup_goes_to_an_object_store_and_back(tmp_path: Path, s3: str) -> None:
    async with served(tmp_path, "old", "new") as (old, new):
        await old.append_each([started(number) for number in range(100)])
        await save(await live(old), f"{s3}/backups")
        await copy(await load(f"{s3}/backups"), new, replicas=1)
        assert await content(new, EVENTS) == await content(old, EVENTS)


@pytest.mark.slow  # starts three voters
async def test_a_backup_is_restored_onto_three_voters_and_continued(tmp_path: Path) -> None:
    place = str(tmp_path / "backups")
    async with served(tmp_path, "old") as (old,):
        await old.append_each([started(number) for number in range(300)])
        digest = await Blobs(old).put("models", NETWORK)
        await save(await live(old), place)
        await old.append([started(5000)])
        await save(await live(old), place)
        before = {stream.name: await content(old, stream.name) for stream in STREAMS}
    source = await load(place)

    async def broken() -> Any:
        raise ServerError("no more")

    async with voters(tmp_path / "cluster", create=False) as (_, log):
        with pytest.raises(ServerError, match="no more"):
            await copy({**source, list(source)[3]: broken}, log, replicas=3)
        await copy(source, log, replicas=3)
        for name, messages in before.items():
            assert await content(log, name) == messages, name
            info = await log.call(f"STREAM.INFO.{name}")
            assert info["config"]["num_replicas"] == len(info["cluster"]["replicas"]) + 1 == 3
        assert await Blobs(log).get("models", digest) == NETWORK
        assert await ensure(log, replicas=3) == []
        assert await log.append([started(6000)]) == [len(before[EVENTS]) + 1]
        assert await log.append([started(5000)]) == [len(before[EVENTS])], "ids are still known"
