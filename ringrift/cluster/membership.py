"""Voters that join and leave a running cluster.

A new voter joins when its server starts; one that leaves has to be removed by a user of the
servers' account, and the servers then make the copies that were on it again elsewhere."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from ringrift.errors import CommandError
from ringrift.log.errors import StreamError, Unreachable
from ringrift.log.holdings import Held, connected, holdings
from ringrift.log.login import login_beside
from ringrift.log.protocol import Log
from ringrift.server.voter import peer_id

SYSTEM = "system"
POLL_SECONDS = 0.5
REMOVE_SECONDS_MAX = 10.0
SETTLED_SECONDS_MAX = 30.0
"""for an election, 4 to 9 s, and for followers that have fallen behind"""
_REMOVE = "$JS.API.SERVER.REMOVE"
Say = Callable[[str], None]


async def members(servers: Sequence[str]) -> dict[str, bool]:
    """The voters of a cluster, and whether each takes part; empty without a leader. Raises
    Unreachable, CommandError."""
    held = await holdings(servers)
    if held is None:
        raise CommandError(
            "the servers cannot be asked who takes part: the folder has no "
            "credentials/scrubber.creds"
        )
    return _as_leader_says(held)


def _as_leader_says(held: Sequence[Held]) -> dict[str, bool]:
    for each in held:
        if each.server == each.leader:
            return dict(each.members)
    return {}


async def refuse_without_quorum(log: Log, leaving: str, joining: Collection[str]) -> None:
    """Raise CommandError unless the cluster works without the voter that leaves: all others take
    part, and every stream has most of its copies elsewhere; an election has time to end."""
    end = asyncio.get_running_loop().time() + SETTLED_SECONDS_MAX
    while True:
        try:
            return await _check_quorum(log, leaving, joining)
        except (CommandError, StreamError):
            if asyncio.get_running_loop().time() > end:
                raise
        await asyncio.sleep(POLL_SECONDS)


async def _check_quorum(log: Log, leaving: str, joining: Collection[str]) -> None:
    known = await members(log.servers)
    others = {name: part for name, part in known.items() if name != leaving and name not in joining}
    away = sorted(name for name, part in others.items() if not part)
    if not known or away:
        who = ", ".join(away) or "the leader"
        raise CommandError(
            f"{who} takes no part: without {leaving} the quorum would be lost; start it first"
        )
    for stream, info in (await _streams(log)).items():
        current = _current(info) - {leaving}
        needed = int(info["config"]["num_replicas"]) // 2 + 1
        if len(current) < min(needed, len(others)):
            raise CommandError(
                f"{stream} has {len(current)} current copies without {leaving}, and needs "
                f"{needed}: wait until `ringrift status` shows all copies as current"
            )


async def wait_for(log: Log, joining: Sequence[str], say: Say) -> None:
    """Wait until new voters take part."""
    said = False
    while True:
        known = await _members_now(log)
        missing = [name for name in joining if not known.get(name)]
        if not missing:
            return
        if not said:
            say(f"waiting for {', '.join(missing)}")
            said = True
        await asyncio.sleep(POLL_SECONDS)


async def wait_for_end(log: Log, leaving: str, say: Say) -> None:
    """Wait until the server of a voter that leaves has stopped: a removed one that runs returns."""
    said = False
    while any(each.server == leaving for each in await holdings(log.servers) or ()):
        if not said:
            say(f"stop {leaving} now: systemctl disable --now ringrift-nats on its machine")
            said = True
        await asyncio.sleep(POLL_SECONDS)


async def _members_now(log: Log) -> dict[str, bool]:
    try:
        return await members(log.servers)
    except Unreachable:
        return {}


async def remove(log: Log, leaving: str) -> None:
    """Remove a stopped voter from the cluster, unless it was removed before. Raises CommandError,
    Unreachable."""
    if leaving not in await members(log.servers):
        return
    login = login_beside(SYSTEM)
    if login is None:
        raise CommandError("the folder has no credentials/system.creds, which removes voters")
    client = await connected(log.servers, login)
    try:
        request = msgspec.json.encode({"peer": "", "peer_id": peer_id(leaving)})
        answer = await client.request(_REMOVE, request, timeout=REMOVE_SECONDS_MAX)
        if error := msgspec.json.decode(answer.data).get("error"):
            raise CommandError(f"{leaving} is not removed: {error.get('description')}")
    finally:
        await client.close()


async def wait_for_copies(log: Log, leaving: str, say: Say) -> None:
    """Wait until every stream has all its copies, none of them on the voter that left."""
    said = set[str]()
    while True:
        try:
            late = [
                stream
                for stream, info in (await _streams(log)).items()
                if leaving in _copies(info) or len(_current(info)) < info["config"]["num_replicas"]
            ]
        except StreamError:  # between two leaders
            late = ["no answer"]
        if not late:
            return
        text = f"copying: {', '.join(late)}"
        if text not in said:
            say(text)
            said.add(text)
        await asyncio.sleep(POLL_SECONDS)


async def _streams(log: Log) -> dict[str, dict[str, Any]]:
    names = (await log.call("STREAM.NAMES"))["streams"] or ()
    return {str(name): await log.call(f"STREAM.INFO.{name}") for name in names}


def _copies(info: dict[str, Any]) -> set[str]:
    cluster = info.get("cluster") or {}
    return {str(peer["name"]) for peer in cluster.get("replicas") or ()} | (
        {str(cluster["leader"])} if cluster.get("leader") else set()
    )


def _current(info: dict[str, Any]) -> set[str]:
    """Servers whose copy has everything."""
    cluster = info.get("cluster") or {}
    away = {
        str(peer["name"])
        for peer in cluster.get("replicas") or ()
        if peer.get("offline") or not peer.get("current")
    }
    return _copies(info) - away if cluster.get("leader") else set()
