"""A rolling restart of three voters under writes loses nothing and delays writes only briefly."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from support.clusters import event

from ringrift.cli.main import main
from ringrift.cluster.local import LocalCluster
from ringrift.cluster.update import UpdateFailed, restart_server
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS
from ringrift.server.ensure import ensure

OUTAGE_SECONDS_MAX = 15.0
"""measured: see docs/promises.md; the rest is for a machine with other load"""


@pytest.mark.slow
async def test_all_voters_restart_while_a_writer_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = LocalCluster.create(tmp_path, 3, users=False, tls=False)
    cluster.start()
    try:
        await cluster.wait_until_healthy()
        log = await JetStreamLog.open(cluster.url, name="test")
        await ensure(log, replicas=3)
        before = [member.pid for member in cluster.members]
        acknowledged: list[int] = []
        outages = [0.0]
        stop = asyncio.Event()

        async def write() -> None:
            while not stop.is_set():
                began = time.monotonic()
                acknowledged.extend(await log.append([event(len(acknowledged))]))
                outages.append(time.monotonic() - began)
                await asyncio.sleep(0.02)

        writing = asyncio.create_task(write())
        status = await asyncio.to_thread(
            main, ["update", "--safe", "--data", str(tmp_path), "--convergence-timeout", "60"]
        )
        stop.set()
        await writing
        said = capsys.readouterr()
        assert status == 0, said
        print(f"{len(acknowledged)} written, longest outage {max(outages):.2f} s")
        after = [member.pid for member in LocalCluster.read(tmp_path).members]
        assert not set(before) & set(after)
        assert acknowledged == list(range(1, len(acknowledged) + 1)), "each once, none missing"
        assert [entry.seq async for batch in log.read(EVENTS) for entry in batch] == acknowledged
        assert max(outages) < OUTAGE_SECONDS_MAX

        LocalCluster.read(tmp_path).kill("n1")
        with pytest.raises(UpdateFailed, match="n2 was not restarted: not all servers are current"):
            await restart_server(log, LocalCluster.read(tmp_path), "n2", 3.0)
        await log.close()
    finally:
        LocalCluster.read(tmp_path).stop()
