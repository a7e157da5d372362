"""The disk of a voter fills: work pauses with a margin left, everybody says so, and it resumes.

Slow: three servers and a monitor. Needs the right to mount a file system."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.voters import Voters, voters
from support.waiting import eventually

from ringrift.cli.voter import disk
from ringrift.cluster.belonging import claim
from ringrift.cluster.doctor.system import system_findings
from ringrift.consumers import monitor, scrubbing
from ringrift.events.facts import ClusterFounded
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.read import latest
from ringrift.runtime.cluster_view import cluster_view
from ringrift.runtime.controls import Controls
from ringrift.runtime.process import Process, cancel
from ringrift.server.voter import read_stamp

SIZE_BYTES = 64 * 1024**2
WAIT_SECONDS_MAX = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A small disk for the store of voter c."""
    path = tmp_path / "voters" / "c" / ".ringrift"
    path.mkdir(parents=True)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(path)]
    try:
        subprocess.run(mounting, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


async def short_voters(log: JetStreamLog) -> dict[str, str]:
    controls = Controls(log, "node", Process("selfplay", "node", log).logger)
    await controls.load()
    return controls.short_voters


def note(made: Voters) -> None:
    """What the timer of the unit runs every minute."""
    for name, server in made.running.items():
        disk(directory=made.home(name), pid=server.pid)


@pytest.mark.slow
async def test_work_pauses_before_the_disk_of_a_voter_is_full(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scrubbing, "SCRUB_SECONDS", 0.2)
    async with voters(tmp_path) as (made, log):
        watching = asyncio.create_task(monitor.main(Process("monitor", "node", log)))
        try:
            await claim(log)
            founded = await latest(log, ClusterFounded)
            assert founded is not None
            assert founded.event.cluster == read_stamp(made.store("a")).cluster  # type: ignore[union-attr]
            note(made)
            assert await short_voters(log) == {}
            # when 96 % of it are in use
            filler = store / "filler"
            filler.write_bytes(bytes(shutil.disk_usage(store).free - SIZE_BYTES // 25))
            note(made)
            # then no worker takes tickets, and there is one line about it
            await eventually(lambda: short_voters(log), WAIT_SECONDS_MAX)
            assert (await short_voters(log)).keys() == {"c"}
            advice = [line for line in (await cluster_view(log)).advice if "of its disk" in line]
            assert len(advice) == 1
            assert advice[0].startswith("c: voter disk short since ")
            findings = [finding async for finding in system_findings(log)]
            assert sum("of its disk" in f"{one.text} {one.remedy}" for one in findings) == 1
            # and everything goes on by itself when there is room
            filler.unlink()
            note(made)
            await eventually(lambda: _no_longer_short(log), WAIT_SECONDS_MAX)
        finally:
            await cancel(watching)
    assert "of the disk of" in capsys.readouterr().out


async def _no_longer_short(log: JetStreamLog) -> bool:
    return not await short_voters(log)
