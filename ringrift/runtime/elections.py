"""Elections of leaders: who took which role when, and how long its lease was free.

Read from the facts of those that won; attempts that did not are counted by each process
(`ringrift_leader_elections_total`)."""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from ringrift.events.facts import LeaseAcquired
from ringrift.log import read
from ringrift.log.protocol import Log

ELECTIONS_SINCE = timedelta(days=7)
SHOWN = 10


class Election(Struct, frozen=True):
    """A process that acts for a role, and the seconds from finding its lease free to taking it."""

    role: str
    holder: str
    at: datetime
    seconds: float | None


class Elections(Struct, frozen=True, kw_only=True):
    """The elections of the last `ELECTIONS_SINCE`, the newest last; without any, no percentiles."""

    won: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    p99_seconds: float | None = None
    last: tuple[Election, ...] = ()

    def __str__(self) -> str:
        if self.p50_seconds is None:
            return f"{self.won} in {ELECTIONS_SINCE.days} days"
        parts = (("p50", self.p50_seconds), ("p95", self.p95_seconds), ("p99", self.p99_seconds))
        took = ", ".join(f"{name} {value:.3f} s" for name, value in parts)
        newest = self.last[-1]
        return (
            f"{self.won} in {ELECTIONS_SINCE.days} days, {took}; the last: {newest.role} to "
            f"{newest.holder.partition('.')[0]} at {newest.at:%Y-%m-%d %H:%M:%S} UTC"
        )


async def elections(log: Log, now: float) -> Elections:
    """The elections until now, in seconds since 1970."""
    since = datetime.fromtimestamp(now, UTC) - ELECTIONS_SINCE
    found = [
        Election(event.role, event.holder, meta.time, event.election_seconds)
        async for event, meta in read.facts(log, LeaseAcquired, since=since)
    ]
    took = sorted(one.seconds for one in found if one.seconds is not None)

    def share(part: float) -> float | None:
        return took[int(part * (len(took) - 1))] if took else None

    return Elections(
        won=len(found),
        p50_seconds=share(0.5),
        p95_seconds=share(0.95),
        p99_seconds=share(0.99),
        last=tuple(found[-SHOWN:]),
    )
