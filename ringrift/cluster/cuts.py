"""Cuts the network between the servers of a local cluster. Every route leads through a port of this
process, which can fall silent.

A cut link is silent, not closed, like a network that loses every packet: data that was sent gets no
answer, and new connections are accepted and hear nothing. When a link heals, both its ends are
closed, and the servers reconnect.

    python -m ringrift.cluster.cuts DIR

reads the links from DIR/links.json, and the names of the servers that are cut off from DIR/cut.json
at start and at SIGHUP."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

BLOCK_BYTES = 65536


class Link(Struct, frozen=True):
    """The route from server `dialer`, which connects to `port`, to the port `target` of server
    `listener`."""

    dialer: str
    listener: str
    port: int
    target: int


class Cuts:
    """The links of one cluster and the servers that are cut off."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links
        self._cut: frozenset[str] = frozenset()
        self._servers: list[asyncio.Server] = []
        self._open: dict[asyncio.Task[None], Link] = {}
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Listen on the ports of all links. Raises OSError if one is taken."""
        for link in self._links:
            accept = partial(self._accept, link)
            self._servers.append(await asyncio.start_server(accept, "127.0.0.1", link.port))

    def cut(self, names: frozenset[str]) -> None:
        """Cut exactly these servers off from all others."""
        before, self._cut = self._cut, names
        for task, link in self._open.items():
            if _touches(link, before) and not _touches(link, names):
                task.cancel()
        self._changed.set()
        self._changed = asyncio.Event()

    async def _accept(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = link
        with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.closing(writer):
            await self._while_cut(link)
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", link.target)
            there = self._pump(link, reader, far_writer)
            await asyncio.gather(there, self._pump(link, far_reader, writer))
        del self._open[task]

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Copy from one end to the other; when an end closes, close both."""
        with contextlib.closing(writer):
            while block := await reader.read(BLOCK_BYTES):
                await self._while_cut(link)
                writer.write(block)
                await writer.drain()

    async def _while_cut(self, link: Link) -> None:
        while _touches(link, self._cut):
            await self._changed.wait()


def _touches(link: Link, names: frozenset[str]) -> bool:
    return link.dialer in names or link.listener in names


async def serve(folder: Path) -> None:
    """Serve the links of `folder` without end."""
    cuts = Cuts(msgspec.json.decode((folder / "links.json").read_bytes(), type=list[Link]))

    def read_cut() -> None:
        cuts.cut(msgspec.json.decode((folder / "cut.json").read_bytes(), type=frozenset[str]))

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, read_cut)
    await cuts.start()
    read_cut()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
