"""The depth of the work queue."""

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
    and the seconds since one was last acknowledged (None: never)."""

    kind: str
    waiting: int
    in_hand: int
    redelivered: int
    last_ack_seconds: float | None


async def queues(log: Log) -> list[Queue]:
    """The queue of each kind of work."""
    infos = {kind: await _infos(log, kind) for kind in WORK_KINDS}
    return [_queue(kind, found) for kind, found in infos.items() if found]


async def _infos(log: Log, kind: str) -> list[dict[str, Any]]:
    """The server's answers about the consumers of a kind, those that exist."""
    found = []
    for priority in PRIORITIES:
        try:
            found.append(await log.call(f"CONSUMER.INFO.{WORK}.{consumer_of(kind, priority)}"))
        except ServerRefused as error:
            if error.code not in (api.NO_CONSUMER, api.NO_STREAM):
                raise
    return found


def _queue(kind: str, infos: list[dict[str, Any]]) -> Queue:
    ages = []
    for info in infos:
        acknowledged = (info.get("ack_floor") or {}).get("last_active")
        if acknowledged is not None and not acknowledged.startswith("0001"):  # Go's zero time
            ages.append(max(0.0, (stamp_of(info["ts"]) - stamp_of(acknowledged)) / 1e9))
    return Queue(
        kind=kind,
        waiting=sum(info["num_pending"] for info in infos),
        in_hand=sum(info["num_ack_pending"] for info in infos),
        redelivered=sum(info["num_redelivered"] for info in infos),
        last_ack_seconds=min(ages, default=None),
    )
