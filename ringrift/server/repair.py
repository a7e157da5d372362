"""Repairs a copy of a stream that holds less than the others.

A server drops the rest of a block with damaged bytes, does not repair it, and may lead
(nats-server 2.15.1). So a whole copy is made the leader, the damaged one is given up by reducing
the number of copies, and raising it again makes a new copy from the leader. The server chooses
which copy it gives up: that is looked at before the number is raised."""

import asyncio
from collections.abc import Awaitable, Callable, Container, Sequence

from ringrift.log.errors import LogUnavailable
from ringrift.log.holdings import Damage, Held, damages
from ringrift.log.protocol import Log
from ringrift.server.grow import wait_until_current

Look = Callable[[], Awaitable[Sequence[Held]]]
TRIES_MAX = 4
STEP_SECONDS_MAX = 60.0
POLL_SECONDS = 0.25


async def lead_by_whole(log: Log, damage: Damage, held: Sequence[Held], preferred: str = "") -> str:
    """Make a whole copy the leader of the stream, the preferred one if it is named, and return its
    server; nothing is done if one leads. Raises LogUnavailable if there is none, TimeoutError."""
    stream = damage.stream
    damaged = {each.server for each in damages(held) if each.stream == stream}
    cluster = (await log.call(f"STREAM.INFO.{stream}"))["cluster"]
    copies = {peer["name"] for peer in cluster.get("replicas") or () if peer.get("current")}
    leader = str(cluster.get("leader") or "")
    if leader and leader not in damaged and preferred in ("", leader):
        return leader
    ends = {each.server: each.streams[stream].last for each in held if stream in each.streams}
    whole = sorted(copies - damaged, key=lambda name: (-ends.get(name, 0), name))
    if not whole:
        raise LogUnavailable(f"{stream}: no other copy is whole and current")
    chosen = preferred if preferred in whole else whole[0]
    request = {"placement": {"preferred": chosen}}
    async with asyncio.timeout(STEP_SECONDS_MAX):
        while await leader_of(log, stream) != chosen:
            await log.call(f"STREAM.LEADER.STEPDOWN.{stream}", request, retry=False)
            await asyncio.sleep(POLL_SECONDS * 4)
    return chosen


async def leader_of(log: Log, stream: str) -> str:
    """The server that leads a stream; empty in an election."""
    found = (await log.call(f"STREAM.INFO.{stream}"))["cluster"]
    return str(found.get("leader") or "")


async def repair(log: Log, damage: Damage, look: Look) -> None:
    """Replace a damaged copy by one of a whole leader. `look` asks the servers what they hold.

    Raises LogUnavailable if that does not succeed: then the stream has all its copies, the damaged
    one among them."""
    stream = damage.stream
    config = (await log.call(f"STREAM.INFO.{stream}"))["config"]
    replicas = int(config["num_replicas"])
    if replicas < 3:
        raise LogUnavailable(
            f"{stream} has {replicas} copies: a damaged one is repaired from three"
        )
    # the server keeps the leader and the copy that it lists first: after a wrong choice the one
    # that was given up, now listed last, leads, and the damaged one is no longer kept
    preferred = ""
    for _ in range(TRIES_MAX):
        await lead_by_whole(log, damage, await look(), preferred)
        before = {each.server for each in await look() if stream in each.streams}
        await log.call(f"STREAM.UPDATE.{stream}", config | {"num_replicas": replicas - 1})
        try:
            kept = await _members(log, stream, replicas - 1)
            dropped = await _given_up(damage, kept, look)
            preferred = "" if dropped else next(iter(before - kept), "")
        finally:
            await log.call(f"STREAM.UPDATE.{stream}", config)
        await wait_until_current(log, stream, replicas)
        if dropped and not any(
            (each.server, each.stream) == (damage.server, stream) for each in damages(await look())
        ):
            return
    raise LogUnavailable(f"{damage}: not repaired in {TRIES_MAX} tries")


async def _given_up(damage: Damage, members: Container[str], look: Look) -> bool:
    """Whether the damaged copy was given up, once its server has deleted it: until then it would be
    taken up again. False if it was another one."""
    if damage.server in members:
        return False
    async with asyncio.timeout(STEP_SECONDS_MAX):
        while True:
            held = {each.server: each.streams for each in await look()}
            if damage.server in held and damage.stream not in held[damage.server]:
                return True
            await asyncio.sleep(POLL_SECONDS)


async def _members(log: Log, stream: str, count: int) -> set[str]:
    """The servers of a stream's copies, once there are `count`."""
    async with asyncio.timeout(STEP_SECONDS_MAX):
        while True:
            cluster = (await log.call(f"STREAM.INFO.{stream}"))["cluster"]
            peers = [peer["name"] for peer in cluster.get("replicas") or ()]
            found = {*filter(None, [cluster.get("leader")]), *peers}
            if len(found) == count and cluster.get("leader"):
                return found
            await asyncio.sleep(POLL_SECONDS)
