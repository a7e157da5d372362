"""The share of each machine that was used, by work, and what the rest waited for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from ringrift.events import facts as f
from ringrift.log import read
from ringrift.log.protocol import Log


class Used(Struct, frozen=True, kw_only=True):
    """Core-seconds of one node, or of several together: all, busy ones by work, idle ones by what
    their workers waited for."""

    total: float
    busy: dict[str, float]
    waited: dict[str, float]

    @property
    def share(self) -> float:
        """Used part of all core-seconds, 0..1."""
        return min(1.0, sum(self.busy.values()) / self.total) if self.total else 0.0

    def __str__(self) -> str:
        """`93 % used (selfplay 60 %, training 33 %); the rest waited for a ticket 7 %`."""
        text = f"{self.share:.0%} used"
        if self.busy:
            text += f" ({_parts(self.busy, self.total)})"
        if self.waited:
            text += f"; the rest waited for {_parts(self.waited, self.total)}"
        return text


def _parts(seconds: dict[str, float], total: float) -> str:
    found = sorted(seconds.items(), key=lambda item: -item[1])
    return ", ".join(f"{name.replace('-', ' ')} {value / total:.0%}" for name, value in found)


def used(samples: Iterable[f.UtilisationSampled]) -> dict[str, Used]:
    """What was used of each node in these samples, and of `all` together if there are several."""
    totals: dict[str, float] = defaultdict(float)
    busy: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    waited: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for sample in samples:
        for name, node in sample.nodes.items():
            for key in (name, "all"):
                totals[key] += sample.seconds * node.cores
                for sums, part in ((busy[key], node.busy), (waited[key], node.waited)):
                    for what, seconds in part.items():
                        sums[what] += seconds
    whole = totals.pop("all", 0.0)
    if len(totals) > 1:
        totals["all"] = whole
    return {
        name: Used(total=total, busy=dict(busy[name]), waited=dict(waited[name]))
        for name, total in totals.items()
    }


async def used_since(log: Log, since: datetime | None = None) -> dict[str, Used]:
    """`used` of the samples since a moment, by default of all."""
    return used([fact async for fact, _ in read.facts(log, f.UtilisationSampled, since=since)])
