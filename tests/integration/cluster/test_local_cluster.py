"""`ringrift cluster up|status|kill|partition|heal|down` on real servers, and growing from one
server to three."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clusters import content, event, leader_of

from ringrift.cli.main import main
from ringrift.cluster.local import LocalCluster
from ringrift.log.blobs import Blobs
from ringrift.log.errors import ServerError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS, STREAMS
from ringrift.server.embedded import EmbeddedServer
from ringrift.server.ensure import ensure
from ringrift.server.grow import copy, live, set_replicas

SETTLE_SECONDS_MAX = 30


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    if (tmp_path / "cluster.json").exists():
        LocalCluster.read(tmp_path).stop()


@pytest.fixture
async def cluster(data: Path) -> LocalCluster:
    made = LocalCluster.create(data, 3, users=False, tls=False)
    made.start()
    await made.wait_until_healthy()
    return made


@pytest.mark.slow
def test_the_commands_start_kill_and_stop_a_secured_cluster(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--data", str(data)]
    assert main(["cluster", "up", *where, "--users", "--tls"]) == 0
    assert "RINGRIFT_CREDENTIALS" in capsys.readouterr().out
    assert main(["cluster", "status", *where, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["quorum"] == "HEALTHY"
    assert {stream["name"]: stream["replicas"] for stream in shown["streams"]} == {
        stream.name: 3 for stream in STREAMS
    }
    assert main(["cluster", "kill", "n9", *where]) == 1
    assert "there is no voter 'n9': the voters are n1, n2, n3" in capsys.readouterr().err
    assert main(["cluster", "kill", "n2", *where]) == 0
    capsys.readouterr()
    assert main(["cluster", "status", *where, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["quorum"] == "MINIMUM"
    assert main(["cluster", "up", *where]) == 0
    assert main(["cluster", "down", *where]) == 0
    assert main(["cluster", "status", *where]) == 1
    assert "quorum LOST" in capsys.readouterr().out


@pytest.mark.slow
async def test_a_server_that_is_cut_off_loses_leadership_and_catches_up(
    data: Path, cluster: LocalCluster
) -> None:
    log = await JetStreamLog.open(cluster.url, name="test")
    await ensure(log, replicas=3)
    await log.append([event(1)])
    leader = await leader_of(log)
    assert leader is not None
    await log.close()
    others = ",".join(
        f"nats://127.0.0.1:{member.port}" for member in cluster.members if member.name != leader
    )
    log = await JetStreamLog.open(others, name="test")
    cluster.cut([leader])
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        assert await log.append([event(2)]) == [2]
        while (await leader_of(log)) in (leader, None):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    cluster.cut([])
    await log.close()
    log = await JetStreamLog.open(f"nats://127.0.0.1:{cluster.member(leader).port}", name="test")
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        assert [entry.seq for entry in await content(log, EVENTS)] == [1, 2]
    await log.close()


@pytest.mark.slow
async def test_growing_from_one_server_to_three_keeps_everything(
    tmp_path: Path, cluster: LocalCluster
) -> None:
    server = await EmbeddedServer.start(tmp_path / "single")
    old, new = [await JetStreamLog.open(url, name="test") for url in (server.url, cluster.url)]
    await ensure(old)
    await old.append_each([event(number) for number in range(250)])
    await old.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"{}", "ticket")
    digest = await Blobs(old).put("models", b"network" * 100_000)
    said: list[str] = []
    await copy(await live(old), new, replicas=3, report=said.append)
    for stream in STREAMS:
        if stream.name != "WORK":
            assert await content(new, stream.name) == await content(old, stream.name), stream.name
    assert await Blobs(new).get("models", digest) == b"network" * 100_000
    assert await ensure(new, replicas=3) == []
    assert await set_replicas(new, 3) == []
    assert await new.append([event(7)]) == [8], "an id that the old server knew is known again"
    assert await new.append([event(250)]) == [251]
    item = await new.next_ticket("selfplay", wait_seconds=5)
    assert item is not None
    assert "EVENTS: 250 messages" in said
    with pytest.raises(ServerError, match="has streams already"):
        await copy(await live(old), new, replicas=3)
    for log in (old, new):
        await log.close()
    await server.stop()


@pytest.mark.slow
async def test_the_cluster_continues_after_one_server_is_killed(
    data: Path, cluster: LocalCluster
) -> None:
    with cluster.as_role("operator"):
        log = await JetStreamLog.open(cluster.url, name="test")
    await ensure(log, replicas=3)
    await log.append([event(1)])
    cluster.kill("n1")
    began = time.monotonic()
    assert await log.append([event(2)]) == [2]
    assert time.monotonic() - began < SETTLE_SECONDS_MAX
    await log.close()
