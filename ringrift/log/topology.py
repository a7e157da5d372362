"""Streams, buckets and durable consumers, in the form of the JetStream API. `streams/` and
`consumers/` at the root of the repository are exported from here; `ringrift.server.ensure` creates
those that a server lacks. Durations are in nanoseconds, as in the API."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct, field

from ringrift.events import REGISTRY
from ringrift.events.facts import WorkKind
from ringrift.events.tickets import SPARE, URGENT, USUAL

GAMES, EVENTS, WORK, DEAD = "GAMES", "EVENTS", "WORK", "DEAD"
DEAD_PREFIX = "ringrift.dead"
"""of the subjects in `DEAD`; facts about dead letters are in `EVENTS` (`dead-letter`)"""
WORK_KINDS: tuple[WorkKind, ...] = get_args(WorkKind)
FLEET, FLEET_INBOX = "fleet", "_FLEET"
"""first word of the subjects at which processes answer as services, and of those of the answers"""
LEASE_BUCKET, NODE_BUCKET, CONTROL_BUCKET, BREAKER_BUCKET = "leases", "nodes", "control", "breakers"
MODEL_BUCKET, SHARD_BUCKET = "models", "shards"
MARK_BUCKET = "marks"
FOLD_BUCKET, CHECKPOINT_BUCKET = "folds", "checkpoints"
"""apart, because they have other authors: a trainer must not write what deciders believe"""

SECOND = 1_000_000_000
EVENT_IDS_SECONDS = 3600
"""deduplication window. The server holds ids in memory, about 150 bytes each, and receives about a
thousand events per hour"""
GAME_IDS_SECONDS = 1800
"""at 100 games/s these are 180,000 ids, 27 MB"""
TICKET_IDS_SECONDS = 24 * 3600
"""the id of a ticket is known after it was done and deleted, so a dispatcher that lags does not
publish it again"""
WORK_TICKETS_MAX = 1000
WORK_ACK_SECONDS = 30
"""a worker reports progress every third of this; without a report the ticket is redelivered"""
WORK_PENDING_MAX = WORK_TICKETS_MAX
"""tickets of one consumer in progress at once"""
WORK_WAITING_MAX = 20_000
"""requests of idle workers that a consumer keeps: those of a thousand nodes with a dozen slots
each, and some that were left behind"""
CONSUMERS_MAX = 100_000
"""of one stream. Every reader and follower is one: a fleet of 40 nodes with a dozen processes has a
thousand, and those of killed processes stay for a minute. The default of nats-server 2.15, 1000,
would refuse readers"""
DEAD_MESSAGES_MAX = 100_000
DEAD_BYTES_MAX = 256 * 1024 * 1024
LEASE_SECONDS = 15
"""an election in a cluster takes up to 9 s; a shorter lease would be lost with every server"""
MARKER_SECONDS = 1
"""lifetime of the marker that tells watchers that a key expired; the server's minimum"""
NODE_SECONDS = 60
BREAKER_SECONDS = 6 * 3600
CONTROL_HISTORY = 10
PEER_LAG_MAX, PEER_SILENT_SECONDS_MAX = 1000, 10
"""operations that a copy may be behind, and seconds for which it may be silent; more is an alarm of
`nats server check` and of `ringrift doctor`"""
REDELIVERED_MAX = 50
"""tickets of one consumer that workers took and did not finish; as many or more are an alarm"""
_MONITOR = "io.nats.monitor"
PEERS_EXPECTED = f"{_MONITOR}.peer-expect"
_CHECKED = {f"{_MONITOR}.enabled": "true"}
_STREAM_CHECKS = {
    **_CHECKED,
    f"{_MONITOR}.peer-lag-critical": str(PEER_LAG_MAX),
    f"{_MONITOR}.peer-seen-critical": f"{PEER_SILENT_SECONDS_MAX}s",
}
_CONSUMER_CHECKS = {
    **_CHECKED,
    f"{_MONITOR}.outstanding-ack-critical": str(WORK_PENDING_MAX),
    f"{_MONITOR}.waiting-critical": str(WORK_WAITING_MAX),
    f"{_MONITOR}.unprocessed-critical": str(WORK_TICKETS_MAX),
    f"{_MONITOR}.redelivery-critical": str(REDELIVERED_MAX),
}
"""metadata by which `nats server check` and `nats audit` judge; not by the time since the last
acknowledgement, because an idle queue is no alarm"""


class StreamConfig(Struct, frozen=True, kw_only=True):
    """StreamConfig of the JetStream API."""

    name: str
    description: str
    subjects: tuple[str, ...]
    retention: Literal["limits", "workqueue"] = "limits"
    storage: Literal["file"] = "file"
    num_replicas: int = 1
    discard: Literal["new", "old"] = "new"
    compression: Literal["none", "s2"] = "none"
    """none, although games take 1.4 times the space: with s2, a follower that truncates its log, as
    after kill -9 of the leader, writes later messages where they cannot be read (nats-server
    2.15.1; `tests/faults/test_replicas.py`)"""
    max_age: int = 0
    max_bytes: int = -1
    max_msgs: int = -1
    max_msgs_per_subject: int = -1
    max_msg_size: int = -1
    max_consumers: int = CONSUMERS_MAX
    duplicate_window: int = 120 * SECOND
    allow_direct: bool = True
    allow_atomic: bool = False
    allow_msg_ttl: bool = False
    deny_delete: bool = False
    allow_rollup_hdrs: bool = False
    subject_delete_marker_ttl: int = 0
    metadata: dict[str, str] = field(default_factory=_STREAM_CHECKS.copy)

    def with_replicas(self, replicas: int) -> dict[str, Any]:
        """Return the configuration as plain values, with this number of copies."""
        return replicated(msgspec.to_builtins(self), replicas)


