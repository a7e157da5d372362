"""A subject of the log that no other test uses."""

from __future__ import annotations

import itertools

from ringrift.events import Draft, draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS

_numbers = itertools.count()


class Subject:
    """A subject of `EVENTS` that no other test uses."""

    def __init__(self) -> None:
        self.node = f"n{next(_numbers)}"
        self.name = f"ringrift.consumer.{self.node}.started"

    def draft(self, key: str | int) -> Draft:
        event = ConsumerStarted(node=self.node, consumer="test", instance=str(key), version="x")
        return draft(event, cause=None, source="test", key=f"{self.node}:{key}")

    async def stored(self, log: Log) -> list[int]:
        return [
            entry.seq async for batch in log.read(EVENTS, filters=[self.name]) for entry in batch
        ]
