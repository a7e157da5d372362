"""Creates on a server what the topology declares and is missing; reports what differs and changes
nothing of it.

With four exceptions: a stream of an older build gets the subjects of the facts that are new, or
nobody could write them, gets room for all readers of a fleet, and is compressed no more, or a
follower could damage its copy; a consumer of one that took tickets of every priority is narrowed,
or those for the other priorities could not be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ringrift.log import api
from ringrift.log.errors import ServerRefused
from ringrift.log.retry import retried
from ringrift.log.topology import CONSUMERS, EVENTS, STREAMS, WORK, ConsumerConfig, StreamConfig

CLUSTER_REPLICAS = 3
"""of a new cluster, also of one of five: `ringrift cluster grow --replicas 5` makes more"""


class Drift(Struct, frozen=True):
    """A field of a stream or consumer that differs from its declaration, such as `WORK`, `max_msgs`, 1000,
    500."""

    name: str
    field: str
    declared: Any
    actual: Any

    def __str__(self) -> str:
        return f"{self.name}: {self.field} is {self.actual!r}, declared {self.declared!r}"


async def ensure(
    ask: api.Ask,
    *,
    replicas: int | None = 1,
    streams: Sequence[StreamConfig] = STREAMS,
    consumers: Sequence[ConsumerConfig] = CONSUMERS,
) -> list[Drift]:
    """Creates what is missing; the differences of what was there already. Raises ServerRefused,
    LogUnavailable.

    Without `replicas` what is new gets what EVENTS has, or as many as the servers allow, and their
    number is no difference."""
    drift: list[Drift] = []
    wanted = replicas or await replicas_there(ask)
    for stream in streams:
        declared = msgspec.to_builtins(stream) | {"num_replicas": wanted}
        actual = await _config(ask, f"STREAM.INFO.{stream.name}", api.NO_STREAM)
        if actual is None:
            actual = await create(ask, stream.name, declared)
        elif (mended := _mended(stream, actual)) != actual:
            actual = await _created(ask, f"STREAM.UPDATE.{stream.name}", mended)
        if replicas is None:
            del declared["num_replicas"]
        drift += differences(stream.name, declared, actual)
    for consumer in consumers:
        declared = msgspec.to_builtins(consumer)
        actual = await _config(ask, f"CONSUMER.INFO.{WORK}.{consumer.name}", api.NO_CONSUMER)
        if actual is None:
            request = {"stream_name": WORK, "config": declared, "action": "create"}
            actual = await _created(ask, f"CONSUMER.CREATE.{WORK}.{consumer.name}", request)
        elif actual.get("filter_subject") == f"ringrift.work.{consumer.name}.>":
            narrower = {
                "stream_name": WORK,
                "action": "update",
                "config": {
                    **{name: value for name, value in actual.items() if name != "filter_subject"},
                    "filter_subjects": declared["filter_subjects"],
                },
            }
            actual = await _created(ask, f"CONSUMER.CREATE.{WORK}.{consumer.name}", narrower)
        drift += differences(f"{WORK}.{consumer.name}", declared, actual)
    return drift


def _mended(stream: StreamConfig, actual: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a stream as it is, with the subjects it lacks, room for readers, no
    compression but a declared one."""
    more = [subject for subject in stream.subjects if subject not in actual["subjects"]]
    subjects = sorted([*actual["subjects"], *more]) if more else actual["subjects"]
    compressed = (
        {"compression": "none"}
        if stream.compression == "none" != actual.get("compression", "none")
        else {}
    )
    room = max(actual.get("max_consumers", -1), stream.max_consumers)
    return {**actual, "subjects": subjects, "max_consumers": room, **compressed}


async def replicas_there(ask: api.Ask) -> int:
    """Replicas that a cluster's streams have: those of EVENTS, else three if the servers are a
    cluster, else one."""
    there = await _config(ask, f"STREAM.INFO.{EVENTS}", api.NO_STREAM)
    if there is not None:
        return int(there["num_replicas"])
    events = next(stream for stream in STREAMS if stream.name == EVENTS)
    try:
        await create(ask, EVENTS, msgspec.to_builtins(events) | {"num_replicas": CLUSTER_REPLICAS})
    except ServerRefused as error:
        if error.code == api.NOT_CLUSTERED:
            return 1
        raise
    return CLUSTER_REPLICAS


async def create(ask: api.Ask, stream: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """A new stream; its configuration as the server has it. Raises ServerRefused,
    LogUnavailable."""
    return await _created(ask, f"STREAM.CREATE.{stream}", config)


async def _config(ask: api.Ask, subject: str, missing: int) -> dict[str, Any] | None:
    async def attempt() -> tuple[dict[str, Any] | None]:
        try:
            return ((await api.call(ask, subject))["config"],)
        except ServerRefused as error:
            if error.code == missing:
                return (None,)
            raise

    return (await retried(attempt, subject))[0]


async def _created(ask: api.Ask, subject: str, request: Mapping[str, Any]) -> dict[str, Any]:
    async def attempt() -> dict[str, Any] | None:
        try:
            config: dict[str, Any] = (await api.call(ask, subject, request))["config"]
        except ServerRefused as error:
            if (
                error.code == api.NO_PEERS
            ):  # the cluster has just started, and its leader has not heard of everybody
                return None
            raise
        return config

    return await retried(attempt, subject)


def differences(name: str, declared: Mapping[str, Any], actual: Mapping[str, Any]) -> list[Drift]:
    """Declared fields whose actual value differs; the server leaves out what is 0, false or
    empty."""
    found = []
    for field, value in declared.items():
        here = actual.get(field, type(value)())
        if field == "filter_subjects" and not here:  # a single filter comes back in its own field
            here = [actual["filter_subject"]] if actual.get("filter_subject") else []
        if (list(value) if isinstance(value, tuple) else value) != here:
            found.append(Drift(name, field, value, here))
    return found
