"""Creates the declared streams and consumers that are missing on a server, and reports differences.

What exists is not changed, with six exceptions. A stream of an older build gets the subjects of
new facts, or they could not be stored; room for all readers of a fleet; and no compression, because
compression can damage the copy of a follower. A consumer of a build without priorities is narrowed,
or the consumers of the other priorities could not be created; one with room for fewer idle workers
is created again, after which the tickets in hand are delivered once more. Streams and consumers get
the metadata by which `nats server check` judges."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.log import api
from ringrift.log.errors import ServerRefused, StreamMissing, VoterAway
from ringrift.log.holdings import blank, holdings
from ringrift.log.protocol import Log
from ringrift.log.retry import QUICK, Backoff
from ringrift.log.topology import (
    CONSUMERS,
    EVENTS,
    STREAMS,
    WORK,
    ConsumerConfig,
    StreamConfig,
    replicated,
)

CLUSTER_REPLICAS = 3
"""of a new cluster, also of one of five: `ringrift cluster grow --replicas 5` creates more"""
_CANARY = "CANARY"
"""a stream with a copy on every voter, which exists only while the voters are checked"""
_VOTERS_MAX = 5
"""copies of one stream; the server's own limit"""
_BLANK = (
    "the cluster has no streams, and nothing says that it is new, so none are created. If it is, "
    "`ringrift contract apply --new` creates them; if its voters lost their disks, restore a "
    "backup (`ringrift cluster restore`), or stop them and rescue the disk of one (`ringrift "
    "cluster rescue`)"
)
TAKES_PART = Backoff(first_seconds=0.1, longest_seconds=0.5, budget_seconds=15.0)
"""voters that have just started together take part within 4 s"""


class Drift(Struct, frozen=True):
    """A field of a stream or consumer that differs from its declaration, such as `WORK`,
    `max_msgs`, 1000, 500."""

    name: str
    field: str
    declared: Any
    actual: Any

    def __str__(self) -> str:
        return f"{self.name}: {self.field} is {self.actual!r}, declared {self.declared!r}"


async def ensure(
    log: Log,
    *,
    replicas: int | None = 1,
    new: bool | None = None,
    streams: Sequence[StreamConfig] = STREAMS,
    consumers: Sequence[ConsumerConfig] = CONSUMERS,
) -> list[Drift]:
    """Create missing streams and consumers; return the differences of existing ones.

    Without `replicas`, new streams get as many as `EVENTS` has, or as the servers allow, and
    another number is no difference. A cluster without `EVENTS` is new, or its voters lost their
    disks: nothing is created while one takes no part, because it may hold the log, nor unless
    `new` says that it is the first, by default whether `replicas` is given. A single server needs
    no such word.

    Raises VoterAway, ServerRefused, LogUnavailable."""
    if streams and await _config(log, f"STREAM.INFO.{EVENTS}") is None:
        await _check_voters(log, new=replicas is not None if new is None else new)
    drift: list[Drift] = []
    wanted = replicas or await replicas_there(log)
    for stream in streams:
        declared = stream.with_replicas(wanted)
        actual = await _config(log, f"STREAM.INFO.{stream.name}")
        if actual is None:
            actual = await create(log, stream.name, declared)
        elif (updated := _updated(stream, actual)) != actual:
            actual = (await log.call(f"STREAM.UPDATE.{stream.name}", updated))["config"]
        if replicas is None:
            declared = _with_any_replicas(stream)
        drift += differences(stream.name, declared, actual)
    for consumer in consumers:
        declared = msgspec.to_builtins(consumer)
        creating = f"CONSUMER.CREATE.{WORK}.{consumer.name}"
        request = {"stream_name": WORK, "config": declared, "action": "create"}
        actual = await _config(log, f"CONSUMER.INFO.{WORK}.{consumer.name}")
        if actual is None:
            actual = await _created(log, creating, request)
        elif actual.get("filter_subject") == f"ringrift.work.{consumer.name}.>":
            del actual["filter_subject"]
            narrowed = actual | {"filter_subjects": declared["filter_subjects"]}
            update = request | {"config": narrowed, "action": "update"}
            actual = await _created(log, creating, update)
        elif actual.get("max_waiting", 0) < consumer.max_waiting:  # no update changes that
            await log.call(f"CONSUMER.DELETE.{WORK}.{consumer.name}")
            actual = await _created(log, creating, request)
        elif (updated := _labelled(actual, declared["metadata"])) != actual:
            update = request | {"config": updated, "action": "update"}
            actual = await _created(log, creating, update)
        drift += differences(f"{WORK}.{consumer.name}", declared, actual)
    return drift


