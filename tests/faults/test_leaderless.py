"""A cluster whose stores are all older than their snapshots: the coordinator recreates streams that
lost their leader for good; `EVENTS` comes back by the rescue of the disk that holds most.

Slow: three servers start twice, and a stream is known to be stuck only after a failed election.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
from pathlib import Path

import nats.errors
import pytest
from chaos import servers
from chaos.servers import recovered
from support.clusters import content, event
from support.voters import Voters, voters
from support.waiting import eventually

from ringrift.cli.cluster import grow
from ringrift.cli.common import Source
from ringrift.log.errors import StreamError
from ringrift.log.holdings import holdings
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import try_acquire
from ringrift.log.topology import EVENTS, LEASE_BUCKET, WORK
from ringrift.server import recreate
from ringrift.server.ensure import ensure
from ringrift.server.recreate import Recreated, Recreator, leading
from ringrift.server.rescue import rescue

LOST = (WORK, f"KV_{LEASE_BUCKET}")
RECREATED_SECONDS_MAX = 120
TICKETS = 3
PART = 100
"""events written at a time"""
GIVEN_UP = "catchup aborted, no leader"


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


def messages(made: Voters, name: str) -> Path:
    """The directory with the messages of EVENTS on a voter."""
    (found,) = made.store(name).glob(f"jetstream/*/streams/{EVENTS}/msgs")
    return found


async def written(made: Voters, log: JetStreamLog, first: int) -> None:
    """Write events to voters that are started for it and stopped afterwards, in order."""
    for name in "abc":
        if name not in made.running:
            await made.start(name)
    await eventually(lambda: appended(log, first), RECREATED_SECONDS_MAX, every_seconds=0.5)
    await eventually(lambda: everywhere(log, first + PART), RECREATED_SECONDS_MAX)
    await made.stop(*"abc", by=signal.SIGTERM)


async def appended(log: JetStreamLog, first: int) -> bool:
    with contextlib.suppress(StreamError):
        await log.append_each([event(number) for number in range(first, first + PART)])
        return True
    return False


async def everywhere(log: JetStreamLog, count: int) -> bool:
    held = await holdings(log.servers) or ()
    return [each.streams[EVENTS].messages for each in held] == [count] * 3


@pytest.mark.slow
async def test_events_without_a_leader_come_back_from_the_disk_that_holds_most(
    tmp_path: Path,
) -> None:
    async with voters(tmp_path / "cluster") as (made, log):
        # given copies that are all older than their snapshots, one of them less
        older: dict[str, Path] = {}
        for first, names in ((0, "bc"), (PART, "a"), (2 * PART, "")):
            await written(made, log, first)
            for name in names:
                older[name] = tmp_path / name
                shutil.copytree(messages(made, name), older[name])
        for name, copy in older.items():
            there = messages(made, name)
            shutil.rmtree(there)
            shutil.copytree(copy, there)
        for name in "abc":
            await made.start(name)
        await eventually(lambda: given_up(made), RECREATED_SECONDS_MAX)
        assert await leading(log, EVENTS) != "led"
    # when each disk is rescued, and the one that holds most is grown onto a new cluster
    counts = {}
    for name in "abc":
        found = await rescue(made.home(name), tmp_path / f"rescued-{name}")
        (counts[name],) = (each.messages for each in found.streams if each.stream == EVENTS)
    assert counts == {"a": 2 * PART, "b": PART, "c": PART}
    async with voters(tmp_path / "second", create=False) as (second, _):
        with second.as_role("operator"):
            await grow(origin=str(tmp_path / "rescued-a"), source=Source(server=second.url))
            log = await second.opened()
            # then everything that it held is there, and the log goes on
            ids = [entry.id for entry in await content(log, EVENTS)]
            assert ids[: 2 * PART] == [event(number).id for number in range(2 * PART)]
            assert await log.append_each([event(2 * PART)]) == [len(ids) + 1]
            await log.close()


async def given_up(made: Voters) -> bool:
    """Whether a server says that the stream has no leader for good."""
    return any(GIVEN_UP in (made.home(name) / "nats.log").read_text() for name in "abc")
