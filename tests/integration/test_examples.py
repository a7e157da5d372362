"""The sample consumers of `examples` on a real server."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.embedded import connected, running
from support.loop_facts import CONFIG, A, B, played, promoted
from support.waiting import eventually

from ringrift.events import Fact, draft
from ringrift.events.facts import ModelRolledBack
from ringrift.log.jetstream import JetStreamLog

EXAMPLES = Path(__file__).parents[2] / "examples"
BACK = ModelRolledBack(
    config=CONFIG, model=B, current=A, elo_drop=9.0, why="weaker", settings_version=1
)
WAIT_SECONDS_MAX = 60.0
PROGRAM_SECONDS_MAX = 120.0


async def append(log: JetStreamLog, *facts: Fact) -> None:
    for fact in facts:
        await log.append([draft(fact, cause=None, source="test", key=id(fact))])


@asynccontextmanager
async def consuming(server: str, output: Path) -> AsyncIterator[Process]:
    """The Python consumer as a process, stopped in order at the end."""
    script = str(EXAMPLES / "incumbents.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, "--server", server, "--output", str(output)
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), WAIT_SECONDS_MAX) == 0
    finally:
        if process.returncode is None:
            process.kill()


async def lines(output: Path, count: int) -> list[list[str]]:
    """The rows of the file once there are `count`."""

    def read() -> list[str]:
        rows = output.read_text().splitlines() if output.exists() else []
        return rows if len(rows) >= count else []

    async def found() -> list[str]:
        return read()

    return [row.split(",") for row in await eventually(found, WAIT_SECONDS_MAX)]


async def test_the_consumer_in_python_goes_on_where_it_stopped(tmp_path: Path) -> None:
    output = tmp_path / "incumbents.csv"
    async with running(tmp_path / "data") as server, connected(server) as log:
        await append(log, promoted(A), played(games=8))
        async with consuming(server.url, output):
            await lines(output, 2)
            await append(log, promoted(B, generation=2))
            await lines(output, 3)
        await append(log, BACK)
        async with consuming(server.url, output):
            head, *rows = await lines(output, 4)
    assert head == ["sequence", "time", "config", "change", "network", "why"]
    changes = [(row[0], row[3], row[4]) for row in rows]
    assert changes == [
        ("1", "ModelPromoted", A),
        ("3", "ModelPromoted", B),
        ("4", "ModelRolledBack", A),
    ]


async def output_of(*words: str, folder: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(*words, cwd=folder, stdout=PIPE, stderr=PIPE)
    try:
        out, err = await asyncio.wait_for(process.communicate(), PROGRAM_SECONDS_MAX)
    except TimeoutError:
        process.kill()
        return None, f"{words[0]} did not end in {PROGRAM_SECONDS_MAX:.0f} s"
    return process.returncode, (out + err).decode()


@pytest.mark.slow
async def test_the_consumer_in_javascript_checks_events_by_their_schemas(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    shutil.copytree(EXAMPLES / "node", folder)
    if not shutil.which("npm"):
        pytest.skip("there is no npm")
    status, text = await output_of("npm", "install", "--no-audit", "--no-fund", folder=folder)
    if status != 0:
        pytest.skip(f"npm could not install the packages of the example: {text[-200:]}")
    async with running(tmp_path / "data") as server, connected(server) as log:
        await append(log, promoted(A), played(games=8), promoted(B, generation=2), BACK)
        schemas = str(EXAMPLES.parent / "schemas")
        words = ("node", "incumbents.mjs", server.url, schemas)
        status, text = await output_of(*words, folder=folder)
        assert (status, text.splitlines()) == (
            0,
            [
                f"EVENTS/1 {CONFIG} {A[:12]} {promoted(A).why}",
                f"EVENTS/3 {CONFIG} {B[:12]} {promoted(B).why}",
                f"EVENTS/4 {CONFIG} {A[:12]} weaker",
            ],
        )
        status, text = await output_of(*words, "4", folder=folder)
        assert (status, text) == (0, f"EVENTS/4 {CONFIG} {A[:12]} weaker\n")
