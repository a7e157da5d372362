"""The servers that hold the log: which one leads, and which are current."""

import contextlib
from typing import Any

from msgspec import Struct

from ringrift.deciders.fleet.resilience import Quorum, quorum_level
from ringrift.log.errors import StreamError
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS
from ringrift.log.wire import Wire


class Voters(Struct, frozen=True, kw_only=True):
    """The voters of `EVENTS`: the leader, how many are configured, how many are current, and the
    names of the others."""

    leader: str | None
    voters: int
    alive: int
    away: tuple[str, ...] = ()

    @property
    def level(self) -> Quorum:
        """The quorum. Without a leader nothing can be written, however many voters are alive."""
        return "LOST" if self.leader is None else quorum_level(self.voters, self.alive)


async def voters(log: Log) -> Voters:
    """The voters of `EVENTS`. Without a leader,
    the known servers that answer count as alive."""
    try:
        info = await log.call(f"STREAM.INFO.{EVENTS}", retry=False)
    except StreamError:
        away = tuple([server for server in log.servers if not await _answers(server)])
        known = len(log.servers)
        return Voters(leader=None, voters=known, alive=known - len(away), away=away)
    return voters_in(info)


def voters_in(info: dict[str, Any]) -> Voters:
    """The voters in the server's answer about a stream. The leader is not listed as a replica;
    without a leader all voters are."""
    cluster: dict[str, Any] | None = info.get("cluster")
    if not cluster:
        return Voters(leader="single", voters=1, alive=1)
    leader, replicas = cluster.get("leader") or None, cluster.get("replicas") or []
    behind = [item for item in replicas if item.get("offline") or not item.get("current")]
    away = tuple(str(item.get("name")) for item in behind)
    count = len(replicas) + (leader is not None)
    return Voters(leader=leader, voters=count, alive=count - len(away), away=away)


async def _answers(server: str) -> bool:
    with contextlib.suppress(StreamError):
        (await Wire.open([server])).close()
        return True
    return False
