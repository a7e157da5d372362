"""Streams, buckets and durable consumers, as the server's API takes them. The JSON files at the
root are written from here.

Durations are nanoseconds, as in the API. `contract.py` writes the files, `ensure` creates what is
missing on a server."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ringrift.events import REGISTRY
from ringrift.events.tickets import SPARE, URGENT, USUAL

GAMES, EVENTS, WORK, DEAD = "GAMES", "EVENTS", "WORK", "DEAD"
STREAM_NAMES = (GAMES, EVENTS, WORK, DEAD)
WORK_KINDS = ("selfplay", "training", "evaluation")
LEASE_BUCKET, NODE_BUCKET, CONTROL_BUCKET, BREAKER_BUCKET = "leases", "nodes", "control", "breakers"
DEAD_PREFIX = "ringrift.dead"
"""subjects of `DEAD`; the facts about dead letters have the context `dead-letter` in `EVENTS`"""
MODEL_BUCKET, SHARD_BUCKET, SNAPSHOT_BUCKET = "models", "shards", "snapshots"

SECOND = 1_000_000_000
EVENT_IDS_SECONDS = 3600
"""how long the server knows an id again; ids are held in memory, some 150 bytes each: a thousand
events an hour"""
GAME_IDS_SECONDS = 1800
"""at 100 games/s these are 180,000 ids, 27 MB"""
TICKET_IDS_SECONDS = 24 * 3600
"""a ticket stays known after it was done and deleted, so that a dispatcher that runs late publishes
none again"""
WORK_TICKETS_MAX = 1000
WORK_ACK_SECONDS = 30
"""a worker reports progress every third of this; a dead worker's ticket goes to another after it"""
WORK_PENDING_MAX = 512
"""tickets in the hands of workers at once: 40 nodes with a dozen slots each"""
CONSUMERS_MAX = 100_000
"""of one stream; every reader and follower is one, a fleet of 40 nodes with a dozen processes has a
thousand, and those of processes that were killed stay for a minute. What is not set is 1000
(nats-server 2.15): beyond it nobody can read"""
DEAD_MESSAGES_MAX = 100_000
DEAD_BYTES_MAX = 256 * 1024 * 1024
LEASE_SECONDS = 15
"""a cluster's election takes up to 9 s, a shorter lease would be lost with every broker"""
MARKER_SECONDS = 1
"""an expired key leaves a marker for this long, which tells the watchers; the server's minimum"""
NODE_SECONDS = 60
BREAKER_SECONDS = 6 * 3600
CONTROL_HISTORY = 10


class StreamConfig(Struct, frozen=True, kw_only=True):
    """A stream in the server's own words (StreamConfig of the JetStream API)."""

    name: str
    description: str
    subjects: tuple[str, ...]
    retention: Literal["limits", "workqueue"] = "limits"
    storage: Literal["file"] = "file"
    num_replicas: int = 1
    discard: Literal["new", "old"] = "new"
    compression: Literal["none", "s2"] = "none"
    """none, though games take 1.4 times the room: with s2 a follower that takes messages back, as
    after kill -9 of the leader, writes what follows where nobody can read it (nats-server 2.15.1;
    `tests/faults/test_replicas.py`)"""
    max_age: int = 0
    max_bytes: int = -1
    max_msgs: int = -1
    max_msgs_per_subject: int = -1
    max_consumers: int = CONSUMERS_MAX
    duplicate_window: int = 120 * SECOND
    allow_direct: bool = True
    allow_atomic: bool = False
    allow_msg_ttl: bool = False
    allow_rollup_hdrs: bool = False
    deny_delete: bool = False
    subject_delete_marker_ttl: int = 0


class ConsumerConfig(Struct, frozen=True, kw_only=True):
    """A durable pull consumer in the server's own words (ConsumerConfig of the JetStream API)."""

    durable_name: str
    name: str
    description: str
    filter_subjects: tuple[str, ...]
    ack_policy: Literal["explicit"] = "explicit"
    deliver_policy: Literal["all"] = "all"
    ack_wait: int = WORK_ACK_SECONDS * SECOND
    max_deliver: int = -1
    max_ack_pending: int = WORK_PENDING_MAX
    max_waiting: int = WORK_PENDING_MAX


