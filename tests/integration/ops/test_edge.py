"""An edge: games written while its link is down are in the cluster when it is back, once and in their order."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path

import pytest
from test_roles import port_with_neighbours

from ringrift.ops.cluster_files import LEAF_PORTS_ABOVE, parse_nodes, write_cluster, write_edge
from ringrift.streams.edge import EDGE, ensure_edge, source_edge
from ringrift.streams.ensure import ensure
from ringrift.streams.errors import Unreachable
from ringrift.streams.jetstream import JetStreamLog
from ringrift.streams.login import CREDENTIALS
from ringrift.streams.server import _free_port, find_binary
from ringrift.streams.topology import GAMES

SUBJECT = "ringrift.game.hex8_2p.completed"
BACK_SECONDS_MAX = 120
"""measured: the cluster looks for an edge that came back 18 to 40 s later"""


async def started(home: Path) -> asyncio.subprocess.Process:
    with (home / "log").open("ab") as log:
        return await asyncio.create_subprocess_exec(find_binary(), "-c", "nats.conf", cwd=home, stdout=log, stderr=log)


async def opened(url: str) -> JetStreamLog:
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(Unreachable):
                return await JetStreamLog.open(url, name="test")
            await asyncio.sleep(0.05)


async def bodies(log: JetStreamLog, count: int) -> list[bytes]:
    """The games of the cluster as soon as there are so many."""
    async with asyncio.timeout(BACK_SECONDS_MAX):
        while await log.tail(GAMES) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return [entry.body async for batch in log.read(GAMES) for entry in batch]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made by openssl")
async def test_games_of_an_edge_arrive_once_when_the_link_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = parse_nodes(f"n1=127.0.0.1:{port_with_neighbours()}")
    write_cluster(tmp_path, nodes, users=True, tls=True)
    monkeypatch.setenv("RINGRIFT_CA", str(tmp_path / "authority" / "ca.pem"))
    port = _free_port()
    edge_home = write_edge(tmp_path, "gpu1", [f"127.0.0.1:{nodes[0].port + LEAF_PORTS_ABOVE}"], port=port, tls=True)
    hub_home = tmp_path / "voters" / "n1"
    hub, leaf = await started(hub_home), await started(edge_home)
    try:
        edge = await opened(f"nats://127.0.0.1:{port}")
        await ensure_edge(edge.ask)
        monkeypatch.setenv(CREDENTIALS, str(tmp_path / "credentials" / "operator.txt"))
        cluster = await opened(f"tls://127.0.0.1:{nodes[0].port}")
        await ensure(cluster.ask)
        assert await source_edge(cluster.ask, "gpu1")
        assert not await source_edge(cluster.ask, "gpu1")
        games = [f"game {number}".encode() for number in range(60)]
        for number, body in enumerate(games[:20]):
            await edge.publish(EDGE, SUBJECT, body, id=f"game-{number}")
        assert await bodies(cluster, 20) == games[:20]
        hub.kill()
        await hub.wait()
        for number, body in enumerate(games[20:40], 20):
            await edge.publish(EDGE, SUBJECT, body, id=f"game-{number}")
        await edge.publish(EDGE, SUBJECT, games[39], id="game-39")
        hub = await started(hub_home)
        for number, body in enumerate(games[40:], 40):
            await edge.publish(EDGE, SUBJECT, body, id=f"game-{number}")
        assert await bodies(cluster, 60) == games
        await cluster.close()
        await edge.close()
    finally:
        for process in (hub, leaf):
            process.kill()
            await process.wait()
