"""Heartbeats as others read them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ringrift.log.entry import Entry
from ringrift.log.presence import Heartbeat, Presence
from ringrift.tools.memory_log import MemoryBroker, MemoryLog


def beat(node: str, doing: str) -> Heartbeat:
    return Heartbeat(
        consumer="rater", node=node, instance=node, pid=1, doing=doing, seq=0, errors=0, folds={}
    )


class Renewing(MemoryLog):
    """A log in which node a renews its heartbeat after a read has determined its end."""

    renewed = False

    async def _read(self, stream: str, **span: Any) -> AsyncIterator[list[Entry]]:
        known = [batch async for batch in super()._read(stream, **span)]
        if not self.renewed:
            self.renewed = True
            await Presence(self).beat(beat("a", "newer"))
            known = [[one for one in batch if ".a." not in one.subject] for batch in known]
        for batch in known:
            yield batch


async def test_a_heartbeat_that_is_renewed_during_a_read_is_read() -> None:
    log = Renewing(MemoryBroker())
    presence = Presence(log)
    for node in ("a", "b"):
        await presence.beat(beat(node, "older"))
    found = await presence.nodes()
    assert {name: node.processes for name, node in found.items()} == {"a": 1, "b": 1}
    assert {one.node: one.doing for one in await presence.all()} == {"a": "newer", "b": "older"}
