"""Copying the streams of one server onto a new cluster, and changing the number of replicas.

A single server must not be restarted as a voter on its old storage: thirty seconds after the
cluster has found a leader, it deletes every stream that the cluster does not know ("Detected
orphaned stream", seen with 2.15.1). Instead, `copy` takes the server's own snapshot of each stream
and restores it on the new cluster. Sequences, times, headers and deduplicated ids are kept, so
cursors, causes and fencing tokens stay valid."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from ringrift.log import api
from ringrift.log.connect import Connection
from ringrift.log.entry import Entry, stamp_of
from ringrift.log.errors import LogUnavailable, ServerError, ServerRefused
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Log
from ringrift.log.retry import QUICK
from ringrift.log.topology import EVENTS, STREAMS, replicated

CHUNK_BYTES = 128 * 1024
CHUNK_SECONDS_MAX = 30.0
"""the server pauses while it packs a large stream"""
CURRENT_SECONDS_MAX = 600.0
CURRENT_POLL_SECONDS = 0.1
LEADER_SECONDS_MAX = 30.0

Report = Callable[[str], None]
Group = Mapping[str, Any]
"""The `cluster` part of a stream's information."""


class Snapshot(NamedTuple):
    """A stream at one moment: configuration, state, and content as the server packs it, in
    chunks."""

    config: Mapping[str, Any]
    state: Mapping[str, Any]
    chunks: AsyncGenerator[bytes, None]


Take = Callable[[], Awaitable[Snapshot]]
"""Takes the snapshot of a stream. Raises ServerError, ServerRefused, LogUnavailable."""
Source = Mapping[str, Take]
"""Streams to copy, in this order, by name."""


async def live(log: JetStreamLog) -> Source:
    """The streams of a running server or cluster. The facts come first: a copy taken while others
    write then contains everything that its facts name."""
    names = sorted(await _names(log), key=lambda name: (name != EVENTS, name))
    return {name: Stream(log, name) for name in names}


@dataclass(frozen=True)
class Stream:
    """A stream of a running server; called, it takes a snapshot that the server has checked."""

    log: JetStreamLog
    name: str

    async def __call__(self) -> Snapshot:
        return await _snapshot(self.log, self.name, check=True)

    async def begun(self) -> Snapshot:
        """A snapshot to read the beginning of: it is not checked, because that reads all, and the
        server sends little ahead."""
        return await _snapshot(self.log, self.name, check=False)

    async def info(self, *, deleted: bool = False) -> dict[str, Any]:
        """What the server says about it; with the sequences of deleted messages if asked for."""
        request = {"deleted_details": True} if deleted else None
        return await self.log.call(f"STREAM.INFO.{self.name}", request)

    async def get(self, seq: int) -> Entry | None:
        """The message with a sequence, if the stream itself has it."""
        return await self._get({"seq": seq})

    async def next_after(self, seq: int) -> int:
        """The sequence of the next message in the stream itself, or a very large one."""
        found = await self._get({"seq": seq + 1, "next_by_subj": ">"})
        return found.seq if found else sys.maxsize

    async def _get(self, wanted: Mapping[str, Any]) -> Entry | None:
        with _unavailable(self.name, "no answer from its leader"):
            return await api.get_message(self.log.ask, self.name, wanted)


async def _snapshot(log: JetStreamLog, stream: str, *, check: bool) -> Snapshot:
    chunks: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = log.client.new_inbox()
    subscription = await log.client.subscribe(inbox, cb=chunks.put)

    async def next_chunk() -> Msg:
        with _unavailable(stream, f"no part of its snapshot for {CHUNK_SECONDS_MAX:g} s"):
            async with asyncio.timeout(CHUNK_SECONDS_MAX):
                return await chunks.get()

    async def received() -> AsyncGenerator[bytes, None]:
        try:
            while (chunk := await next_chunk()).data:
                yield chunk.data
                if chunk.reply:  # flow control: the server waits for this
                    await log.client.publish(chunk.reply, b"")
        finally:
            await subscription.unsubscribe()

    how = {"jsck": True} if check else {"window_size": CHUNK_BYTES}
    request = {"deliver_subject": inbox, "chunk_size": CHUNK_BYTES, **how}
    try:
        found = await api.call(log.ask, f"STREAM.SNAPSHOT.{stream}", request, CHUNK_SECONDS_MAX)
    except BaseException:
        await subscription.unsubscribe()
        raise
    return Snapshot(found["config"], found["state"], received())


