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
from collections.abc import Awaitable, Callable, Sequence
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
            accept = self._accepting(link)
            self._servers.append(await asyncio.start_server(accept, "127.0.0.1", link.port))

    def cut(self, names: frozenset[str]) -> None:
        """Cut exactly these servers off from all others."""
        before, self._cut = self._cut, names
        for task, link in self._open.items():
            if _touches(link, before) and not _touches(link, names):
                task.cancel()
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Close all links."""
        for server in self._servers:
            server.close()
        for task in self._open:
            task.cancel()

    def _accepting(
        self, link: Link
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._open[task] = link
            try:
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await self._join(link, reader, writer)
            finally:
                del self._open[task]
                writer.close()

        return accept

    async def _join(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._while_cut(link)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", link.target)
        pumps = [
            asyncio.create_task(self._pump(link, reader, far_writer)),
            asyncio.create_task(self._pump(link, far_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            far_writer.close()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
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
    """Serve the links of `folder` until SIGTERM."""
    cuts = Cuts(msgspec.json.decode((folder / "links.json").read_bytes(), type=list[Link]))
    stop = asyncio.Event()

    def read_cut() -> None:
        with contextlib.suppress(FileNotFoundError):
            body = (folder / "cut.json").read_bytes()
            cuts.cut(msgspec.json.decode(body, type=frozenset[str]))

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, read_cut)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await cuts.start()
    read_cut()
    await stop.wait()
    cuts.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
