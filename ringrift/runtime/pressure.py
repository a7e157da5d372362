"""What a process does when its machine gets tight: it says so, takes no tickets, searches fewer
games at once, frees caches, and leaves before it is killed."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from ringrift.deciders.fleet.pressure import (
    TIERS,
    batch_size,
    frees_caches,
    must_leave,
    takes_work,
    tier_after,
    worst,
)
from ringrift.events import type_of
from ringrift.events.facts import NodePressureChanged, Resource, Tier
from ringrift.log import read
from ringrift.log.errors import ConcurrencyError
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS
from ringrift.runtime.resources import NODE_WIDE, used_shares

if TYPE_CHECKING:
    from ringrift.runtime.process import Process


class Pressure:
    """The tiers of one process's resources. Those of the whole node are told once a node, by
    whoever notices first."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.tiers: dict[Resource, Tier] = {}
        self._untold: set[Resource] = set()

    @property
    def worst(self) -> tuple[Resource | None, Tier]:
        """The tightest resource and its tier."""
        return worst(self.tiers)

    @property
    def takes_work(self) -> bool:
        """Whether another ticket may be taken."""
        return takes_work(self.tiers)

    def batch(self, games: int) -> int:
        """How many of so many games to search at once; from any thread."""
        return batch_size(games, dict(self.tiers))

    async def look(self, used: dict[Resource, float] | None = None) -> None:
        """Measure and act. `used` is measured unless a test gives it. Raises StreamError if a
        change could not be told."""
        process = self._process
        shares = used_shares(process.data) if used is None else used
        for resource, share in shares.items():
            before = self.tiers.get(resource)
            tier = tier_after(before or "normal", share, process.operation, resource)
            self.tiers[resource] = tier
            process.metrics.set("ringrift_resource_used_ratio", share, resource)
            process.metrics.set("ringrift_memory_pressure_tier", TIERS.index(tier), resource)
            if tier != (before or "normal"):
                self._untold.add(resource)
                self._act(resource, tier, first=before is None)
        for resource in sorted(self._untold):
            await self._tell(resource, shares.get(resource, 0.0))
            self._untold.discard(resource)

    def _act(self, resource: Resource, tier: Tier, *, first: bool) -> None:
        process = self._process
        process.logger.warning("pressure", resource=resource, tier=tier)
        if frees_caches(resource, tier):
            gc.collect()
            torch = sys.modules.get("torch")
            if torch is not None and torch.cuda.is_available():
                torch.cuda.empty_cache()
        if (
            must_leave(resource, tier) and not first
        ):  # a process that starts in it waits: leaving again would help nobody
            process.stop(f"{resource} is in its emergency tier")

    async def _tell(self, resource: Resource, used: float) -> None:
        """Append the change unless the log has it from another process of this node."""
        process, log = self._process, self._process.log
        consumer = "" if resource in NODE_WIDE else process.name
        subject = type_of(NodePressureChanged).filter(process.node)
        newest = await log.last(EVENTS, subject)
        last = newest.seq if newest else 0
        known: Tier = "normal"
        async for event, _ in read.facts(log, NodePressureChanged, scope=process.node, until=last):
            if (event.resource, event.consumer) == (resource, consumer):
                known = event.tier
        tier = self.tiers[resource]
        if tier == known:
            return
        fact = NodePressureChanged(
            node=process.node,
            resource=resource,
            consumer=consumer,
            tier=tier,
            previous=known,
            used=round(used, 4),
        )
        item = process.draft(fact, cause=None, key=f"{process.node}.{resource}.{consumer}.{last}")
        try:
            await log.append([item], Expect(subject, last))
        except ConcurrencyError:
            process.logger.info("another process of this node was faster", resource=resource)
