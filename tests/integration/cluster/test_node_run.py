"""`ringrift node run` as a process: presence, drain, update, and a kill without orphans."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from ringrift.cluster import node
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Machine, Presence, UpdateRequest, update_subject
from ringrift.runtime.processes import of_roles
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure

SECONDS_MAX = 90
"""eight processes start on a machine with other load"""
ORPHANS_SECONDS_MAX = 45
COORDINATOR = tuple(spec.name for spec in of_roles(["coordinator"]))


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[JetStreamLog]:
    server = await EmbeddedServer.start(tmp_path / "server")
    log = await JetStreamLog.open(server.url, name="test")
    await ensure(log)
    yield log
    await log.close()
    await server.stop()


async def started(log: JetStreamLog, data: Path, *more: str) -> asyncio.subprocess.Process:
    words = [
        "node",
        "run",
        "--roles",
        "coordinator",
        "--server",
        log.servers[0],
        "--data",
        str(data),
        "--node",
        "gpu1",
        *more,
    ]
    with (data / "node.log").open("ab") as said:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ringrift.cli.main",
            *words,
            stdout=said,
            stderr=said,
            cwd=Path(__file__).parents[3],
        )


async def beats(log: JetStreamLog, enough: Callable[[list[Heartbeat]], bool]) -> list[Heartbeat]:
    async with asyncio.timeout(SECONDS_MAX):
        while not enough(found := await Presence(log).all()):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    return found


def all_there(found: list[Heartbeat]) -> bool:
    return {beat.consumer for beat in found} >= {"node", *COORDINATOR}


async def ask(log: JetStreamLog, request: UpdateRequest) -> None:
    await log.publish("KV_control", update_subject("gpu1"), msgspec.json.encode(request))


async def machine_after(log: JetStreamLog, request: str) -> Machine:
    def answered(found: list[Heartbeat]) -> bool:
        return any(beat.machine and beat.machine.update == request for beat in found)

    found = await beats(log, answered)
    return next(beat.machine for beat in found if beat.machine and beat.machine.update == request)


def lives(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.slow
async def test_a_node_announces_itself_drains_and_leaves_no_orphans(
    log: JetStreamLog, tmp_path: Path
) -> None:
    node = await started(log, tmp_path, "--provider", "vast", "--price", "0.35")
    found = await beats(log, all_there)
    machine = next(beat.machine for beat in found if beat.consumer == "node")
    assert machine is not None
    assert (machine.roles, machine.provider, machine.price_per_hour) == (
        ("coordinator",),
        "vast",
        0.35,
    )
    assert machine.consumers == COORDINATOR
    assert machine.memory_bytes > 0
    assert {beat.node for beat in found} == {"gpu1"}
    node.send_signal(signal.SIGTERM)
    async with asyncio.timeout(SECONDS_MAX):
        assert await node.wait() == 0
    assert await Presence(log).all() == [], "all said goodbye"

    node = await started(log, tmp_path)
    children = [beat.pid for beat in await beats(log, all_there) if beat.consumer != "node"]
    node.kill()
    await node.wait()
    async with asyncio.timeout(ORPHANS_SECONDS_MAX):
        while any(lives(pid) for pid in children):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_a_node_updates_with_its_own_command_and_continues_when_that_fails(
    log: JetStreamLog, tmp_path: Path
) -> None:
    done, back = tmp_path / "done", tmp_path / "back"
    node = await started(
        log,
        tmp_path,
        "--update-command",
        f"test ! -e {done} && touch {done}",
        "--rollback-command",
        f"touch {back}",
    )
    try:
        await beats(log, all_there)
        await ask(log, UpdateRequest(id="first", action="update"))
        machine = await machine_after(log, "first")
        assert (machine.update_problem, done.exists(), back.exists()) == ("", True, False)
        await ask(log, UpdateRequest(id="second", action="update"))
        machine = await machine_after(log, "second")
        assert "ended with status 1" in machine.update_problem
        assert back.exists()
        await beats(log, all_there)
    finally:
        node.send_signal(signal.SIGTERM)
        assert await node.wait() == 0


async def test_a_command_of_the_node_is_killed_with_what_it_started() -> None:
    async with asyncio.timeout(SECONDS_MAX):
        problem = await node._shell("sleep 3600; true", 0.2)
    assert problem == "'sleep 3600; true' took more than 0.2 s"
