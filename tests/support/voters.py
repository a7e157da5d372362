"""Voters of the files that `ringrift cluster init` writes, each server started by hand."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from ringrift.cluster.files import Node, addresses, as_operator, write_cluster
from ringrift.cluster.local import environment
from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.login import CREDENTIALS, read_login
from ringrift.server.binary import find_binary
from ringrift.server.ensure import ensure
from ringrift.server.voter import check
from support.clusters import port_with_neighbours
from support.waiting import eventually

READY_SECONDS_MAX = 90.0


class Voters:
    """Servers over the voters in `folder`."""

    def __init__(self, folder: Path, nodes: Sequence[Node]) -> None:
        self.folder, self.nodes = folder, list(nodes)
        self.running: dict[str, asyncio.subprocess.Process] = {}

    @property
    def url(self) -> str:
        return addresses(self.folder, self.nodes)

    def home(self, name: str) -> Path:
        return self.folder / "voters" / name

    def store(self, name: str) -> Path:
        return self.home(name) / ".ringrift" / "nats"

    async def start(self, name: str, binary: Path | None = None, *, checked: bool = True) -> None:
        """Start a server as the unit does: the check first."""
        home = self.home(name)
        if checked:
            check(home)
        with (home / "nats.log").open("ab") as log:
            self.running[name] = await asyncio.create_subprocess_exec(
                binary or find_binary(), "-c", "nats.conf", cwd=home, stdout=log, stderr=log
            )

    async def stop(self, *names: str, by: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to servers and wait for their end."""
        ending = [self.running.pop(name) for name in names]
        for process in ending:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(by)
        await asyncio.gather(*(process.wait() for process in ending))

    def as_role(self, role: str) -> contextlib.AbstractContextManager[None]:
        """Connections opened in the block are made as `role`."""
        own = {CREDENTIALS: str(self.folder / "credentials" / f"{role}.creds")}
        return environment(as_operator(self.folder) | ({} if role == "operator" else own))

    async def opened(self) -> JetStreamLog:
        """The log as the operator. Raises Unreachable."""
        login = read_login(Path(as_operator(self.folder)[CREDENTIALS]))
        return await JetStreamLog.open(self.url, name="test", login=login)


def node(name: str) -> Node:
    """A voter on free ports of the loopback interface."""
    return Node(name, "127.0.0.1", port_with_neighbours())


@contextlib.asynccontextmanager
async def voters(
    folder: Path,
    names: str = "abc",
    *,
    create: bool = True,
    binary: Path | None = None,
    keys: bool = True,
    tls: bool = False,
    change: Callable[[Path], None] = lambda folder: None,
) -> AsyncIterator[tuple[Voters, JetStreamLog]]:
    """Running voters with keys, with `create` all streams on three replicas, or one with one voter,
    and the operator's log. `change` changes their files before they start."""
    nodes = [node(name) for name in names]
    write_cluster(folder, nodes, users=keys, tls=tls)
    change(folder)
    made = Voters(folder, nodes)
    try:
        for name in names:
            await made.start(name, binary)
        with made.as_role("operator"):
            log = await eventually(lambda: _reached(made), READY_SECONDS_MAX)
            if create:
                await eventually(lambda: _created(log, min(len(nodes), 3)), READY_SECONDS_MAX)
            try:
                yield made, log
            finally:
                await log.close()
    finally:
        await made.stop(*made.running)


async def _reached(made: Voters) -> JetStreamLog | None:
    with contextlib.suppress(StreamError):
        return await made.opened()
    return None


async def _created(log: JetStreamLog, replicas: int) -> bool:
    with contextlib.suppress(StreamError):  # they have not found each other yet
        return await ensure(log, replicas=replicas) == []
    return False
