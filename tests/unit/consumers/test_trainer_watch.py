"""A trainer learns from the log that its training is void, and the log refuses what it finishes too
late."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from ringrift.consumers import trainer
from ringrift.consumers.training import session
from ringrift.events import draft
from ringrift.events.facts import TrainingRequested, TrainingTimedOut
from ringrift.events.tickets import TrainingTicket, tickets_of
from ringrift.learning.training_state import Progress
from ringrift.log.errors import ConcurrencyError
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import save
from ringrift.rules import Config
from ringrift.runtime.process import Process


def killed(ticket: str) -> TrainingTimedOut:
    return TrainingTimedOut(
        config="hex8_2p", generation=1, ticket=ticket, silent_seconds=7200.0, settings_version=1
    )


async def asked(process: Process, generation: int = 1) -> TrainingTicket:
    request = TrainingRequested(
        config="hex8_2p",
        generation=generation,
        architecture="v2-micro",
        parent=None,
        shards=(),
        samples=0,
        seed=1,
        reason="r",
        settings_version=1,
    )
    (seq,) = await process.log.append([draft(request, cause=None, source="test", key=generation)])
    (ticket,) = tickets_of(request, f"EVENTS/{seq}")
    assert isinstance(ticket, TrainingTicket)
    return ticket


@pytest.fixture
def process() -> Process:
    log = MemoryLog(MemoryBroker())
    return Process("trainer", "test", log)


async def test_a_kill_of_its_own_ticket_reaches_a_trainer_and_another_does_not(
    process: Process,
) -> None:
    log, ticket = process.log, await asked(process)
    flag = asyncio.Event()
    watching = asyncio.create_task(session.watch_for_timeout(process, ticket, flag))
    await log.append([draft(killed("training-events-99"), cause=None, source="test", key=1)])
    for _ in range(20):
        await asyncio.sleep(0)
    assert not flag.is_set()
    await log.append([draft(killed(ticket.ticket), cause=None, source="test", key=2)])
    async with asyncio.timeout(20):
        await flag.wait()
        await watching


async def test_a_killed_training_is_not_begun_again(process: Process) -> None:
    ticket = await asked(process)
    await process.log.append([draft(killed(ticket.ticket), cause=None, source="test")])
    await trainer.train(process, ticket, 2)  # would fail for want of shards
    assert await process.log.tail("EVENTS") == 2


async def test_a_training_is_not_begun_once_a_newer_one_was_asked_for(process: Process) -> None:
    ticket = await asked(process)
    await asked(process, 2)
    await trainer.train(process, ticket, 2)  # would fail for want of shards
    assert await process.log.tail("EVENTS") == 2


async def test_who_finishes_after_a_newer_training_was_asked_for_is_refused_by_the_log(
    process: Process,
) -> None:
    ticket, network = await asked(process), build("v2-micro", hex_board=True)
    done = SimpleNamespace(
        model=lambda: save(network, architecture="v2-micro", config=Config.parse("hex8_2p")),
        network=network,
        steps=1,
        window=[],
    )
    progress = Progress(
        step=1,
        steps=1,
        loss=1.0,
        policy_loss=1.0,
        value_loss=1.0,
        validation_loss=None,
        samples_per_second=1.0,
    )
    await trainer.publish(process, ticket, done, progress, 1.0)
    assert await process.log.tail("EVENTS") == 3
    assert len(process.log.recent) == 3, (
        "what nobody would decide anew is written again if the server loses it"
    )
    late = await asked(process, 2)
    await asked(process, 3)
    with pytest.raises(ConcurrencyError):
        await trainer.publish(process, late, done, progress, 1.0)
    assert await process.log.tail("EVENTS") == 5
