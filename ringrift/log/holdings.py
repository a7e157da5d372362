"""What each server of a cluster holds of each stream, as the server itself says.

JetStream's API answers for the leader of a stream alone. Each server answers for itself to a user
of the account of the servers: also one whose copy is damaged, and one that stands by with the whole
log while others came back with empty disks."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client

from ringrift.events.facts import Share
from ringrift.log.errors import Unreachable
from ringrift.log.login import Login, inbox_prefix, login_beside, tls_context, wants_tls
from ringrift.log.topology import EVENTS, GAMES, STREAMS, WORK

QUIET_SECONDS = 0.5
"""after the last answer; servers of one cluster answer within milliseconds"""
ANSWER_SECONDS_MAX = 3.0
IDLE_SECONDS = 10.0
"""a copy that its leader has not heard of for this time takes no part; elections take 4 to 9 s"""
LOOKS, LOOK_SECONDS = 3, 1.0
SCRUBBER = "scrubber"
DISK_USED, CLUSTER = "disk_used", "cluster"
"""keys of a server's metadata"""
_ASKING = "$SYS.REQ.SERVER.PING.JSZ"
COMPARED = tuple(
    stream.name
    for stream in STREAMS
    if stream.name != WORK and not stream.max_age and not stream.allow_msg_ttl
)
"""streams whose copies hold the same at the same last sequence; others expire, each at its time"""

NEVER_DELETED = (EVENTS, GAMES)


class Copy(Struct, frozen=True):
    """A server's copy of a stream."""

    messages: int
    first: int
    last: int

    @property
    def lacking(self) -> int:
        """Sequences up to the last one that it does not hold, deleted ones included."""
        return self.last - self.messages


class Held(Struct, frozen=True):
    """What one server says."""

    server: str
    streams: Mapping[str, Copy]
    leader: str = ""
    """of the cluster, as far as this server knows"""
    led: Mapping[str, frozenset[str]] = {}
    """streams that this server leads, and the servers of other copies that do not answer it"""
    members: Mapping[str, bool] = {}
    """servers of the cluster, and whether each takes part, as far as this server knows"""
    disk: float | None = None
    """share of its disk that is in use, as `ringrift voter disk` noted it; None if it did not"""
    cluster: str = ""
    """identity of the cluster that its directory was made for"""


class Damage(Struct, frozen=True, order=True):
    """A copy that holds less than another one."""

    stream: str
    server: str
    messages: int
    whole: int
    """messages of the other copy"""
    last: int

    idle: bool = False
    """the server takes no part in the stream, as for a moment after its start; it may still hold
    what it had"""

    def __str__(self) -> str:
        if self.idle:
            return (
                f"voter {self.server} takes no part in {self.stream}: it starts, its disk is full, "
                "or files of its copy are damaged; once there is room, restart its server, after "
                "`ringrift voter check`"
            )
        lost = f"{self.whole - self.messages:,} of {self.whole:,} messages"
        return f"voter {self.server} has lost {lost} of {self.stream}, which ends with {self.last}"


async def holdings(servers: Sequence[str]) -> list[Held] | None:
    """What each server of the cluster holds, by name; None if there is no login of the scrubber
    beside this process's own. Raises Unreachable."""
    login = login_beside(SCRUBBER)
    if login is None:
        return None
    client = await connected(servers, login)
    try:
        return await _asked(client)
    finally:
        with contextlib.suppress(Exception):
            await client.close()


async def connected(servers: Sequence[str], login: Login) -> Client:
    """A connection of a user of the servers' account. Raises Unreachable."""

    async def quiet(error: Exception) -> None:
        pass

    client = Client()
    secured = any(map(wants_tls, servers))
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await client.connect(
                [server.rpartition("@")[2] for server in servers],
                **login.options(),
                tls=tls_context() if secured else None,
                inbox_prefix=inbox_prefix(login),
                allow_reconnect=False,
                connect_timeout=2,
                error_cb=quiet,
            )
    except (OSError, TimeoutError, nats.errors.Error) as error:
        text = str(error) or "no answer in time"
        raise Unreachable(f"the servers do not answer user {login.user!r}: {text}") from error
    return client


async def _asked(client: Client) -> list[Held]:
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    inbox = client.new_inbox()

    async def take(message: Any) -> None:
        await answers.put(message.data)

    await client.subscribe(inbox, cb=take)
    await client.publish(_ASKING, b'{"accounts":true,"streams":true}', reply=inbox)
    found: dict[str, Held] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS_MAX) as limit:
            while True:
                held = _held(msgspec.json.decode(await answers.get()))
                found[held.server] = held
                limit.reschedule(asyncio.get_running_loop().time() + QUIET_SECONDS)
    return [found[name] for name in sorted(found)]


