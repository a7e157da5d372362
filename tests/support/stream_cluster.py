"""A cluster of three servers on loopback, with a small queue and quick redelivery."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import CONSUMERS, SECOND, STREAMS, WORK
from ringrift.server.binary import find_binary
from ringrift.server.configuration import Voter, server_conf
from ringrift.server.ensure import ensure

ACK_SECONDS = 0.5
"""time until redelivery"""
TICKETS_MAX = 10
SMALL_STREAMS = tuple(
    msgspec.structs.replace(config, max_msgs=TICKETS_MAX) if config.name == WORK else config
    for config in STREAMS
)
QUICK_CONSUMERS = tuple(
    msgspec.structs.replace(config, ack_wait=int(ACK_SECONDS * SECOND)) for config in CONSUMERS
)


class Cluster:
    """Three servers on loopback, each with its own storage."""

    def __init__(self, root: Path) -> None:
        self._root = root
        ports = _free_ports(6)
        self._clients, self._routes = ports[:3], ports[3:]
        self._nodes: dict[int, asyncio.subprocess.Process] = {}

    @property
    def url(self) -> str:
        """All three addresses."""
        return ",".join(f"nats://127.0.0.1:{port}" for port in self._clients)

    async def start(self, number: int) -> None:
        """Start or restart one node."""
        config = self._root / f"node{number}.conf"
        others = tuple(
            f"127.0.0.1:{port}" for other, port in enumerate(self._routes) if other != number
        )
        text = server_conf(
            Voter(
                name=f"n{number}",
                port=self._clients[number],
                monitor_port=None,
                store=str(self._root / f"store{number}"),
                route_port=self._routes[number],
                routes=others,
            )
        )
        config.write_text(text)
        log = self._root / f"node{number}.log"
        self._nodes[number] = await asyncio.create_subprocess_exec(
            find_binary(), "-c", config, "-l", log
        )

    async def kill(self, number: int) -> None:
        """Kill one node."""
        node = self._nodes.pop(number)
        node.kill()
        await node.wait()

    async def leader(self, log: JetStreamLog, stream: str) -> int:
        """Return the number of the node that leads a stream."""
        answer = msgspec.json.decode(await log.ask(f"$JS.API.STREAM.INFO.{stream}", b"", 5))
        return int(answer["cluster"]["leader"].removeprefix("n"))

    async def stop(self) -> None:
        """Kill all running nodes."""
        for number in list(self._nodes):
            await self.kill(number)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.asynccontextmanager
async def running_cluster(root: Path) -> AsyncIterator[Cluster]:
    """Three servers with all streams on three replicas."""
    cluster = Cluster(root)
    try:
        for number in range(3):
            await cluster.start(number)
        log = await _reached(cluster.url)
        await ensure(log, replicas=3, streams=SMALL_STREAMS, consumers=QUICK_CONSUMERS)
        await log.close()
        yield cluster
    finally:
        await cluster.stop()


async def _reached(url: str) -> JetStreamLog:
    for _ in range(100):
        with contextlib.suppress(Exception):
            return await JetStreamLog.open(url, name="test")
        await asyncio.sleep(0.05)
    return await JetStreamLog.open(url, name="test")
