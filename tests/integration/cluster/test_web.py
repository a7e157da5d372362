"""`ringrift web` against a server with users and TLS, with the credentials of the role viewer; and
as a child of `ringrift up`."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from support.clusters import event, port_with_neighbours
from support.embedded import connected, running
from support.waiting import eventually

from ringrift.cluster.files import parse_nodes, write_cluster
from ringrift.log.errors import LogUnavailable, Unreachable
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import AUTHORITY, CREDENTIALS
from ringrift.server.binary import find_binary
from ringrift.server.ensure import ensure
from ringrift.web.cache import Cache

START_SECONDS_MAX = 60.0


@asynccontextmanager
async def command(
    *words: str, **environment: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A running command, and the address of the pages that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "ringrift.cli.main", *words),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            while not (
                found := re.search(rb"pages: (http://\S+)", await process.stdout.readline())
            ):
                assert process.returncode is None
        yield process, found[1].decode()
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), START_SECONDS_MAX)


@asynccontextmanager
async def secured(folder: Path) -> AsyncIterator[str]:
    """The address of a server with users and TLS and all streams."""
    nodes = parse_nodes(f"n1=127.0.0.1:{port_with_neighbours()}")
    (voter,) = write_cluster(folder, nodes, users=True, tls=True)
    home = folder / "voters" / "n1"
    with (home / "log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(
            find_binary(), "-c", "nats.conf", cwd=home, stdout=log, stderr=log
        )
    url = f"tls://127.0.0.1:{voter.port}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in credentials(folder, "operator").items():
                patch.setenv(name, value)

            async def connected() -> JetStreamLog | None:
                with suppress(Unreachable, LogUnavailable):
                    return await JetStreamLog.open(url, name="test")
                return None

            operator = await eventually(connected, START_SECONDS_MAX)
            assert operator is not None
            assert await ensure(operator) == []
            await operator.append([event(1)])
            await operator.close()
        yield url
    finally:
        server.terminate()
        await server.wait()


def credentials(folder: Path, role: str) -> dict[str, str]:
    """The variables with which a command logs in as a role."""
    return {
        AUTHORITY: str(folder / "authority" / "ca.pem"),
        CREDENTIALS: str(folder / "credentials" / f"{role}.creds"),
    }


async def test_the_viewer_sees_every_page_of_a_cluster(tmp_path: Path) -> None:
    async with secured(tmp_path) as url:
        words = ("web", "--server", url, "--port", "0")
        async with (
            command(*words, **credentials(tmp_path, "viewer")) as (_, address),
            httpx.AsyncClient(base_url=address) as client,
        ):

            async def read_once() -> bool:
                return "EVENTS/1" in (await client.get("/")).text

            await eventually(read_once, START_SECONDS_MAX)
            for path in ("/", "/networks", "/evaluations", "/games", "/time", "/at/1/"):
                assert (await client.get(path)).status_code == 200, path

            async def looked_at() -> bool:  # voters, leases, queues and heartbeats, as a viewer
                return (
                    "processes" in (await client.get("/")).text
                    or "runs" in (await client.get("/")).text
                )

            await eventually(looked_at, START_SECONDS_MAX)
            assert "server does not" not in (await client.get("/")).text


async def test_up_serves_the_pages_and_stops_them(tmp_path: Path) -> None:
    words = ("up", "--config", "hex8_2p", "--data", str(tmp_path / "data"), "--plain")
    async with command(*words) as (process, address):

        async def served() -> bool:
            async with httpx.AsyncClient() as client:
                with suppress(httpx.TransportError):
                    answer = await client.get(address, follow_redirects=True)
                    return "Sign out" in answer.text and "hex8_2p" in answer.text
                return False

        await eventually(served, START_SECONDS_MAX)
        assert process.returncode is None
        assert await served()  # the address signs in more than once

    async def gone() -> bool:
        return not await served()  # another program may have the port by now

    await eventually(gone, START_SECONDS_MAX)


async def test_an_empty_log_answers_sql_and_the_end_writes_the_cache(tmp_path: Path) -> None:
    cache, statement = tmp_path / "cache", {"q": "SELECT count(*) + 41 FROM log"}
    async with running(tmp_path / "data") as server, connected(server) as log:
        words, here = ("web", "--server", server.url, "--port", "0"), {"XDG_CACHE_HOME": str(cache)}
        async with (
            command(*words, **here) as (process, address),
            httpx.AsyncClient(base_url=address) as client,
        ):

            async def counted() -> bool:
                return ">41<" in (await client.get("/sql", params=statement)).text

            await eventually(counted, START_SECONDS_MAX)
            await log.append([event(1)])

            async def folded() -> bool:
                return "EVENTS/1" in (await client.get("/")).text

            await eventually(folded, START_SECONDS_MAX)
        assert process.returncode == 0
        parts = await Cache(log, cache / "ringrift" / "web").load()
    assert parts is not None
    assert parts[-1].seq == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "0.0.0.0"), "give --token"),
        (("--port", "1"), "cannot listen on 127.0.0.1, port 1"),
    ],
)
async def test_what_cannot_be_served_is_refused_in_one_line(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    if "--port" in words and os.geteuid() == 0:
        pytest.skip("root may listen on every port")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "ringrift.cli.main", "web", "--data", str(tmp_path), *words),
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await asyncio.wait_for(process.communicate(), START_SECONDS_MAX)
    assert process.returncode == 1
    assert said in error.decode()
    assert len(error.splitlines()) == 1
