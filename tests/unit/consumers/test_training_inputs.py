"""The inputs of a training: settings and initial weights."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.loop_facts import requested
from support.system import System

from ringrift.consumers import trainer
from ringrift.events import Settings
from ringrift.events.settings import OperationSettings
from ringrift.events.tickets import TrainingTicket
from ringrift.log.errors import BlobMissing
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import CheckpointError
from ringrift.rules import Config
from ringrift.runtime.process import Process


@pytest.fixture
async def process(system: System) -> Process:
    return system.process("trainer")


def ticket(parent: str | None, architecture: str = "v2-micro") -> TrainingTicket:
    request = replace(requested(), parent=parent, architecture=architecture)
    return TrainingTicket(ticket="training-events-1", cause="EVENTS/1", request=request)


async def stored_network(process: Process) -> tuple[str, bytes]:
    """The digest and bytes of a network in the store."""
    network, config = build("v2-micro", hex_board=True), Config.parse("hex8_2p")
    data = TowerCheckpoint.save(network, architecture="v2-micro", config=config)
    return await process.blobs.put(MODEL_BUCKET, data), data


async def test_a_training_starts_from_its_parent(process: Process) -> None:
    parent, data = await stored_network(process)
    assert await trainer.initial_weights(process, ticket(parent)) == data


async def test_a_parent_of_another_architecture_gives_no_weights(process: Process) -> None:
    parent, _ = await stored_network(process)
    assert await trainer.initial_weights(process, ticket(parent, "v2")) is None


async def test_a_training_without_a_parent_has_no_initial_weights(process: Process) -> None:
    assert await trainer.initial_weights(process, ticket(None)) is None


async def test_a_missing_parent_is_an_error(process: Process) -> None:
    process.controls.operation = OperationSettings(fetch_tries=1)
    with pytest.raises(BlobMissing):
        await trainer.initial_weights(process, ticket("f" * 64))


async def test_a_parent_that_is_no_network_is_an_error(process: Process) -> None:
    noise = await process.blobs.put(MODEL_BUCKET, b"noise")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        await trainer.initial_weights(process, ticket(noise))


def test_a_request_adjusts_the_settings() -> None:
    usual = Settings().training
    adjusted = replace(
        ticket(None, "v2").request, hyperparameters={"training.batch": "64"}, intensity=0.75
    )
    found = trainer.settings_of(adjusted, Settings())
    assert (found.architecture, found.batch) == ("v2", 64)
    assert found.epochs == 0.75 * usual.epochs


def test_a_request_without_adjustments_keeps_the_settings() -> None:
    usual = Settings().training
    assert trainer.settings_of(ticket(None, usual.architecture).request, Settings()) == usual