async def copy(
    source: Source, target: JetStreamLog, *, replicas: int, report: Report = lambda text: None
) -> None:
    """Copy every stream of `source` to `target`, then set the replicas. Streams that an earlier
    attempt has copied are kept; those whose content expires are created empty.

    Raises ServerError if `target` is a single server and `replicas` is not 1, has other streams of
    these names, or a copy differs; ServerRefused, LogUnavailable."""
    present = sorted(source.keys() & await _names(target))
    others = [name for name in present if not await _is_copied(source, target, name)]
    if others:
        problem = f"the cluster has streams already ({', '.join(others)})"
        raise ServerError(f"{problem}: nothing was copied; use a new cluster")
    if replicas > 1 and not target.client.clustered:
        raise ServerError(f"a single server holds no {replicas} replicas: give --replicas 1")
    for name, take in source.items():
        if name not in present:
            snapshot = await take()
            await _restore(target, name, snapshot)
            if difference := _difference(snapshot, await _state(target, name)):
                raise ServerError(f"{name}: {difference}")
        report(f"{name}: {(await _state(target, name))['messages']} messages")
    await set_replicas(target, replicas, report=report)
    if replicas > 1:
        for name in source:
            await _change_leader(target, name, replicas)


async def _is_copied(source: Source, target: JetStreamLog, stream: str) -> bool:
    """Whether the target's stream is the source's, from an earlier attempt."""
    snapshot = await source[stream]()
    async with contextlib.aclosing(snapshot.chunks):
        return not _difference(snapshot, await _state(target, stream))


def _difference(snapshot: Snapshot, copied: Mapping[str, Any]) -> str:
    """How the state of a copied stream differs; empty if it does not. What expires need not be
    there any more."""
    if _expires(snapshot.config):
        return ""
    fields = ("messages", "last_seq", "first_seq", "bytes", "last_ts")
    for field in fields if copied["messages"] else fields[:2]:
        here, there = copied[field], snapshot.state[field]
        # the source has the time of its newest message even when that was deleted
        earlier = field == "last_ts" and stamp_of(here) < stamp_of(there)
        if here != there and not earlier:
            return f"{field} is {here} on the cluster and {there} at the source"
    return ""


def _expires(config: Mapping[str, Any]) -> bool:
    """Whether a stream holds only what is renewed: leases, heartbeats and quarantines."""
    return bool(config.get("max_age") or config.get("allow_msg_ttl"))


async def _state(log: Log, stream: str) -> dict[str, Any]:
    state: dict[str, Any] = (await log.call(f"STREAM.INFO.{stream}"))["state"]
    return state


async def _restore(target: JetStreamLog, stream: str, snapshot: Snapshot) -> None:
    """Create the stream on another server. Raises ServerRefused, LogUnavailable."""
    if _expires(snapshot.config):
        await snapshot.chunks.aclose()
        # its sequences continue, so that nothing new is taken for something old
        config = {**snapshot.config, "first_seq": snapshot.state["last_seq"] + 1}
        await target.call(f"STREAM.CREATE.{stream}", config)
        return
    request = {"config": snapshot.config, "state": snapshot.state}
    accepted = await api.call(target.ask, f"STREAM.RESTORE.{stream}", request, CHUNK_SECONDS_MAX)

    async def send(chunk: bytes) -> None:
        subject = accepted["deliver_subject"]
        answer = await _once_heard(target.client, subject, chunk, CHUNK_SECONDS_MAX)
        if answer:
            api.raise_for_error(msgspec.json.decode(answer))

    with _unavailable(stream, f"no answer to its restore for {CHUNK_SECONDS_MAX:g} s"):
        async for chunk in snapshot.chunks:
            await send(chunk)
        await send(b"")


