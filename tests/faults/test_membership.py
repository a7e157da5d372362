"""Voters that are replaced and added while the loop runs and writers write. Slow: real servers copy
everything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from chaos.processes import broken, loop, settled
from chaos.writers import writing
from simulator.checker import Sample
from support.clusters import content, port_with_neighbours
from support.voters import Voters, voters
from support.waiting import eventually

from ringrift.cli.membership import add, replace
from ringrift.cluster.files import LEAF_PORTS_ABOVE, write_edge
from ringrift.cluster.membership import members
from ringrift.errors import CommandError
from ringrift.log.errors import StreamError
from ringrift.log.identity import NodeKey
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import GAMES
from ringrift.server.accounts import completed
from ringrift.server.address import free_port
from ringrift.server.binary import find_binary
from ringrift.server.edge import EDGE, LOGIN_FILE, ensure_edge, source_edge

GAME = "ringrift.game.hex8_2p.completed"
WAIT_SECONDS_MAX = 120.0


async def started(made: Voters, name: str) -> None:
    """Start a new voter as soon as its files are there."""
    files = made.home(name) / "ops" / "identity.json"
    await eventually(lambda: _exists(files), WAIT_SECONDS_MAX)
    await made.start(name)


async def _exists(path: Path) -> bool:
    return await asyncio.to_thread(path.exists)


async def part(log: JetStreamLog) -> set[str]:
    return {name for name, takes_part in (await members(log.servers)).items() if takes_part}


@pytest.mark.slow
@pytest.mark.parametrize("dead", [True, False], ids=["dead", "running"])
async def test_a_voter_is_replaced_while_the_loop_runs_and_writers_write(
    tmp_path: Path, dead: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    samples: list[Sample] = []
    async with voters(tmp_path) as (made, log), loop(made.url, samples):
        async with writing(made.url, pause_seconds=0.02) as writers:
            await eventually(lambda: _written(writers, 50), WAIT_SECONDS_MAX)
            if dead:
                await made.stop("c")
            # when c is replaced by d
            address = f"d=127.0.0.1:{port_with_neighbours()}"
            replacing = asyncio.create_task(replace("c", by=address, output=tmp_path))
            await started(made, "d")
            if not dead:
                await eventually(lambda: _has(log, "d"), WAIT_SECONDS_MAX)
                await made.stop("c")
            await asyncio.wait_for(replacing, WAIT_SECONDS_MAX)
            count = sum(len(writer.acknowledged) for writer in writers)
            await eventually(lambda: _written(writers, count + 50), WAIT_SECONDS_MAX)
            # then another voter may be lost, and clients go on
            await made.stop("b")
            count = sum(len(writer.acknowledged) for writer in writers)
            await eventually(lambda: _written(writers, count + 20), WAIT_SECONDS_MAX)
        await made.start("b")
        await eventually(lambda: _whole(log, {"a", "b", "d"}), WAIT_SECONDS_MAX)
        # and nothing acknowledged is lost or doubled, every ticket has its outcome, every network
        # its verdict, and every decision follows from its cause
        assert broken(await settled(log), writers, samples) == []
        assert samples
        addresses = [str(server.netloc) for server in log.client.servers]
        assert any(address.partition("=")[2] in netloc for netloc in addresses)
    assert "d has replaced c" in capsys.readouterr().out


@contextlib.asynccontextmanager
async def edge_of(made: Voters, name: str) -> AsyncIterator[JetStreamLog]:
    """The log of an edge `gpu1` that was given the address of one voter only."""
    port = free_port()
    (hub,) = (node.port + LEAF_PORTS_ABOVE for node in made.nodes if node.name == name)
    own = NodeKey.new()
    home = write_edge(made.folder, "gpu1", [f"127.0.0.1:{hub}"], key=own.key, port=port, tls=True)
    login = home / LOGIN_FILE
    login.write_text(completed(login.read_text(), own))
    with (home / "log").open("wb") as output:
        server = await asyncio.create_subprocess_exec(
            find_binary(), "-c", "nats.conf", cwd=home, stdout=output, stderr=output
        )

    async def reached() -> JetStreamLog | None:
        with contextlib.suppress(StreamError):
            return await JetStreamLog.open(f"nats://127.0.0.1:{port}", name="edge")
        return None

    try:
        edge = await eventually(reached, WAIT_SECONDS_MAX)
        await ensure_edge(edge)
        yield edge
        await edge.close()
    finally:
        server.kill()
        await server.wait()


@pytest.mark.slow
async def test_with_tls_an_edge_goes_on_when_its_voter_is_replaced(tmp_path: Path) -> None:
    async with voters(tmp_path, tls=True) as (made, log), edge_of(made, "c") as edge:
        assert await source_edge(log, "gpu1")
        games = [f"game {number}".encode() for number in range(60)]

        async def play(first: int, count: int) -> None:
            for number in range(first, first + count):
                await edge.publish(EDGE, GAME, games[number], id=f"game-{number}")

        await play(0, 20)
        await eventually(lambda: _stored(log, 20), WAIT_SECONDS_MAX)
        address = f"d=127.0.0.1:{port_with_neighbours()}"
        replacing = asyncio.create_task(replace("c", by=address, output=tmp_path))
        await started(made, "d")
        await eventually(lambda: _has(log, "d"), WAIT_SECONDS_MAX)
        await made.stop("c")
        await play(20, 20)
        await asyncio.wait_for(replacing, WAIT_SECONDS_MAX)
        await play(40, 20)
        await eventually(lambda: _stored(log, 60), WAIT_SECONDS_MAX)
        assert [entry.body for entry in await content(log, GAMES)] == games


@pytest.mark.slow
async def test_three_voters_become_five_and_a_needed_one_stays(tmp_path: Path) -> None:
    async with voters(tmp_path) as (made, log):
        new = ",".join(f"{name}=127.0.0.1:{port_with_neighbours()}" for name in "de")
        adding = asyncio.create_task(add(nodes=new, output=tmp_path))
        await started(made, "d")
        await started(made, "e")
        await asyncio.wait_for(adding, WAIT_SECONDS_MAX)
        assert await part(log) == set("abcde")
        # given one that is away, another is not given up
        await made.stop("a")
        await eventually(lambda: _without(log, "a"), WAIT_SECONDS_MAX)
        with pytest.raises(CommandError, match=r"a takes no part: without b the quorum"):
            await replace("b", by=f"f=127.0.0.1:{port_with_neighbours()}", output=tmp_path)
        assert not made.home("f").exists()


async def _written(writers: list, number: int) -> bool:
    return sum(len(writer.acknowledged) for writer in writers) >= number


async def _has(log: JetStreamLog, name: str) -> bool:
    return name in await part(log)


async def _without(log: JetStreamLog, name: str) -> bool:
    found = await part(log)
    return bool(found) and name not in found


async def _stored(log: JetStreamLog, count: int) -> bool:
    return await log.tail(GAMES) >= count


async def _whole(log: JetStreamLog, names: set[str]) -> bool:
    return await part(log) == names
