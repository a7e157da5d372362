"""A training that timed out or was superseded has no effect."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from support.loop_facts import requested
from support.system import System, running, until

from ringrift.consumers import trainer
from ringrift.consumers.trainer import watch_for_timeout
from ringrift.events.facts import ModelRegistered, TrainingFinished, TrainingTimedOut
from ringrift.events.tickets import TrainingTicket, tickets_of
from ringrift.learning.training_state import Progress
from ringrift.log.errors import ConcurrencyError
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.rules import Config
from ringrift.runtime.process import Process

PROGRESS = Progress(
    step=1,
    steps=1,
    loss=1.0,
    policy_loss=1.0,
    value_loss=1.0,
    validation_loss=None,
    samples_per_second=1.0,
)


@pytest.fixture
async def process(system: System) -> Process:
    return system.process("trainer")


async def ticket(system: System, generation: int = 1) -> TrainingTicket:
    """The ticket of a training that was just requested."""
    request = requested(generation)
    (found,) = tickets_of(request, f"EVENTS/{await system.write(request)}")
    assert isinstance(found, TrainingTicket)
    return found


def timed_out(ticket: str) -> TrainingTimedOut:
    return TrainingTimedOut(
        config="hex8_2p", generation=1, ticket=ticket, silent_seconds=7200.0, settings_version=1
    )


def trained() -> Any:
    """A trainer at its end."""
    network, config = build("v2-micro", hex_board=True), Config.parse("hex8_2p")
    data = TowerCheckpoint.save(network, architecture="v2-micro", config=config)
    return SimpleNamespace(model=lambda: data, network=network, steps=1, window=[])


async def test_a_trainer_notices_only_its_own_timeout(system: System, process: Process) -> None:
    mine, noticed = await ticket(system), asyncio.Event()
    async with running(watch_for_timeout(process, mine, noticed)):
        await system.write(timed_out("training-events-99"))
        await asyncio.sleep(60.0)
        assert not noticed.is_set()
        await system.write(timed_out(mine.ticket))
        await until(noticed.is_set)


async def test_a_training_that_timed_out_is_not_started_again(
    system: System, process: Process
) -> None:
    mine = await ticket(system)
    last = await system.write(timed_out(mine.ticket))
    await trainer.train(process, mine, 2)  # would fail without shards
    assert await system.log.tail("EVENTS") == last


async def test_a_superseded_training_is_not_started(system: System, process: Process) -> None:
    mine, _ = await ticket(system), await ticket(system, 2)
    await trainer.train(process, mine, 2)  # would fail without shards
    assert await system.log.tail("EVENTS") == 2


async def test_a_finished_training_registers_its_network(system: System, process: Process) -> None:
    await trainer.publish(process, await ticket(system), trained(), PROGRESS, 1.0)
    (registered,) = await system.facts(ModelRegistered)
    (finished,) = await system.facts(TrainingFinished)
    assert await process.blobs.has("models", registered.model)
    assert finished.model == registered.model


async def test_a_superseded_training_registers_nothing(system: System, process: Process) -> None:
    mine, _ = await ticket(system), await ticket(system, 2)
    with pytest.raises(ConcurrencyError):
        await trainer.publish(process, mine, trained(), PROGRESS, 1.0)
    assert await system.facts(ModelRegistered) == []


async def test_the_outcome_is_kept_for_republishing(system: System, process: Process) -> None:
    """No decider would decide it again if the server lost it."""
    await trainer.publish(process, await ticket(system), trained(), PROGRESS, 1.0)
    assert len(process.log.recent) == 2
