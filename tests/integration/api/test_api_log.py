"""The Python API reads networks and games of a log, whether or not its server runs."""

from __future__ import annotations

import asyncio
import doctest
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.embedded import connected, running
from support.games import play_game
from support.loop_facts import promoted, registered

from ringrift.api import Log, Network, log as module
from ringrift.errors import CommandError
from ringrift.events import draft
from ringrift.log.blobs import Blobs
from ringrift.log.errors import Unreachable
from ringrift.log.topology import MODEL_BUCKET

NETWORK = Network.fresh("hex8_2p")
FACTS = (play_game("hex8_2p", 1), registered(NETWORK.digest), promoted(NETWORK.digest))


async def write(data: Path) -> None:
    """A log with one game and one promoted network."""
    async with running(data) as server, connected(server) as log:
        await Blobs(log).put(MODEL_BUCKET, NETWORK.data)
        for number, fact in enumerate(FACTS):
            item = draft(fact, cause=None, source="test", time=datetime.now(UTC), key=number)
            await log.append([item])


async def test_the_log_of_a_stopped_and_of_a_running_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / ".ringrift"
    await write(data)

    results = doctest.testmod(module)  # starts a server for each call, inside a running loop
    assert (results.attempted, results.failed) == (5, 0)

    async with running(data) as server:
        log = Log(server=server.url)
        (known,) = await asyncio.to_thread(log.networks, "hex8_2p")
        assert (known["model"], known["state"]) == (NETWORK.digest, "current")
        (one,) = await asyncio.to_thread(log.games, "hex8_2p")
        assert one.over
        assert " ".join(one.moves) == FACTS[0].moves
        assert (await asyncio.to_thread(log.network, NETWORK.digest[:8])).data == NETWORK.data
        with pytest.raises(CommandError, match="no network of hex8_3p was promoted yet"):
            log.network(config="hex8_3p")
        with pytest.raises(CommandError, match="give the config"):
            log.network()


def test_a_directory_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no server is running for"):
        Log(tmp_path).networks()
