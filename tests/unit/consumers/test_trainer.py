"""A whole training, from shards to a registered network."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.loop_facts import exported, requested
from support.shard_system import ShardSystem
from support.system import System, running

from ringrift.consumers import trainer
from ringrift.errors import Permanent
from ringrift.events import Settings
from ringrift.events.facts import (
    ModelRegistered,
    SettingsChanged,
    TrainingFailed,
    TrainingFinished,
    TrainingRequested,
    TrainingStarted,
)
from ringrift.events.settings import OperationSettings, TrainingSettings
from ringrift.events.tickets import tickets_of
from ringrift.learning.training_state import TrainingError
from ringrift.nets.encoding import ENCODER
from ringrift.runtime.process import Process

SETTINGS = Settings(training=TrainingSettings(batch=4, epochs=0.5, validation_fraction=0.0))


@pytest.fixture
async def process(system: System, monkeypatch: pytest.MonkeyPatch) -> Process:
    monkeypatch.setenv("RINGRIFT_THREADS", "1")
    await system.write(SettingsChanged(version=1, settings=SETTINGS, why="test"))
    return system.process("trainer")


@pytest.fixture
async def request_(system: System) -> TrainingRequested:
    shards = ShardSystem(system)
    await shards.start()
    digests = tuple(shard.digest for shard in await shards.shards())
    return replace(requested(), shards=digests)


async def test_a_training_registers_a_network(
    system: System, process: Process, request_: TrainingRequested
) -> None:
    (ticket,) = tickets_of(request_, f"EVENTS/{await system.write(request_)}")
    await system.put(ticket)
    async with running(trainer.main(process)):
        finished, meta = await system.first(TrainingFinished)
        registered, _ = await system.first(ModelRegistered)
    (started,) = await system.facts(TrainingStarted)
    assert (started.resumed_step, meta.cause) == (0, ticket.cause)
    assert registered.model == finished.model
    assert await process.blobs.has("models", finished.model)


async def test_a_request_of_another_build_is_a_failure_that_names_the_shard(
    system: System, process: Process, request_: TrainingRequested
) -> None:
    request_ = replace(request_, shards=("f" * 64,))
    (ticket,) = tickets_of(request_, f"EVENTS/{await system.write(request_)}")
    await system.put(ticket)
    async with running(trainer.main(process)):
        failed, _ = await system.first(TrainingFailed)
    assert f"for {'f' * 64}; another build requested this training" in failed.reason


async def test_a_corrupt_shard_fails_at_once(system: System, process: Process) -> None:
    """No other try can read it."""
    digest = await process.blobs.put("shards", b"no shard")
    await system.write(replace(exported(), digest=digest, encoder=ENCODER))
    request_ = replace(requested(), shards=(digest,))
    (ticket,) = tickets_of(request_, f"EVENTS/{await system.write(request_)}")
    await system.put(ticket)
    began = system.loop.time()
    async with running(trainer.main(process)):
        failed, _ = await system.first(TrainingFailed)
    assert failed.reason.startswith("ShardError: not a shard")
    assert system.loop.time() - began < OperationSettings().ticket_waits[0]


def test_what_a_training_refuses_is_not_tried_again() -> None:
    assert issubclass(TrainingError, Permanent)
