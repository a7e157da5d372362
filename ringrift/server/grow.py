"""Copying the streams of one server onto a new cluster, and changing the number of replicas.

A single server must not be restarted as a voter on its old storage: thirty seconds after the
cluster has found a leader, it deletes every stream that the cluster does not know ("Detected
orphaned stream", seen with 2.15.1). Instead, `copy` takes the server's own snapshot of each stream
and restores it on the new cluster. Sequences, times, headers and deduplicated ids are kept, so
cursors, causes and fencing tokens stay valid."""

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
"""the server pauses while it packs a large stream"""
CURRENT_SECONDS_MAX = 600.0
CURRENT_POLL_SECONDS = 0.1
LEADER_SECONDS_MAX = 30.0

Report = Callable[[str], None]


class Snapshot(NamedTuple):
    """A stream at one moment: configuration, state, and content as the server packs it, in
    chunks."""

    config: Mapping[str, Any]
    state: Mapping[str, Any]
    chunks: AsyncIterator[bytes]


class Source(Protocol):
    """Streams to copy."""

    async def names(self) -> Sequence[str]:
        """Return the names of all streams."""

    async def snapshot(self, stream: str) -> Snapshot:
        """Return a snapshot of a stream. Raises ServerError, ServerRefused, LogUnavailable."""


class Live:
    """The streams of a running server or cluster."""

    def __init__(self, log: JetStreamLog) -> None:
        self._log = log

    async def names(self) -> Sequence[str]:
        """See `Source.names`. The facts come first: a copy taken while others write then contains
        everything that its facts name."""
        return sorted(await _names(self._log), key=lambda name: (name != EVENTS, name))

    async def snapshot(self, stream: str) -> Snapshot:
        """See `Source.snapshot`."""
        client = self._log.client
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
            found = await _asked(client, f"STREAM.SNAPSHOT.{stream}", request)
        except BaseException:
            await subscription.unsubscribe()
            raise
        received = _received(client, stream, chunks, subscription)
        return Snapshot(found["config"], found["state"], received)


async def copy(
    source: Source, target: JetStreamLog, *, replicas: int, report: Report = lambda text: None
) -> None:
    """Copy every stream of `source` to `target`, which has none of them, then set the replicas.

    Raises ServerError if `target` has one of the streams or a copy differs, ServerRefused,
    LogUnavailable."""
    names = await source.names()
    present = sorted(set(names) & set(await _names(target)))
    if present:
        listed = ", ".join(present)
        raise ServerError(
            f"the cluster has streams already ({listed}): nothing was copied; use a new cluster"
        )
    for name in names:
        snapshot = await source.snapshot(name)
        await _restore(target.client, name, snapshot)
        copied = (await target.call(f"STREAM.INFO.{name}"))["state"]
        fields = ["messages", "last_seq"]
        if copied["messages"]:  # an empty stream has no first message
            fields.append("first_seq")
        for field in fields:
            if copied[field] != snapshot.state[field]:
                raise ServerError(
                    f"{name}: {field} is {copied[field]} on the cluster and "
                    f"{snapshot.state[field]} at the source"
                )
        report(f"{name}: {copied['messages']} messages")
    await set_replicas(target, replicas, report=report)
    if replicas > 1:
        for name in names:
            await _change_leader(target, name, replicas)


async def _change_leader(log: Log, stream: str, replicas: int) -> None:
    """Make a follower the leader. The server that restored a stream knows the ids of its messages
    only after a restart (2.15.1); its followers, which received the messages, know them."""
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
    """Give every declared stream `replicas` copies, wait until all are current, and return the
    streams that changed.

    Raises ServerRefused if the cluster has too few servers, LogUnavailable."""
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
    """Wait until the stream has a leader and `replicas` - 1 followers that have everything. Raises
    LogUnavailable."""
    deadline = time.monotonic() + timeout
    while True:
        cluster: dict[str, Any] = {}
        with contextlib.suppress(ServerRefused, LogUnavailable):  # between two leaders
            info = await log.call(f"STREAM.INFO.{stream}", retry=False)
            cluster = info.get("cluster") or {}
        followers = cluster.get("replicas") or []
        current = [peer for peer in followers if peer.get("current") and not peer.get("lag")]
        if replicas == 1 or (cluster.get("leader") and len(current) == replicas - 1):
            return
        if time.monotonic() > deadline:
            raise LogUnavailable(
                f"{stream}: its {replicas} replicas are not current after {timeout:g} s; "
                "the cluster continues to copy"
            )
        await asyncio.sleep(CURRENT_POLL_SECONDS)


async def _names(log: Log) -> list[str]:
    """Streams on the server; a dozen, which is one page of the answer."""
    return sorted((await log.call("STREAM.NAMES"))["streams"] or [])


async def _asked(client: Connection, subject: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request that may take long. Raises ServerRefused."""

    async def ask(subject: str, payload: bytes, timeout: float) -> bytes:
        return (await client.request(subject, payload, timeout=timeout)).data

    return await api.call(ask, subject, request, CHUNK_SECONDS_MAX)


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
            if chunk.reply:  # flow control: the server waits for this
                await client.publish(chunk.reply, b"")
    except TimeoutError as error:
        raise LogUnavailable(
            f"snapshot of {stream}: nothing received for {CHUNK_SECONDS_MAX:g} s"
        ) from error
    finally:
        await subscription.unsubscribe()


async def _restore(client: Connection, stream: str, snapshot: Snapshot) -> None:
    """Create the stream on another server. Raises ServerRefused, LogUnavailable."""
    request = {"config": snapshot.config, "state": snapshot.state}
    accepted = await _asked(client, f"STREAM.RESTORE.{stream}", request)
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