async def _check_voters(log: Log, *, new: bool) -> None:
    """Raise VoterAway unless all voters of a cluster take part in its decisions, none holds a log,
    and the cluster is `new`."""
    if text := blank(await holdings(log.servers) or ()):
        raise VoterAway(text)
    canary = {"name": _CANARY, "subjects": ["ringrift.canary"], "max_msgs": 1}
    creating = f"STREAM.CREATE.{_CANARY}"
    try:
        try:
            await log.call(creating, canary | {"num_replicas": _VOTERS_MAX})
        except ServerRefused as error:
            if error.code == api.NOT_CLUSTERED:
                return
            if error.code != api.NO_PEERS:
                raise
            if len(log.servers) > CLUSTER_REPLICAS:
                raise _away(f"one of {len(log.servers)}") from error
            try:
                await _created(log, creating, canary | {"num_replicas": CLUSTER_REPLICAS})
            except ServerRefused as again:
                raise _away("one of three") from again
        for pause in TAKES_PART.pauses():
            cluster = (await log.call(f"STREAM.INFO.{_CANARY}")).get("cluster", {})
            copies = cluster.get("replicas", [])
            away = [copy["name"] for copy in copies if not copy.get("current")]
            if cluster.get("leader") and copies and not away:
                if not new:
                    raise VoterAway(_BLANK)
                return
            await asyncio.sleep(pause)
        raise _away(", ".join(away))
    finally:
        with contextlib.suppress(ServerRefused, StreamMissing):  # it was not created
            await log.call(f"STREAM.DELETE.{_CANARY}")


def _away(voter: str) -> VoterAway:
    return VoterAway(
        f"the cluster has no streams, and voter {voter} takes no part: it may hold the log, so "
        "nothing is created. If the cluster is new, start all voters; if others came back with "
        "empty disks, restore a backup (`ringrift cluster restore`) or rescue what that voter "
        "holds (`ringrift cluster rescue`)"
    )


def _updated(stream: StreamConfig, actual: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a stream with missing subjects, room for readers, and no compression
    unless it is declared."""
    updated = dict(actual)
    if missing := set(stream.subjects) - set(actual["subjects"]):
        updated["subjects"] = sorted({*actual["subjects"], *missing})
    updated["max_consumers"] = max(actual.get("max_consumers", -1), stream.max_consumers)
    if stream.compression == "none" != actual.get("compression", "none"):
        updated["compression"] = "none"
    return replicated(_labelled(updated, stream.metadata), actual["num_replicas"])


def _labelled(config: Mapping[str, Any], metadata: Mapping[str, str]) -> dict[str, Any]:
    """A configuration with metadata besides that of the server and of others."""
    return {**config, "metadata": {**config.get("metadata", {}), **metadata}}


def _with_any_replicas(stream: StreamConfig) -> dict[str, Any]:
    """The declaration of a stream without the number of its copies."""
    declared: dict[str, Any] = msgspec.to_builtins(stream)
    del declared["num_replicas"]
    return declared


async def replicas_there(log: Log) -> int:
    """Number of replicas of a cluster's streams: that of `EVENTS`, which is created if it is
    missing, with three replicas in a cluster and one otherwise."""
    there = await _config(log, f"STREAM.INFO.{EVENTS}")
    if there is not None:
        return int(there["num_replicas"])
    events = next(stream for stream in STREAMS if stream.name == EVENTS)
    try:
        await create(log, EVENTS, events.with_replicas(CLUSTER_REPLICAS))
    except ServerRefused as error:
        if error.code == api.NOT_CLUSTERED:
            return 1
        raise
    return CLUSTER_REPLICAS


async def create(log: Log, stream: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Create a stream; return its configuration on the server. Raises ServerRefused,
    LogUnavailable."""
    return await _created(log, f"STREAM.CREATE.{stream}", config)


async def _config(log: Log, subject: str) -> dict[str, Any] | None:
    try:
        config: dict[str, Any] = (await log.call(subject))["config"]
    except ServerRefused as error:
        if error.code not in (api.NO_STREAM, api.NO_CONSUMER):
            raise
        return None
    return config


async def _created(log: Log, subject: str, request: Mapping[str, Any]) -> dict[str, Any]:
    for pause in QUICK.pauses():
        try:
            config: dict[str, Any] = (await log.call(subject, request))["config"]
        except ServerRefused as error:
            if error.code != api.NO_PEERS:
                raise
            refused = error
        else:
            return config
        # the leader of a cluster that has just started does not know all servers yet
        await asyncio.sleep(pause)
    raise refused


def differences(name: str, declared: Mapping[str, Any], actual: Mapping[str, Any]) -> list[Drift]:
    """Declared fields whose actual value differs; the server omits 0, false and empty values."""
    found = []
    for field, value in declared.items():
        here = actual.get(field, type(value)())
        if field == "filter_subjects" and not here:  # the server has a field for a single filter
            here = [actual["filter_subject"]] if actual.get("filter_subject") else []
        if field == "metadata":  # the server has some of its own
            here = {key: here[key] for key in value if key in here}
        if (list(value) if isinstance(value, tuple) else value) != here:
            found.append(Drift(name, field, value, here))
    return found
