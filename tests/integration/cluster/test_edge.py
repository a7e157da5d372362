"""Games that an edge stores while its link is down arrive in the cluster once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.clusters import port_with_neighbours
from support.games import recorded_game

from ringrift.cluster.files import LEAF_PORTS_ABOVE, parse_nodes, write_cluster, write_edge
from ringrift.consumers.games.playing import publish_games
from ringrift.events import draft, event_id
from ringrift.events.facts import GameCompleted, SelfplayPlanned
from ringrift.events.tickets import tickets_of
from ringrift.log.errors import Unreachable
from ringrift.log.identity import NodeKey
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import CREDENTIALS
from ringrift.log.topology import GAMES
from ringrift.runtime.process import Process
from ringrift.server.accounts import completed
from ringrift.server.address import free_port
from ringrift.server.binary import find_binary
from ringrift.server.edge import EDGE, LOGIN_FILE, ensure_edge, source_edge
from ringrift.server.ensure import ensure

SUBJECT = "ringrift.game.hex8_2p.completed"
BACK_SECONDS_MAX = 120
"""measured: the cluster notices an edge 18 to 40 s after its link is restored"""


async def started(home: Path) -> asyncio.subprocess.Process:
    with (home / "log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            find_binary(), "-c", "nats.conf", cwd=home, stdout=log, stderr=log
        )


async def opened(url: str) -> JetStreamLog:
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(Unreachable):
                return await JetStreamLog.open(url, name="test")
            await asyncio.sleep(0.05)


async def bodies(log: JetStreamLog, count: int) -> list[bytes]:
    """The bodies of the games in the cluster, once there are `count`."""
    async with asyncio.timeout(BACK_SECONDS_MAX):
        while await log.tail(GAMES) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return [entry.body async for batch in log.read(GAMES) for entry in batch]


def game(name: str) -> GameCompleted:
    return recorded_game(1, game=name, node="gpu1")


@dataclass
class Link:
    """A hub and an edge that it sources from, and connections to both; the hub can be stopped."""

    hub_home: Path
    hub: asyncio.subprocess.Process
    cluster: JetStreamLog
    edge: JetStreamLog

    async def cut(self) -> None:
        """Stop the hub: to the node it looks like a link that is down."""
        self.hub.kill()
        await self.hub.wait()

    async def heal(self) -> None:
        self.hub = await started(self.hub_home)


@pytest.fixture
async def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Link]:
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made by openssl")
    nodes = parse_nodes(f"n1=127.0.0.1:{port_with_neighbours()}")
    write_cluster(tmp_path, nodes, users=True, tls=True)
    monkeypatch.setenv("RINGRIFT_CA", str(tmp_path / "authority" / "ca.pem"))
    port = free_port()
    own = NodeKey.new()
    hub_port = f"127.0.0.1:{nodes[0].port + LEAF_PORTS_ABOVE}"
    edge_home = write_edge(tmp_path, "gpu1", [hub_port], key=own.key, port=port, tls=True)
    login = edge_home / LOGIN_FILE
    assert "SEED" not in login.read_text()
    login.write_text(completed(login.read_text(), own))
    hub_home = tmp_path / "voters" / "n1"
    hub, leaf = await started(hub_home), await started(edge_home)
    link = None
    try:
        monkeypatch.setenv(CREDENTIALS, str(tmp_path / "credentials" / "operator.creds"))
        edge = await opened(f"nats://127.0.0.1:{port}")
        await ensure_edge(edge)
        cluster = await opened(f"tls://127.0.0.1:{nodes[0].port}")
        await ensure(cluster)
        assert await source_edge(cluster, "gpu1")
        assert not await source_edge(cluster, "gpu1")
        link = Link(hub_home, hub, cluster, edge)
        yield link
        await cluster.close()
        await edge.close()
    finally:
        for process in (link.hub if link else hub, leaf):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.mark.slow
async def test_games_of_an_edge_arrive_once_after_the_link_is_restored(link: Link) -> None:
    games = [f"game {number}".encode() for number in range(60)]
    for number, body in enumerate(games[:20]):
        await link.edge.publish(EDGE, SUBJECT, body, id=f"game-{number}")
    assert await bodies(link.cluster, 20) == games[:20]
    await link.cut()
    for number, body in enumerate(games[20:40], 20):
        await link.edge.publish(EDGE, SUBJECT, body, id=f"game-{number}")
    await link.edge.publish(EDGE, SUBJECT, games[39], id="game-39")
    await link.heal()
    for number, body in enumerate(games[40:], 40):
        await link.edge.publish(EDGE, SUBJECT, body, id=f"game-{number}")
    assert await bodies(link.cluster, 60) == games


@pytest.mark.slow
async def test_a_worker_on_an_edge_finishes_its_ticket_when_its_games_have_arrived(
    link: Link,
) -> None:
    process = Process("selfplay", "gpu1", link.cluster)
    process.edge = link.edge
    plan = SelfplayPlanned(
        config="hex8_2p",
        generation=0,
        games=3,
        games_per_ticket=3,
        simulations=4,
        model=None,
        seed=1,
        settings_version=0,
    )
    (seq,) = await link.cluster.append([draft(plan, cause=None, source="test")])
    (ticket,) = tickets_of(plan, f"EVENTS/{seq}")
    ids = [f"{ticket.ticket}-{number}" for number in range(3)]
    finished = asyncio.Event()

    async def play() -> None:
        async with publish_games(process, ticket, ids, 1) as publish:
            await publish(game(ids[0]))
            await link.cut()
            for name in ids[1:]:
                await publish(game(name))
        finished.set()

    working = asyncio.create_task(play())
    async with asyncio.timeout(30):
        while await link.edge.tail(EDGE) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert not finished.is_set(), "the ticket is not done before the cluster has its games"
    await link.heal()
    cluster = link.cluster
    direct = draft(game(ids[2]), cause=ticket.cause, source="elsewhere", key=ids[2])
    await cluster.append([direct])  # as another worker may, to whom the ticket went meanwhile
    async with asyncio.timeout(BACK_SECONDS_MAX):
        await working
    stored = [entry.id async for batch in cluster.read(GAMES) for entry in batch]
    assert sorted(stored) == sorted(event_id(GameCompleted, ticket.cause, name) for name in ids)