def replicated(config: Mapping[str, Any], replicas: int) -> dict[str, Any]:
    """Return a stream's configuration with another number of copies, which its checks then
    expect."""
    metadata = {**config.get("metadata", {}), PEERS_EXPECTED: str(replicas)}
    if replicas == 1:  # a check would call the stream not clustered
        del metadata[PEERS_EXPECTED]
    return {**config, "num_replicas": replicas, "metadata": metadata}


class ConsumerConfig(Struct, frozen=True, kw_only=True):
    """ConsumerConfig of the JetStream API, for a durable pull consumer."""

    durable_name: str
    name: str
    description: str
    filter_subjects: tuple[str, ...]
    ack_policy: Literal["explicit"] = "explicit"
    deliver_policy: Literal["all"] = "all"
    ack_wait: int = WORK_ACK_SECONDS * SECOND
    max_deliver: int = -1
    max_ack_pending: int = WORK_PENDING_MAX
    max_waiting: int = WORK_WAITING_MAX
    metadata: dict[str, str] = field(default_factory=_CONSUMER_CHECKS.copy)


def _contexts_of(stream: str) -> tuple[str, ...]:
    contexts = sorted({kind.context for kind in REGISTRY.values() if kind.stream == stream})
    return tuple(f"ringrift.{context}.>" for context in contexts)


def _bucket(
    name: str, description: str, *, seconds: int = 0, history: int = 1, marker: int = 0
) -> StreamConfig:
    """The stream behind a key-value bucket, as NATS clients create it."""
    return StreamConfig(
        name=f"KV_{name}",
        description=description,
        subjects=(f"$KV.{name}.>",),
        max_msgs_per_subject=history,
        max_age=seconds * SECOND,
        duplicate_window=min(seconds or 120, 120) * SECOND,
        deny_delete=True,
        allow_msg_ttl=marker > 0,
        subject_delete_marker_ttl=marker * SECOND,
        allow_rollup_hdrs=marker > 0,  # the server insists: a marker deletes what it ends
    )


def _objects(name: str, description: str) -> StreamConfig:
    """The stream behind an object bucket, as NATS clients create it."""
    return StreamConfig(
        name=f"OBJ_{name}", description=description, subjects=(f"$O.{name}.C.>", f"$O.{name}.M.>")
    )


STREAMS: tuple[StreamConfig, ...] = (
    StreamConfig(
        name=GAMES,
        description="Every finished game, complete: the data set.",
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
        deny_delete=True,
    ),
    StreamConfig(
        name=WORK,
        description="Tickets. A full queue refuses more: the backpressure.",
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
    _bucket(LEASE_BUCKET, "Holders of leases; a key expires after 15 s.", marker=MARKER_SECONDS),
    _bucket(NODE_BUCKET, "Heartbeats of the nodes.", seconds=NODE_SECONDS),
    _bucket(CONTROL_BUCKET, "Update requests to nodes.", history=CONTROL_HISTORY),
    _bucket(
        BREAKER_BUCKET,
        "Quarantined nodes and targets, until the keys expire.",
        seconds=BREAKER_SECONDS,
    ),
    _bucket(MARK_BUCKET, "How far the log once went, and was verified."),
    _objects(MODEL_BUCKET, "Networks by SHA-256."),
    _objects(SHARD_BUCKET, "Training samples by SHA-256."),
    _objects(FOLD_BUCKET, "Snapshots of folds, by name."),
    _objects(CHECKPOINT_BUCKET, "Checkpoints of trainings, by ticket."),
)


def consumer_of(kind: str, priority: int) -> str:
    """Name of the durable consumer for tickets of a kind and priority."""
    return f"{kind}{_SUFFIX[priority]}"


_SUFFIX = {USUAL: "", URGENT: "-urgent", SPARE: "-spare"}
"""in this order: older builds had one consumer per kind, whose filter must be narrowed before the
others can be created"""
CONSUMERS: tuple[ConsumerConfig, ...] = tuple(
    ConsumerConfig(
        durable_name=consumer_of(kind, priority),
        name=consumer_of(kind, priority),
        filter_subjects=(f"ringrift.work.{kind}.{priority}.*",),
        description=f"Workers of kind {kind}: tickets of priority {priority}, one per slot.",
    )
    for kind in WORK_KINDS
    for priority in _SUFFIX
)
"""Durable consumers, all of `WORK`. Deciders and projections know their own position and read with
short-lived consumers."""
