"""A cluster whose stores are all older than their snapshots: streams without a leader, for good,
are made anew by the coordinator itself.

Slow: three servers start twice, and nothing is known to be stuck before an election has failed.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import nats.errors
import pytest
from chaos import servers
from chaos.servers import recovered

from ringrift.log.errors import StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import try_acquire
from ringrift.log.topology import EVENTS, LEASE_BUCKET, WORK
from ringrift.server import recreate
from ringrift.server.ensure import ensure
from ringrift.server.recreate import Recreated, Recreator, leading

LOST = (WORK, f"KV_{LEASE_BUCKET}")
HEALED_SECONDS_MAX = 120


async def _emptied(made: servers.Servers) -> None:
    """Stop all servers, so that each notes how far it is, and take away what two streams had stored
    on them."""
    for name in made.names:
        made.cluster.stop_member(name)
    for stream in LOST:
        stores = list((made.data / "voters").rglob(f"streams/{stream}/msgs"))
        assert len(stores) == len(made.cluster.members)
        for file in (file for store in stores for file in store.iterdir()):
            file.unlink()
    made.start(made.names)
    await recovered(made.log)


@pytest.mark.slow
async def test_a_queue_and_leases_without_a_leader_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recreate, "LEADERLESS_SECONDS_MAX", 20.0)
    async with servers.cluster(tmp_path) as made:
        log = made.log
        before = [
            await log.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"{}", f"t{number}")
            for number in range(3)
        ]
        held = await log.next_ticket("selfplay", wait_seconds=10)
        assert held is not None
        assert await try_acquire(log, "planner", "first", "test") is not None
        await _emptied(made)
        assert [await leading(log, stream) for stream in (EVENTS, *LOST)] != ["led"] * 3
        found: list[Recreated] = []
        async with asyncio.timeout(HEALED_SECONDS_MAX):
            recreator = Recreator(log)
            while len(found) < len(LOST):
                with contextlib.suppress(StreamError, TimeoutError, nats.errors.Error):
                    found += await recreator.check()
                await asyncio.sleep(0.5)
        assert {(item.stream, item.reason) for item in found} == {
            (stream, "leaderless") for stream in LOST
        }
        assert [await leading(log, stream) for stream in LOST] == ["led"] * 2
        assert await ensure(log, replicas=3) == [], "as declared, with all its consumers"
        after = [
            await log.publish_ticket("ringrift.work.selfplay.5.hex8_2p", b"{}", f"t{number}")
            for number in range(3)
        ]
        assert after[0] > 1_000_000_000_000 > before[-1], "no sequence means two messages"
        with contextlib.suppress(StreamError):
            await held.ack()
        assert [entry.seq for entry in await log.queued()] == after, (
            "who held an old ticket takes off none of the new"
        )
        again = await JetStreamLog.open(made.cluster.url, name="second")
        assert await try_acquire(again, "planner", "second", "test") is not None
        await again.close()
