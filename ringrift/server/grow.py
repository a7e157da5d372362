"""From one server to three, and more replicas of what a cluster has: nothing is lost, no sequence
changes.

A server that stood alone must not be restarted as a voter on its old storage: thirty seconds after
the cluster has found a leader it deletes every stream that the cluster does not know ("Detected
orphaned stream", seen with 2.15.1). Instead `copy` takes each stream off the old server as the
server's own snapshot and restores it on the new cluster: sequences, times, headers and the ids it
knows again come along, so cursors, causes and fencing tokens stay true."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ringrift.log import api
from ringrift.log.connect import Connection
from ringrift.log.errors import LogUnavailable, ServerError, ServerRefused
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS, STREAMS

CHUNK_BYTES = 128 * 1024
CHUNK_SECONDS_MAX = 30.0
"""the server makes its own pauses while it packs a large stream"""
CURRENT_SECONDS_MAX = 600.0
CURRENT_POLL_SECONDS = 0.1
LEADER_SECONDS_MAX = 30.0

Report = Callable[[str], None]


class Snapshot(NamedTuple):
    """A stream at one moment: its configuration, its state, and everything stored as the server
    packs it, in chunks."""

    config: Mapping[str, Any]
    state: Mapping[str, Any]
    chunks: AsyncIterator[bytes]


class Source(Protocol):
    """Where streams are copied from."""

    async def names(self) -> Sequence[str]:
        """Of all streams."""

    async def snapshot(self, stream: str) -> Snapshot:
        """Of one of them. Raises ServerError, ServerRefused, LogUnavailable."""


class Live:
    """The streams of a running server or cluster."""

    def __init__(self, log: JetStreamLog) -> None:
        self._log = log

    async def names(self) -> Sequence[str]:
        """Of all streams, facts before what they tell of: a copy that is made while others write
        then lacks nothing it names."""
        return sorted(await _names(self._log), key=lambda name: (name != EVENTS, name))

    async def snapshot(self, stream: str) -> Snapshot:
        """See `Source.snapshot`."""
        return await _snapshot(self._log.client, stream)


async def copy(
    source: Source, target: JetStreamLog, *, replicas: int, report: Report = lambda text: None
) -> None:
    """Brings every stream of `source` to `target`, which has none of them, then to `replicas`.

    Raises ServerError if `target` has one already or a copy is not what it should be,
    ServerRefused, LogUnavailable."""
    names = await source.names()
    present = sorted(set(names) & set(await _names(target)))
    if present:
        raise ServerError(
            f"the cluster has streams already ({', '.join(present)}): nothing was copied; it must be a new one"
        )
    for name in names:
        snapshot = await source.snapshot(name)
        await _restore(target.client, name, snapshot)
        copied = (await target.call(f"STREAM.INFO.{name}"))["state"]
        for field in ("messages", "last_seq", "first_seq")[
            : 3 if copied["messages"] else 2
        ]:  # an empty one has no first
            if copied[field] != snapshot.state[field]:
                raise ServerError(
                    f"{name}: {field} is {copied[field]} on the cluster, {snapshot.state[field]} where it came from"
                )
        report(f"{name}: {copied['messages']} messages")
    await set_replicas(target, replicas, report=report)
    if replicas > 1:
        for name in names:
            await _change_leader(target, name, replicas)


async def _change_leader(log: Log, stream: str, replicas: int) -> None:
    """Lets a follower lead. The server that restored a stream knows its messages' ids again only
    after a restart (2.15.1); its followers, who were sent the messages, know them."""
    before = (await log.call(f"STREAM.INFO.{stream}"))["cluster"]["leader"]
    await log.call(f"STREAM.LEADER.STEPDOWN.{stream}", retry=False)
    deadline = time.monotonic() + LEADER_SECONDS_MAX
    while time.monotonic() < deadline:
        await wait_until_current(log, stream, replicas)
        with contextlib.suppress(ServerRefused, LogUnavailable):  # between two leaders
            info = await log.call(f"STREAM.INFO.{stream}", retry=False)
            if info["cluster"].get("leader") not in (before, None):
                return
        await asyncio.sleep(CURRENT_POLL_SECONDS)
    raise LogUnavailable(
        f"{stream}: no other leader after {LEADER_SECONDS_MAX:g} s; restart the voter {before}"
    )


async def set_replicas(log: Log, replicas: int, *, report: Report = lambda text: None) -> list[str]:
    """Gives every stream of ours `replicas` copies and returns when all are current; the streams
    that changed.

    Raises ServerRefused if the cluster has too few servers, LogUnavailable if the copies are not
    there in time."""
    declared = {stream.name for stream in STREAMS}
    changed = []
    for name in await _names(log):
        config: dict[str, Any] = (await log.call(f"STREAM.INFO.{name}"))["config"]
        if name in declared and config["num_replicas"] != replicas:
            await log.call(f"STREAM.UPDATE.{name}", config | {"num_replicas": replicas})
            changed.append(name)
    for name in changed:
        await wait_until_current(log, name, replicas)
        report(f"{name}: {replicas} replicas, all current")
    return changed


async def wait_until_current(
    log: Log, stream: str, replicas: int, timeout: float = CURRENT_SECONDS_MAX
) -> None:
    """Returns when the stream has a leader and `replicas` - 1 followers that have everything.
    Raises LogUnavailable."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            info = await log.call(f"STREAM.INFO.{stream}", retry=False)
            cluster = info.get("cluster") or {}
        except (ServerRefused, LogUnavailable):  # between two leaders
            cluster = {}
        followers = cluster.get("replicas") or []
        if replicas == 1 or (
            cluster.get("leader")
            and sum(peer.get("current", False) and not peer.get("lag") for peer in followers)
            == replicas - 1
        ):
            return
        if time.monotonic() > deadline:
            raise LogUnavailable(
                f"{stream}: its {replicas} replicas are not current after {timeout:g} s; it goes on by itself"
            )
        await asyncio.sleep(CURRENT_POLL_SECONDS)