async def _once_heard(client: Connection, subject: str, body: bytes, seconds: float) -> bytes:
    """Return the answer to a request. Other servers of a cluster know of a new subscription a
    moment later, so a request without a receiver is sent again."""
    for pause in QUICK.pauses():
        try:
            return (await client.request(subject, body, timeout=seconds)).data
        except NoRespondersError:
            await asyncio.sleep(pause)
    raise LogUnavailable(f"nothing answers on {subject}")


async def _change_leader(log: Log, stream: str, replicas: int) -> None:
    """Make a follower the leader. The server that restored a stream knows the ids of its messages
    only after a restart (2.15.1); its followers, which received the messages, know them."""
    before = (await log.call(f"STREAM.INFO.{stream}"))["cluster"]["leader"]
    await log.call(f"STREAM.LEADER.STEPDOWN.{stream}", retry=False)
    problem = f"no other leader after {LEADER_SECONDS_MAX:g} s; restart the voter {before}"

    def changed(group: Group) -> bool:
        return group.get("leader") not in (before, None)

    await _until(changed, log, stream, LEADER_SECONDS_MAX, problem)
    await wait_until_current(log, stream, replicas)


async def set_replicas(log: Log, replicas: int, *, report: Report = lambda text: None) -> list[str]:
    """Give every declared stream `replicas` copies, wait until all are current, and return the
    streams that changed.

    Raises ServerRefused if the cluster has too few servers, LogUnavailable."""
    declared = {stream.name for stream in STREAMS}
    changed = []
    for name in await _names(log):
        config: dict[str, Any] = (await log.call(f"STREAM.INFO.{name}"))["config"]
        if name in declared and config["num_replicas"] != replicas:
            await log.call(f"STREAM.UPDATE.{name}", replicated(config, replicas))
            changed.append(name)
    for name in changed:
        await wait_until_current(log, name, replicas)
        report(f"{name}: {replicas} replicas, all current")
    return changed


async def wait_until_current(
    log: Log, stream: str, replicas: int, seconds: float = CURRENT_SECONDS_MAX
) -> None:
    """Wait until the stream has a leader and `replicas` - 1 followers that have everything. Raises
    LogUnavailable."""

    def current(group: Group) -> bool:
        followers = group.get("replicas") or []
        there = [peer for peer in followers if peer.get("current") and not peer.get("lag")]
        return bool(group.get("leader")) and len(there) == replicas - 1

    if replicas > 1:
        problem = f"its {replicas} replicas are not current after {seconds:g} s"
        await _until(current, log, stream, seconds, f"{problem}; the cluster continues to copy")


async def _until(
    condition: Callable[[Group], bool], log: Log, stream: str, seconds: float, problem: str
) -> None:
    """Ask for the replicas of a stream until the condition holds. Raises LogUnavailable with the
    text of the problem if that takes too long."""
    with _unavailable(stream, problem):
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(ServerRefused, LogUnavailable):  # between two leaders
                    info = await log.call(f"STREAM.INFO.{stream}", retry=False)
                    if condition(info.get("cluster") or {}):
                        return
                await asyncio.sleep(CURRENT_POLL_SECONDS)


@contextlib.contextmanager
def _unavailable(stream: str, problem: str) -> Iterator[None]:
    """Raise a timeout as LogUnavailable."""
    try:
        yield
    except TimeoutError as error:
        raise LogUnavailable(f"{stream}: {problem}") from error


async def _names(log: Log) -> list[str]:
    """Streams on the server; a dozen, which is one page of the answer."""
    return sorted((await log.call("STREAM.NAMES"))["streams"] or [])
