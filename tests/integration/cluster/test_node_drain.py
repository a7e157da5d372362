"""A node that is taken away, or whose drain is requested, finishes its tickets and leaves."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support import embedded
from support.system import running

from ringrift.cluster import node as nodes
from ringrift.cluster.node import Node, NodeOptions
from ringrift.cluster.supervisor import Child
from ringrift.events import Fact, facts as f
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Machine, Presence
from ringrift.runtime.process import Process

MACHINE = Machine(roles=("worker",), cores=1, memory_bytes=1)
ONCE = 3600.0


@pytest.fixture
async def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JetStreamLog]:
    monkeypatch.setattr(nodes, "KNOWN_SECONDS", 0.0)
    monkeypatch.setattr(nodes, "BUSY_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(nodes, "NOTICE_LOOK_SECONDS", 0.01)
    async with embedded.running(tmp_path / "server") as server, embedded.connected(server) as log:
        yield log


def node(log: JetStreamLog, tmp_path: Path, name: str = "spot", **options: Any) -> Node:
    chosen = NodeOptions(name=name, server=log.servers[0], data=tmp_path, **options)
    return Node(log, chosen, MACHINE, [])


async def works(log: JetStreamLog, busy: bool) -> None:
    """A worker of the node says whether it works."""
    beat = Heartbeat(
        consumer="selfplay",
        node="spot",
        instance="a",
        pid=1,
        doing="",
        seq=0,
        errors=0,
        folds={},
        busy=busy,
    )
    await Presence(log).beat(beat)


async def facts(log: JetStreamLog, kind: type[Fact]) -> list[Fact]:
    return [event async for event, _ in read.facts(log, kind)]


async def test_a_signal_is_recorded_as_a_notice_and_what_works_is_finished(
    log: JetStreamLog, tmp_path: Path
) -> None:
    await works(log, True)
    spot = node(log, tmp_path, notice_seconds=ONCE)
    run = asyncio.create_task(spot.run())
    await asyncio.sleep(0)
    spot.terminate()
    async with asyncio.timeout(20):
        async for event, meta in read.follow(log, f.PreemptionNoticed):
            assert (event.node, event.seconds, event.source) == ("spot", ONCE, "signal")
            assert meta.source == "node@spot"
            break
    assert not spot.stopping.is_set()
    await works(log, False)
    async with asyncio.timeout(20):
        await run
    assert (spot.drained, spot.drain_seconds) == (True, nodes.DRAIN_SECONDS_MAX)


async def test_a_node_that_works_on_leaves_before_a_short_notice_ends(
    log: JetStreamLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "RECORD_SECONDS_MIN", 0.2)
    await works(log, True)
    spot = node(log, tmp_path, notice_seconds=1.0)
    async with running(spot.run()):
        await asyncio.sleep(0)
        spot.terminate()
        async with asyncio.timeout(20):
            await spot.stopping.wait()
    assert spot.drain_seconds == 0.8
    assert await facts(log, f.PreemptionNoticed)


async def test_without_a_notice_a_signal_stops_at_once(log: JetStreamLog, tmp_path: Path) -> None:
    await works(log, True)
    own = node(log, tmp_path)
    run = asyncio.create_task(own.run())
    await asyncio.sleep(0)
    own.terminate()
    async with asyncio.timeout(20):
        await run
    assert not own.drained
    assert await facts(log, f.PreemptionNoticed) == []


async def test_the_command_of_a_node_is_asked_until_it_succeeds(
    log: JetStreamLog, tmp_path: Path
) -> None:
    flag = tmp_path / "taken"
    spot = node(log, tmp_path, notice_seconds=30.0, notice_command=f"test -e {flag}")
    async with running(spot.run()):
        await asyncio.sleep(0.1)
        assert not spot.stopping.is_set()
        await asyncio.to_thread(flag.touch)
        async with asyncio.timeout(20):
            await spot.stopping.wait()
    (noticed,) = await facts(log, f.PreemptionNoticed)
    assert isinstance(noticed, f.PreemptionNoticed)
    assert (noticed.source, noticed.seconds) == ("command", 30.0)


async def test_a_command_that_cannot_run_is_reported_once(
    log: JetStreamLog, tmp_path: Path
) -> None:
    said: list[str] = []
    spot = node(log, tmp_path, notice_seconds=30.0, notice_command="no-such-command")
    spot.say = said.append
    async with running(spot.run()):
        await asyncio.sleep(0.2)
    (line,) = said
    assert "no-such-command" in line
    assert "status 127" in line


async def test_a_requested_drain_stops_this_node_and_no_other(
    log: JetStreamLog, tmp_path: Path
) -> None:
    writer = Process("ringrift", "here", log)
    old = f.NodeDrainRequested(node="spot", seconds=ONCE, why="before it started")
    await writer.append(old, key="old")
    spot, other = node(log, tmp_path), node(log, tmp_path, name="other")
    async with running(spot.run(), other.run()):
        assert not spot.stopping.is_set()
        async with asyncio.timeout(20):
            for number in itertools.count():  # until it follows the log
                await writer.append(replace(old, why="now"), key=f"{number}")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(spot.stopping.wait(), 0.1)
                    break
        assert not other.stopping.is_set()


async def test_what_the_supervisor_starts_again_is_recorded_once(
    log: JetStreamLog, tmp_path: Path
) -> None:
    child = Child("rater", log.servers[0], tmp_path / "logs" / "rater.log", {})
    spot = node(log, tmp_path)
    spot.children = [child]
    child.restarts, child.ended = 1, "ended with status -9"
    async with running(spot._send_heartbeats()):
        async with asyncio.timeout(20):
            event, _ = await anext(read.follow(log, f.ProcessRestarted))
    assert event == f.ProcessRestarted(
        node="spot", consumer="rater", ended="ended with status -9", restarts=1
    )
    async with running(spot._send_heartbeats()):
        await asyncio.sleep(0.1)
    assert len(await facts(log, f.ProcessRestarted)) == 1
