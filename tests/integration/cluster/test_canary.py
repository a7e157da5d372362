"""An update on a real server: one node first; the others follow, or it is rolled back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from support import embedded
from support.system import running

from ringrift.cluster import update as updating
from ringrift.cluster.update import Steps, UpdateFailed, update_nodes
from ringrift.events import facts as f
from ringrift.log import read
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Machine, Presence, UpdateRequest, update_subject
from ringrift.runtime.process import Process

STEPS = Steps(canary="a", together=("b", "c"), one_by_one=("d",), servers=(), by_hand=())


class Nodes:
    """Four nodes that carry out requests at once; `breaks` report an error after an update."""

    def __init__(self, log: JetStreamLog, breaks: tuple[str, ...] = ()) -> None:
        self.log, self.breaks = log, breaks
        self.done: list[tuple[str, str]] = []

    async def run(self) -> None:
        await asyncio.gather(*map(self._run, "abcd"))

    async def _run(self, name: str) -> None:
        beat = Heartbeat(
            consumer="node",
            node=name,
            instance=name,
            pid=1,
            doing="",
            seq=0,
            errors=0,
            folds={},
            machine=Machine(roles=("worker",), cores=1, memory_bytes=1, version="2.0+abc"),
        )
        subject = update_subject(name)
        async for entry in self.log.follow("KV_control", filters=[subject], start_seq=1):
            request = msgspec.json.decode(entry.body, type=UpdateRequest)
            self.done.append((name, request.action))
            assert beat.machine is not None
            await Presence(self.log).beat(
                replace(beat, machine=replace(beat.machine, update=request.id))
            )
            if name in self.breaks and request.action == "update":
                worker = Process("selfplay", name, self.log)
                worker.errors = 1
                await worker.report_error("does not work")


@pytest.fixture
async def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JetStreamLog]:
    monkeypatch.setattr(updating, "LOOK_SECONDS", 0.02)
    async with embedded.running(tmp_path) as server, embedded.connected(server) as log:
        yield log


async def verdict(log: JetStreamLog) -> f.UpdateJudged:
    (found,) = [event async for event, _ in read.facts(log, f.UpdateJudged)]
    return found


async def test_the_others_follow_a_canary_that_passes(log: JetStreamLog) -> None:
    nodes = Nodes(log)
    async with running(nodes.run()):
        await update_nodes(log, STEPS, 20.0, watched_seconds=0.1)
    assert nodes.done[0] == ("a", "update")
    assert sorted(nodes.done[1:3]) == [("b", "update"), ("c", "update")]
    assert nodes.done[3:] == [("d", "update")]
    found = await verdict(log)
    assert (found.node, found.version, found.passed, found.speed) == ("a", "2.0+abc", True, None)


async def test_a_canary_with_more_errors_is_rolled_back_and_the_others_stay(
    log: JetStreamLog,
) -> None:
    nodes = Nodes(log, breaks=("a",))
    async with running(nodes.run()):
        with pytest.raises(UpdateFailed, match=r"a: 1 error in \d+ s, 0 before"):
            await update_nodes(log, STEPS, 20.0, watched_seconds=60.0)
    assert nodes.done == [("a", "update"), ("a", "rollback")]
    assert not (await verdict(log)).passed