async def _names(log: Log) -> list[str]:
    """Streams on the server; ours are a dozen, one page."""
    return sorted((await log.call("STREAM.NAMES"))["streams"] or [])


async def _snapshot(client: Connection, stream: str) -> Snapshot:
    """A stream as it is now. Raises ServerRefused, LogUnavailable."""
    chunks: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, cb=chunks.put)
    request = {
        "deliver_subject": inbox,
        "chunk_size": CHUNK_BYTES,
        "no_consumers": False,
        "jsck": True,
    }
    try:
        answer = await client.request(
            f"$JS.API.STREAM.SNAPSHOT.{stream}",
            msgspec.json.encode(request),
            timeout=CHUNK_SECONDS_MAX,
        )
        found = msgspec.json.decode(answer.data)
        api.raise_for_error(found)
    except BaseException:
        await subscription.unsubscribe()
        raise
    return Snapshot(
        found["config"], found["state"], _received(client, stream, chunks, subscription)
    )


async def _received(
    client: Connection, stream: str, chunks: asyncio.Queue[Msg], subscription: Subscription
) -> AsyncIterator[bytes]:
    try:
        while True:
            async with asyncio.timeout(CHUNK_SECONDS_MAX):
                chunk = await chunks.get()
            if not chunk.data:
                return
            yield chunk.data
            if chunk.reply:  # the server sends on when what it sent has been taken
                await client.publish(chunk.reply, b"")
    except TimeoutError as error:
        raise LogUnavailable(
            f"snapshot of {stream}: nothing came for {CHUNK_SECONDS_MAX:g} s"
        ) from error
    finally:
        await subscription.unsubscribe()


async def _restore(client: Connection, stream: str, snapshot: Snapshot) -> None:
    """Makes the stream on another server. Raises ServerRefused, LogUnavailable."""
    request = {"config": snapshot.config, "state": snapshot.state}
    answer = await client.request(
        f"$JS.API.STREAM.RESTORE.{stream}", msgspec.json.encode(request), timeout=CHUNK_SECONDS_MAX
    )
    accepted = msgspec.json.decode(answer.data)
    api.raise_for_error(accepted)
    async for chunk in snapshot.chunks:
        await _send(client, accepted["deliver_subject"], chunk, stream)
    await _send(client, accepted["deliver_subject"], b"", stream)


async def _send(client: Connection, subject: str, chunk: bytes, stream: str) -> None:
    try:
        answer = await client.request(subject, chunk, timeout=CHUNK_SECONDS_MAX)
    except TimeoutError as error:
        raise LogUnavailable(
            f"restore of {stream}: no answer for {CHUNK_SECONDS_MAX:g} s"
        ) from error
    if answer.data:
        api.raise_for_error(msgspec.json.decode(answer.data))
