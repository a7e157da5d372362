"""Helpers for tests with real clusters: events, leaders, free ports."""

from __future__ import annotations

import json

from ringrift.cluster.files import LEAF_PORTS_ABOVE, MONITOR_PORTS_ABOVE
from ringrift.events import Draft, draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.entry import Entry
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import EVENTS, WORK
from ringrift.server.address import free_port, is_free


def event(number: int) -> Draft:
    """One of many small events, with an id that depends on `number` alone."""
    fact = ConsumerStarted(
        node=f"n{number % 3}", consumer="test", instance=str(number), version="1"
    )
    return draft(fact, cause=None, source="test", key=f"cluster-{number}")


async def content(log: JetStreamLog, stream: str) -> list[Entry]:
    """All messages of a stream, or the tickets on the queue."""
    if stream == WORK:
        return await log.queued()
    return [entry async for batch in log.read(stream) for entry in batch]


async def leader_of(log: JetStreamLog) -> str | None:
    """Name of the server that leads `EVENTS`."""
    info = json.loads(await log.ask(f"$JS.API.STREAM.INFO.{EVENTS}", b"", 3))
    leader: str | None = info.get("cluster", {}).get("leader")
    return leader


def port_with_neighbours() -> int:
    """A free port for clients of a server whose other ports are free too."""
    while True:
        port = free_port()
        others = (port + MONITOR_PORTS_ABOVE, port + LEAF_PORTS_ABOVE)
        if max(others) < 65536 and all(map(is_free, others)):
            return port
