"""A trainer learns from the log that its training is void."""

from __future__ import annotations

import asyncio

from ringrift.consumers import trainer
from ringrift.consumers.process import Process
from ringrift.events import draft
from ringrift.events.facts import TrainingKilled, TrainingRequested
from ringrift.events.tickets import TrainingTicket, tickets_of
from ringrift.streams.blobs import ObjectBlobs
from ringrift.streams.memory import MemoryBroker, MemoryLog
from ringrift.streams.presence import Presence


def killed(ticket: str) -> TrainingKilled:
    return TrainingKilled(config="hex8_2p", generation=1, ticket=ticket, silent_seconds=7200.0, settings_version=1)


async def test_a_kill_of_its_own_ticket_reaches_a_trainer_and_another_does_not() -> None:
    log = MemoryLog(MemoryBroker())
    process = Process("trainer", "test", log, ObjectBlobs(log), Presence(log))
    request = TrainingRequested(
        config="hex8_2p", generation=1, architecture="v2-micro", parent=None, shards=(), samples=0, seed=1, reason="r",
        settings_version=1,
    )  # fmt: skip
    (seq,) = await log.append([draft(request, cause=None, source="test")])
    (ticket,) = tickets_of(request, f"EVENTS/{seq}")
    assert isinstance(ticket, TrainingTicket)
    flag = asyncio.Event()
    watching = asyncio.create_task(trainer._watch(process, ticket, flag))
    await log.append([draft(killed("training-events-99"), cause=None, source="test", key=1)])
    for _ in range(20):
        await asyncio.sleep(0)
    assert not flag.is_set()
    await log.append([draft(killed(ticket.ticket), cause=None, source="test", key=2)])
    async with asyncio.timeout(20):
        await flag.wait()
        await watching


async def test_a_killed_training_is_not_begun_again() -> None:
    log = MemoryLog(MemoryBroker())
    process = Process("trainer", "test", log, ObjectBlobs(log), Presence(log))
    request = TrainingRequested(
        config="hex8_2p", generation=1, architecture="v2-micro", parent=None, shards=(), samples=0, seed=1, reason="r",
        settings_version=1,
    )  # fmt: skip
    (seq,) = await log.append([draft(request, cause=None, source="test")])
    (ticket,) = tickets_of(request, f"EVENTS/{seq}")
    await log.append([draft(killed(ticket.ticket), cause=None, source="test")])
    await trainer.train(process, ticket, 2)  # would fail for want of shards
    assert await log.tail("EVENTS") == 2
