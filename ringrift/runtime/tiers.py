"""The pressure on the resources of one process, and what it may still do under it."""

from __future__ import annotations

from ringrift.deciders.fleet import pressure
from ringrift.events.facts import Resource, Tier


class Pressure:
    """The tier of each resource, as measured last."""

    def __init__(self) -> None:
        self.tiers: dict[Resource, Tier] = {}
        self.unrecorded: set[Resource] = set()
        """resources whose tier changed and is not in the log yet"""

    @property
    def worst(self) -> tuple[Resource | None, Tier]:
        """The tightest resource and its tier."""
        return pressure.worst(self.tiers)

    @property
    def takes_work(self) -> bool:
        """Whether another ticket may be taken."""
        return pressure.takes_work(self.tiers)

    def batch(self, games: int) -> int:
        """The number of games to search at once, at most `games`. May be called from any thread."""
        return pressure.batch_size(games, dict(self.tiers))
