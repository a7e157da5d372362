"""A training that timed out or was superseded has no effect."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from support.loop_facts import requested
from support.system import System, running, until

from ringrift.consumers import trainer
from ringrift.consumers.trainer import watch_for_timeout
from ringrift.events.facts import ConfigWindow, ModelRegistered, TrainingFinished, TrainingTimedOut
from ringrift.events.tickets import TrainingTicket, of_each_config, tickets_of
from ringrift.learning.training_state import Part
from ringrift.log.errors import ConcurrencyError
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.rules import Config
from ringrift.runtime.process import Process


def part(steps: int, loss: float = 1.0) -> Part:
    return Part(
        steps=steps,
        samples=10 * steps,
        loss=loss,
        policy_loss=loss,
        value_loss=loss,
        validation_loss=None,
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


def trained(**parts: Part) -> Any:
    """A trainer at its end."""
    network, config = build("v2-micro", hex_board=True), Config.parse("hex8_2p")
    data = TowerCheckpoint.save(network, architecture="v2-micro", config=config)
    found = parts or {"hex8_2p": part(1)}
    return SimpleNamespace(model=lambda: data, network=network, parts=lambda: found)


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
    await trainer.publish(process, await ticket(system), trained(), 1.0)
    (registered,) = await system.facts(ModelRegistered)
    (finished,) = await system.facts(TrainingFinished)
    assert await process.blobs.has("models", registered.model)
    assert finished.model == registered.model


async def test_a_training_on_several_configs_finishes_for_each_and_registers_once(
    system: System, process: Process
) -> None:
    others = (
        ConfigWindow(config="square8_2p", generation=4, shards=("b" * 64,), samples=1),
        ConfigWindow(config="hex8_3p", shards=("c" * 64,), samples=1),
    )
    request = replace(requested(), others=others)
    (mine,) = tickets_of(request, f"EVENTS/{await system.write(request)}")
    assert isinstance(mine, TrainingTicket)
    parts = {"square8_2p": part(6, 3.0), "hex8_2p": part(2, 2.0), "hex8_3p": part(4)}
    await trainer.publish(process, mine, trained(**parts), 16.0)
    (registered,) = await system.facts(ModelRegistered)
    assert (registered.config, registered.serves) == ("hex8_2p", {"square8_2p": 4})
    own, other = await system.facts(TrainingFinished)
    assert (own.config, own.generation, own.steps, own.loss) == ("hex8_2p", 1, 2, 2.0)
    assert (other.config, other.generation, other.steps, other.loss) == ("square8_2p", 4, 6, 3.0)
    # the time of the steps for hex8_3p is that of those that get the network
    assert (own.train_seconds, other.train_seconds) == (4.0, 12.0)
    assert own.model == other.model == registered.model
    failure = trainer.failed(process, mine, "why")
    assert [(one.config, one.generation) for one in of_each_config(mine, failure)] == [  # type: ignore[attr-defined]
        ("hex8_2p", 1),
        ("square8_2p", 4),
    ]


async def test_a_superseded_training_registers_nothing(system: System, process: Process) -> None:
    mine, _ = await ticket(system), await ticket(system, 2)
    with pytest.raises(ConcurrencyError):
        await trainer.publish(process, mine, trained(), 1.0)
    assert await system.facts(ModelRegistered) == []


async def test_the_outcome_is_kept_for_republishing(system: System, process: Process) -> None:
    """No decider would decide it again if the server lost it."""
    await trainer.publish(process, await ticket(system), trained(), 1.0)
    assert len(process.log.recent) == 2
