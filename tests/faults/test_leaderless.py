"""A cluster whose stores are all older than their snapshots: the coordinator recreates streams that
lost their leader for good.

Slow: three servers start twice, and a stream is known to be stuck only after a failed election.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import nats.errors
import pytest
from chaos import servers
from chaos.servers import recovered
from support.waiting import eventually

from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import try_acquire
from ringrift.log.topology import EVENTS, LEASE_BUCKET, WORK
from ringrift.server import recreate
from ringrift.server.ensure import ensure
from ringrift.server.recreate import Recreated, Recreator, leading

LOST = (WORK, f"KV_{LEASE_BUCKET}")
RECREATED_SECONDS_MAX = 120
TICKETS = 3


async def empty_stores(made: servers.Servers) -> None:
    """Stop all servers, so that each records its position, and delete the messages of two streams
    on all of them."""
    for name in made.names:
        made.cluster.stop_member(name)
    for stream in LOST:
        stores = list((made.data / "voters").rglob(f"streams/{stream}/msgs"))
        assert len(stores) == len(made.cluster.members)
        for file in (file for store in stores for file in store.iterdir()):
            file.unlink()
    made.start(made.names)
    await recovered(made.log)


async def publish_tickets(log: JetStreamLog) -> list[int]:
    """The sequences of some tickets, the same on every call."""
    subject = "ringrift.work.selfplay.5.hex8_2p"
    return [await log.publish_ticket(subject, b"{}", f"t{number}") for number in range(TICKETS)]


async def recreated(log: JetStreamLog) -> list[Recreated]:
    """The streams that the coordinator recreates, once it has recreated all lost ones."""
    found: list[Recreated] = []
    recreator = Recreator(log)

    async def all_recreated() -> bool:
        with contextlib.suppress(StreamError, TimeoutError, nats.errors.Error):
            found.extend(await recreator.check())
        return len(found) >= len(LOST)

    await eventually(all_recreated, RECREATED_SECONDS_MAX, every_seconds=0.5)
    return found


@pytest.mark.slow
async def test_a_queue_and_leases_without_a_leader_are_recreated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recreate, "LEADERLESS_SECONDS_MAX", 20.0)
    async with servers.cluster(tmp_path) as made:
        # given tickets, one of them in work, and a lease
        log = made.log
        before = await publish_tickets(log)
        held = await log.next_ticket("selfplay", wait_seconds=10)
        assert held is not None
        assert await try_acquire(log, "planner", "first", "test") is not None
        # when their streams lose their leaders for good
        await empty_stores(made)
        assert [await leading(log, stream) for stream in (EVENTS, *LOST)] != ["led"] * 3
        # then they are recreated as declared, with all their consumers
        reasons = {(item.stream, item.reason) for item in await recreated(log)}
        assert reasons == {(stream, "leaderless") for stream in LOST}
        assert [await leading(log, stream) for stream in LOST] == ["led"] * 2
        assert await ensure(log, replicas=3) == []
        # and a sequence never names two tickets: the old one removes no new one
        after = await publish_tickets(log)
        assert after[0] > 1_000_000_000_000 > before[-1]
        with contextlib.suppress(StreamError):
            await held.ack()
        assert [entry.seq for entry in await log.queued()] == after
        # and the lease can be acquired by another process
        again = await JetStreamLog.open(made.cluster.url, name="second")
        assert await try_acquire(again, "planner", "second", "test") is not None
        await again.close()
