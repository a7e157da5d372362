"""The work queue as its durable consumers tell: how many tickets wait, for how long, and how many
are in hand."""

import itertools
from collections import defaultdict
from typing import Any

from msgspec import Struct

from ringrift.events.tickets import PRIORITIES
from ringrift.log import api
from ringrift.log.entry import stamp_of
from ringrift.log.errors import ServerRefused
from ringrift.log.protocol import Log
from ringrift.log.topology import WORK, WORK_KINDS, consumer_of


class Queue(Struct, frozen=True, kw_only=True):
    """Tickets of one kind: waiting, in the hands of workers, of those the ones delivered before,
    and the seconds since one was last acknowledged (None: never); how long the oldest has waited
    that no worker has taken (None: none waits); durable consumers of its tickets that are
    `missing`."""

    kind: str
    waiting: int
    in_hand: int
    redelivered: int
    last_ack_seconds: float | None
    oldest_seconds: float | None = None
    missing: tuple[str, ...] = ()


async def queues(log: Log) -> list[Queue]:
    """The queue of each kind of work; none without the stream. Raises StreamError."""
    found = defaultdict[str, list[dict[str, Any]]](list)
    missing, ages = defaultdict[str, list[str]](list), defaultdict[str, list[float]](list)
    for kind, priority in itertools.product(WORK_KINDS, PRIORITIES):
        name = consumer_of(kind, priority)
        try:
            info = await log.call(f"CONSUMER.INFO.{WORK}.{name}")
        except ServerRefused as error:
            if error.code == api.NO_CONSUMER:
                missing[kind].append(name)
            elif error.code != api.NO_STREAM:
                raise
            continue
        found[kind].append(info)
        if info["num_pending"] and (age := await _oldest_seconds(log, info)) is not None:
            ages[kind].append(age)
    kinds = dict.fromkeys((*found, *missing))
    return [_queue(kind, found[kind], missing[kind], ages[kind]) for kind in kinds]


async def _oldest_seconds(log: Log, info: dict[str, Any]) -> float | None:
    """Age of the oldest ticket that a consumer has not delivered yet, by the server's clock."""
    (under,) = info["config"].get("filter_subjects") or (info["config"]["filter_subject"],)
    entry = await log.get(WORK, info["delivered"]["stream_seq"] + 1, under=under)
    return None if entry is None else max(0.0, (stamp_of(info["ts"]) - entry.stamp_ns) / 1e9)


def _queue(kind: str, infos: list[dict[str, Any]], missing: list[str], ages: list[float]) -> Queue:
    acknowledged = []
    for info in infos:
        at = (info.get("ack_floor") or {}).get("last_active")
        if at is not None and not at.startswith("0001"):  # Go's zero time
            acknowledged.append(max(0.0, (stamp_of(info["ts"]) - stamp_of(at)) / 1e9))
    return Queue(
        kind=kind,
        waiting=sum(info["num_pending"] for info in infos),
        in_hand=sum(info["num_ack_pending"] for info in infos),
        redelivered=sum(info["num_redelivered"] for info in infos),
        last_ack_seconds=min(acknowledged, default=None),
        oldest_seconds=max(ages, default=None),
        missing=tuple(missing),
    )