def _held(answer: Mapping[str, Any]) -> Held:
    name, data = str(answer["server"]["name"]), answer.get("data") or {}
    streams, led = {}, {}
    for account in data.get("account_details") or ():
        for stream in account.get("stream_detail") or ():
            state = stream["state"]
            copy = Copy(state["messages"], state["first_seq"], state["last_seq"])
            streams[str(stream["name"])] = copy
            cluster = stream.get("cluster") or {}
            if cluster.get("leader") == name:
                led[str(stream["name"])] = frozenset(
                    str(peer["name"])
                    for peer in cluster.get("replicas") or ()
                    if not peer.get("current") and _silent(peer)
                )
    meta = data.get("meta_cluster") or {}
    members = {
        str(peer["name"]): bool(peer.get("current")) and not peer.get("offline")
        for peer in meta.get("replicas") or ()
    }
    leader = str(meta.get("leader") or "")
    metadata = answer["server"].get("metadata") or {}
    disk = None
    with contextlib.suppress(KeyError, msgspec.ValidationError):  # not noted, or by hand
        disk = msgspec.convert(metadata[DISK_USED], Share, strict=False)
    identity = str(metadata.get(CLUSTER) or "")
    return Held(name, streams, leader, led, members | {name: True}, disk, identity)


def _silent(peer: Mapping[str, Any]) -> bool:
    """Whether the leader has not heard of a copy for long, or never (0)."""
    return not 0 < int(peer.get("active", 0)) / 1e9 <= IDLE_SECONDS


def damages(held: Sequence[Held]) -> list[Damage]:
    """Copies that hold less than another copy of the same stream, and those of servers that run and
    take no part in it. Streams from which messages are deleted are compared where their copies end
    with the same sequence."""
    found = list(_idle(held))
    known = {(each.stream, each.server) for each in found}
    for stream in COMPARED:
        copies = {each.server: each.streams[stream] for each in held if stream in each.streams}
        for server, copy in copies.items():
            others = [
                other
                for other in copies.values()
                if stream in NEVER_DELETED or other.last == copy.last
            ]
            least = min(other.lacking for other in others)
            if copy.lacking > least and (stream, server) not in known:
                whole = copy.last - least
                found.append(Damage(stream, server, copy.messages, whole, copy.last))
    return sorted(found)


def _idle(held: Sequence[Held]) -> Iterator[Damage]:
    for leader in held:
        for stream, silent in leader.led.items():
            whole = leader.streams[stream]
            for each in held if whole.messages else ():
                if each.server in silent:
                    copy = each.streams.get(stream, Copy(0, 0, 0))
                    count = min(copy.messages, whole.messages)
                    yield Damage(stream, each.server, count, whole.messages, whole.last, idle=True)


async def confirmed(
    look: Callable[[], Awaitable[Sequence[Held]]], pause_seconds: float = LOOK_SECONDS
) -> list[Damage]:
    """Damages that are seen in each of `LOOKS` looks: one look may meet a message on its way."""
    found = damages(await look())
    for _ in range(LOOKS - 1):
        if not found:
            break
        await asyncio.sleep(pause_seconds)
        seen = {(each.stream, each.server) for each in found}
        found = [each for each in damages(await look()) if (each.stream, each.server) in seen]
    return found


def blank_servers(held: Sequence[Held]) -> list[str]:
    """The servers that hold nothing while another holds the log and none that does leads."""
    holders = [each.server for each in held if EVENTS in each.streams]
    led = any(each.leader in holders for each in held)
    return [each.server for each in held if holders and not led and not each.streams]


def blank(held: Sequence[Held]) -> str:
    """The blank servers in a line with the remedy; empty if there are none."""
    empty = blank_servers(held)
    if not empty:
        return ""
    holders = {each.server: each.streams[EVENTS] for each in held if EVENTS in each.streams}
    holder = max(holders, key=lambda name: holders[name].last)
    names = " and ".join(empty)
    return (
        f"{names} {'is' if len(empty) == 1 else 'are'} blank, {holder} holds {EVENTS} up to "
        f"{holders[holder].last:,}: stop {names}, stop {holder}, then `ringrift cluster rescue "
        f"--store` the directory of {holder}, and grow what it makes onto a new cluster; create "
        "nothing here"
    )
