"""Connections and readers while the server fails."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from support.embedded import connected, event, running

from ringrift.events import Draft
from ringrift.log.blobs import Blobs
from ringrift.log.errors import LogUnavailable, Unreachable
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.retry import Backoff
from ringrift.log.topology import EVENTS
from ringrift.server.address import free_port
from ringrift.server.binary import find_binary
from ringrift.server.embedded import EmbeddedServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    async with running(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def log(server: EmbeddedServer) -> AsyncIterator[JetStreamLog]:
    async with connected(server) as log:
        yield log


async def test_a_missing_server_and_missing_storage_are_different_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
        await JetStreamLog.open(f"nats://127.0.0.1:{port}", name="test")
    bare = await asyncio.create_subprocess_exec(
        find_binary(), "-a", "127.0.0.1", "-p", str(port), "-l", tmp_path / "log"
    )
    monkeypatch.setattr(
        "ringrift.log.retry.QUICK",
        Backoff(first_seconds=0.05, longest_seconds=1.0, budget_seconds=0.3),
    )
    monkeypatch.setattr("ringrift.log.connect._check_usable", lambda *_: None)
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


async def test_an_append_survives_a_killed_server(
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


async def test_what_was_given_up_while_the_link_was_down_is_not_written_later(
    server: EmbeddedServer, log: JetStreamLog
) -> None:
    """A worker whose link was cut for half an hour must not write games that another one has
    written meanwhile, and whose ids the server has forgotten."""
    await log.append([event()])
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    while not log.client.is_reconnecting:  # noqa: ASYNC110  no event is set
        await asyncio.sleep(0.001)
    waiting = asyncio.create_task(log.append([event()]))
    while not log.client.pending_data_size:  # noqa: ASYNC110  no event is set
        await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    log.reconnected.clear()
    await server.restart()
    await log.reconnected.wait()
    assert await log.append([event()]) == [2]


def _all_done(tasks: list[asyncio.Task[None]]) -> bool:
    return all(task.done() for task in tasks)


async def test_repeated_kills_of_the_server_lose_and_duplicate_nothing(
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
        while len(seen) < progress and not _all_done(writers):  # noqa: ASYNC110  no event is set
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


async def test_a_follower_survives_the_deletion_of_its_consumer(
    server: EmbeddedServer, log: JetStreamLog
) -> None:
    await log.append([event()])
    entries = log.follow(EVENTS)
    assert (await anext(entries)).seq == 1
    listed = msgspec.json.decode(await log.ask("$JS.API.CONSUMER.NAMES.EVENTS", b"", 5))
    (name,) = listed["consumers"]
    waiting = asyncio.create_task(anext(entries))
    await asyncio.sleep(0)
    await log.ask(f"$JS.API.CONSUMER.DELETE.EVENTS.{name}", b"", 5)
    await log.append([event()])
    async with asyncio.timeout(5):
        assert (await waiting).seq == 2
    await entries.aclose()


async def test_a_reader_deletes_its_consumer(log: JetStreamLog) -> None:
    await log.append([event() for _ in range(50)])
    async for _ in log.read(EVENTS):
        break
    assert [batch async for batch in log.read(EVENTS)]
    await Blobs(log).put("models", b"x")
    async with asyncio.timeout(5):
        while True:
            listed = msgspec.json.decode(await log.ask("$JS.API.CONSUMER.NAMES.EVENTS", b"", 5))
            if not listed["consumers"]:
                break
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("max_payload: 8MB", "runs without JetStream"),
        ("jetstream: {store_dir: nats}", "takes messages of 1048576 bytes, 8388608 are needed"),
    ],
)
async def test_a_server_that_cannot_hold_the_log_is_named(
    tmp_path: Path, settings: str, problem: str
) -> None:
    port = free_port()
    (tmp_path / "x.conf").write_text(f"listen: 127.0.0.1:{port}\n{settings}\n")
    server = await asyncio.create_subprocess_exec(
        find_binary(), "-c", "x.conf", "-l", "log", cwd=tmp_path
    )
    try:
        async with asyncio.timeout(10):
            while True:
                with pytest.raises(Unreachable) as caught:
                    await JetStreamLog.open(f"nats://127.0.0.1:{port}", name="test")
                if "Connect call failed" not in str(caught.value):
                    break
        assert problem in str(caught.value)
    finally:
        server.terminate()
        await server.wait()


async def test_a_search_that_the_library_forgot_ends_with_the_connection(tmp_path: Path) -> None:
    """A second search begins when a connection is lost while the first one restores it."""
    server = await EmbeddedServer.start(tmp_path)
    log = await JetStreamLog.open(server.url, name="test")
    await server.stop()
    client = log.client
    first, second = (asyncio.create_task(client._attempt_reconnect()) for _ in range(2))
    client._reconnection_task = second
    await asyncio.sleep(0)
    await log.close()
    async with asyncio.timeout(20):
        await asyncio.gather(first, second, return_exceptions=True)
