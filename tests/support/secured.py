"""A server with users and TLS, and a log with the rights of a role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from ringrift.cluster.files import parse_nodes, write_cluster, write_node
from ringrift.events import draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.errors import Unreachable
from ringrift.log.identity import NodeKey
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import AUTHORITY, read_login
from ringrift.runtime.processes import ROLES
from ringrift.server.binary import find_binary
from ringrift.server.ensure import ensure
from support.clusters import port_with_neighbours


class Place:
    """A running server and the files of its cluster."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.opened: list[JetStreamLog] = []

    @property
    def authority(self) -> Path:
        return self.folder / "authority" / "ca.pem"

    def credentials(self, role: str) -> Path:
        """The credentials of a person, or of a node with a key of its own and this role, with the
        seed, which stays on the machine of a real node."""
        path = self.folder / "credentials" / f"{role}.creds"
        if not path.exists() and role in ROLES:
            key = NodeKey.new()
            path = write_node(self.folder, f"the-{role}", key.key, [role])
            head, end, rest = path.read_text().partition("------END NATS USER JWT------\n")
            seed = f"\n-----BEGIN USER NKEY SEED-----\n{key.seed}\n------END USER NKEY SEED------\n"
            path = self.folder / "credentials" / f"{role}.creds"
            path.write_text(head + end + seed + rest)
        return path

    def name(self, role: str) -> str:
        """The name of the user with a role."""
        return read_login(self.credentials(role)).user

    async def log(self, role: str) -> JetStreamLog:
        login = read_login(self.credentials(role))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(AUTHORITY, str(self.authority))
            self.opened.append(await JetStreamLog.open(self.url, name=role, login=login))
        return self.opened[-1]


@asynccontextmanager
async def secured(folder: Path) -> AsyncIterator[Place]:
    """A single server with users and TLS, with all streams and one event."""
    (voter,) = write_cluster(
        folder, parse_nodes(f"n1=127.0.0.1:{port_with_neighbours()}"), users=True, tls=True
    )
    home = folder / "voters" / "n1"
    with (home / "log").open("wb") as output:
        server = await asyncio.create_subprocess_exec(
            find_binary(), "-c", "nats.conf", cwd=home, stdout=output, stderr=output
        )
    place = Place(folder, f"tls://127.0.0.1:{voter.port}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(AUTHORITY, str(place.authority))
        try:
            async with asyncio.timeout(10):
                while True:
                    with suppress(Unreachable):
                        operator = await place.log("operator")
                        break
                    await asyncio.sleep(0.02)
            assert await ensure(operator) == []
            fact = ConsumerStarted(node="node", consumer="test", instance="1", version="1")
            await operator.append([draft(fact, cause=None, source="test", key=1)])
            await operator.close()
            yield place
        finally:
            # a client that a failed test leaves open would search for the server without end
            for log in place.opened:
                await log.close()
            server.terminate()
            await server.wait()
