"""Three servers, one of which is killed repeatedly under load."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.stream_cluster import running_cluster

from ringrift.events import Draft, draft
from ringrift.events.facts import ConsumerStarted
from ringrift.log import jetstream
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS

SECONDS_MAX = 120
STEP_DOWNS, AT_ONCE = 5, 20


def event(writer: int, number: int) -> Draft:
    fact = ConsumerStarted(node=f"w{writer}", consumer="test", instance=str(number), version="1")
    return draft(fact, cause=None, source="test", key=f"{writer}-{number}")


@pytest.mark.slow
async def test_killing_the_leader_loses_and_duplicates_nothing(tmp_path: Path) -> None:
    """Each writer appends batches under the expectation that it is the only one on its subject."""
    async with running_cluster(tmp_path) as cluster, asyncio.timeout(SECONDS_MAX):
        log = await JetStreamLog.open(cluster.url, name="writer")
        written: dict[int, list[int]] = {number: [] for number in range(3)}
        seen: list[int] = []
        stop = asyncio.Event()

        async def write(writer: int) -> None:
            number, last = 0, 0
            while not stop.is_set():
                batch = [event(writer, number + offset) for offset in range(2)]
                seqs = await log.append(batch, Expect(f"ringrift.consumer.w{writer}.>", last))
                written[writer] += seqs
                number, last = number + 2, seqs[-1]

        async def watch() -> None:
            async for entry in log.follow(EVENTS):
                seen.append(entry.seq)

        watcher = asyncio.create_task(watch())
        writers = [asyncio.create_task(write(number)) for number in written]
        for _ in range(2):
            before = len(seen)
            while len(seen) < before + 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            leader = await cluster.leader(log, EVENTS)
            await cluster.kill(leader)
            before = len(seen)
            while len(seen) < before + 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await cluster.start(leader)
        stop.set()
        await asyncio.gather(*writers)
        everything = sorted(seq for seqs in written.values() for seq in seqs)
        while len(seen) < len(everything):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert everything == list(range(1, len(everything) + 1))
        assert seen == everything
        assert [entry.seq async for batch in log.read(EVENTS) for entry in batch] == everything
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await log.close()


async def test_messages_in_flight_to_an_old_leader_are_sent_to_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are sent at once, not after the timeout, which would be after the test."""
    monkeypatch.setattr(jetstream, "ANSWER_SECONDS_MAX", 2.0 * SECONDS_MAX)
    async with running_cluster(tmp_path) as cluster, asyncio.timeout(SECONDS_MAX):
        log = await JetStreamLog.open(cluster.url, name="writer")
        seqs: list[int] = []
        for number in range(STEP_DOWNS):
            leaving = asyncio.create_task(log.call(f"STREAM.LEADER.STEPDOWN.{EVENTS}"))
            for (seq,) in await asyncio.gather(
                *(log.append([event(writer, number)]) for writer in range(AT_ONCE))
            ):
                seqs.append(seq)
            await leaving
            seqs += await log.append([event(writer, STEP_DOWNS + number) for writer in range(2)])
        assert sorted(seqs) == list(range(1, STEP_DOWNS * (AT_ONCE + 2) + 1))
        await log.close()
