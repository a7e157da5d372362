"""`ops/README.md` as a stranger follows it: a dead voter replaced, a cluster made of one disk.

Slow: each command is a process, and clusters start."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from support.clusters import content, port_with_neighbours
from support.voters import Voters, voters
from support.waiting import eventually

from ringrift.events import Draft, draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS

ROOT = Path(__file__).parents[2]
NUMBER = 200
FOUNDED = "ringrift.voter.all.cluster-founded"
"""of the cluster that the log was copied to"""
WAIT_SECONDS_MAX = 180.0


def commands(title: str) -> list[str]:
    """The commands of a section of the page."""
    text = (ROOT / "ops" / "README.md").read_text()
    section = re.search(rf"^## {title}\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert section
    return re.findall(r"^    (ringrift .*?)(?: +#.*)?$", section[1], re.MULTILINE)


def event(number: int) -> Draft:
    """An event of a writer that `ringrift verify` accepts."""
    fact = ConsumerStarted(node="n", consumer="planner", instance=str(number), version="1")
    return draft(fact, cause=None, source="planner@n", key=number)


async def run(folder: Path, command: str, **environment: str) -> str:
    """The output of a command, which must succeed."""
    words = [environment.get(word.removeprefix("$"), word) for word in command.split()[1:]]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "ringrift.cli.main", *words),
        cwd=folder,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        out, err = await process.communicate()
    assert process.returncode == 0, (command, out.decode(), err.decode())
    return out.decode()


async def started(made: Voters, name: str) -> None:
    identity = made.home(name) / "ops" / "identity.json"
    await eventually(lambda: asyncio.to_thread(identity.exists), WAIT_SECONDS_MAX)
    await made.start(name)


@pytest.mark.slow
async def test_a_dead_voter_is_replaced_by_the_page(tmp_path: Path) -> None:
    (replace,) = commands("A voter whose machine is gone")
    async with voters(tmp_path / "cluster") as (made, log):
        await log.append_each([event(number) for number in range(NUMBER)])
        await made.stop("c")
        here = replace.replace("10.0.0.4", f"127.0.0.1:{port_with_neighbours()}")
        running = asyncio.create_task(run(tmp_path, here))
        await started(made, "d")
        said = await running
        assert "d has replaced c: every stream has all its copies" in said
        assert (tmp_path / "cluster" / "c.replaced").is_dir()
        info = await log.call(f"STREAM.INFO.{EVENTS}")
        names = {info["cluster"]["leader"], *(each["name"] for each in info["cluster"]["replicas"])}
        assert names == set("abd")
        assert len(await content(log, EVENTS)) == NUMBER


@pytest.mark.slow
async def test_one_disk_becomes_a_cluster_by_the_page(tmp_path: Path) -> None:
    rescue, verify, grow = commands("One disk is left")
    async with voters(tmp_path / "cluster") as (made, log):
        await log.append_each([event(number) for number in range(NUMBER)])
        before = await content(log, EVENTS)
        await made.stop(*"abc")
    shutil.copytree(made.home("c"), tmp_path / "survivor")
    assert f" EVENTS           {NUMBER} " in await run(tmp_path, rescue)
    assert "all agree with the log" in await run(tmp_path, verify)
    async with voters(tmp_path / "cluster2", create=False) as (new, _):
        with new.as_role("operator"):
            said = await run(tmp_path, grow, RINGRIFT_SERVER=new.url)
            assert "every stream has 3 replicas, all current" in said
            log = await JetStreamLog.open(new.url, name="test")
            found = await content(log, EVENTS)
            assert found[:NUMBER] == before
            assert [entry.subject for entry in found[NUMBER:]] == [FOUNDED]
            await log.close()