def _contexts_of(stream: str) -> tuple[str, ...]:
    contexts = sorted({kind.context for kind in REGISTRY.values() if kind.stream == stream})
    return tuple(f"ringrift.{context}.>" for context in contexts)


def _bucket(
    name: str, description: str, *, seconds: int = 0, history: int = 1, marker_seconds: int = 0
) -> StreamConfig:
    """A key-value bucket: the stream that NATS clients make of one."""
    return StreamConfig(
        name=f"KV_{name}",
        description=description,
        subjects=(f"$KV.{name}.>",),
        max_msgs_per_subject=history,
        max_age=seconds * SECOND,
        duplicate_window=min(seconds or 120, 120) * SECOND,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_msg_ttl=marker_seconds > 0,
        subject_delete_marker_ttl=marker_seconds * SECOND,
    )


def _objects(name: str, description: str) -> StreamConfig:
    """An object bucket: the stream that NATS clients make of one."""
    return StreamConfig(
        name=f"OBJ_{name}",
        description=description,
        subjects=(f"$O.{name}.C.>", f"$O.{name}.M.>"),
        allow_rollup_hdrs=True,
    )


STREAMS: tuple[StreamConfig, ...] = (
    StreamConfig(
        name=GAMES,
        description="Every finished game, whole: the data set itself.",
        subjects=_contexts_of(GAMES),
        duplicate_window=GAME_IDS_SECONDS * SECOND,
        allow_atomic=True,
        deny_delete=True,
    ),
    StreamConfig(
        name=EVENTS,
        description="Every other fact in one total order: the clock of the system.",
        subjects=_contexts_of(EVENTS),
        duplicate_window=EVENT_IDS_SECONDS * SECOND,
        allow_atomic=True,
        allow_msg_ttl=True,
        deny_delete=True,
    ),
    StreamConfig(
        name=WORK,
        description="Tickets. Full is full: that is the backpressure.",
        subjects=("ringrift.work.>",),
        retention="workqueue",
        max_msgs=WORK_TICKETS_MAX,
        duplicate_window=TICKET_IDS_SECONDS * SECOND,
    ),
    StreamConfig(
        name=DEAD,
        description="Messages that a consumer could not use, byte for byte.",
        subjects=(f"{DEAD_PREFIX}.>",),
        discard="old",
        max_msgs=DEAD_MESSAGES_MAX,
        max_bytes=DEAD_BYTES_MAX,
    ),
    _bucket(LEASE_BUCKET, "Who runs a singleton; a key lives 15 s.", marker_seconds=MARKER_SECONDS),
    _bucket(NODE_BUCKET, "Heartbeats of the nodes.", seconds=NODE_SECONDS),
    _bucket(CONTROL_BUCKET, "Update requests to nodes.", history=CONTROL_HISTORY),
    _bucket(
        BREAKER_BUCKET,
        "Quarantined nodes and targets; expiry is the decay.",
        seconds=BREAKER_SECONDS,
    ),
    _objects(MODEL_BUCKET, "Networks by SHA-256."),
    _objects(SHARD_BUCKET, "Training samples by SHA-256."),
    _objects(SNAPSHOT_BUCKET, "States of folds and checkpoints of training, by name."),
)


def consumer_of(kind: str, priority: int) -> str:
    """Name of the durable consumer for tickets of a kind and priority."""
    return f"{kind}{_SUFFIX[priority]}"


_SUFFIX = {USUAL: "", URGENT: "-urgent", SPARE: "-spare"}
"""in this order: older builds had one consumer a kind, which is narrowed before the others fit
beside it"""
CONSUMERS: tuple[ConsumerConfig, ...] = tuple(
    ConsumerConfig(
        durable_name=consumer_of(kind, priority),
        name=consumer_of(kind, priority),
        filter_subjects=(f"ringrift.work.{kind}.{priority}.*",),
        description=f"Workers of kind {kind}, tickets of priority {priority}, one ticket a slot.",
    )
    for kind in WORK_KINDS
    for priority in _SUFFIX
)
"""Durable consumers, all of `WORK`. Deciders and projections keep their own place and read with
short-lived consumers."""
