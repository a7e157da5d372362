"""Cuts the network between the voters of a local cluster: every route goes through a port of this
process, which can fall silent.

A cut link is silent, not closed, as a network that loses every packet is: what was sent stays
unanswered and a new connection is accepted and hears nothing. When the link heals, both its ends
are closed and the servers connect anew.

    python -m ringrift.cluster.cuts DIR      links in DIR/links.json, voters cut off in
    DIR/cut.json, read again at SIGHUP
"""

from __future__ import annotations

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
    """The route of voter `dialer` to voter `listener`: it dials `port`, and gets to `target`."""

    dialer: str
    listener: str
    port: int
    target: int


class Cuts:
    """The links of one cluster and who is cut off."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links
        self._cut: frozenset[str] = frozenset()
        self._servers: list[asyncio.Server] = []
        self._open: dict[asyncio.Task[None], Link] = {}
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Listens. Raises OSError for a port that is taken."""
        for link in self._links:
            self._servers.append(
                await asyncio.start_server(self._accepting(link), "127.0.0.1", link.port)
            )

    def cut(self, names: frozenset[str]) -> None:
        """From now on exactly these voters are cut off from all others."""
        healed = [
            task
            for task, link in self._open.items()
            if _touches(link, self._cut) and not _touches(link, names)
        ]
        self._cut = names
        for task in healed:
            task.cancel()
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Closes every link."""
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
            asyncio.create_task(self._pump(link, *ends))
            for ends in ((reader, far_writer), (far_reader, writer))
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
    """Whether one end of the link is cut off."""
    return link.dialer in names or link.listener in names


async def serve(folder: Path) -> None:
    """Serves the links of `folder` until SIGTERM."""
    cuts = Cuts(msgspec.json.decode((folder / "links.json").read_bytes(), type=list[Link]))
    stop = asyncio.Event()

    def read_cut() -> None:
        with contextlib.suppress(FileNotFoundError):
            cuts.cut(
                frozenset(msgspec.json.decode((folder / "cut.json").read_bytes(), type=list[str]))
            )

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, read_cut)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await cuts.start()
    read_cut()
    await stop.wait()
    cuts.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
