"""What a training begins with: the parent's weights, fresh ones where they cannot fit, and a
teacher; on the in-memory log."""

from __future__ import annotations

import msgspec
import pytest

from ringrift.consumers.training import inputs
from ringrift.events import Settings
from ringrift.events.facts import TrainingRequested
from ringrift.events.settings import OperationSettings
from ringrift.events.tickets import TrainingTicket
from ringrift.log.errors import BlobMissing
from ringrift.log.memory import MemoryBroker, MemoryLog
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets.architectures import build
from ringrift.nets.checkpoint import CheckpointError, save
from ringrift.rules import Config
from ringrift.runtime.process import Process


@pytest.fixture
def process() -> Process:
    log = MemoryLog(MemoryBroker())
    return Process("trainer", "test", log)


def request(parent: str | None, architecture: str = "v2-micro") -> TrainingTicket:
    wanted = TrainingRequested(
        config="hex8_2p",
        generation=1,
        architecture=architecture,
        parent=parent,
        shards=(),
        samples=1,
        seed=1,
        reason="r",
        settings_version=0,
    )
    return TrainingTicket(ticket="training-events-1", cause="EVENTS/1", request=wanted)


async def test_the_parent_gives_its_weights_to_its_own_kind_only(process: Process) -> None:
    data = save(
        build("v2-micro", hex_board=True), architecture="v2-micro", config=Config.parse("hex8_2p")
    )
    parent = await process.blobs.put(MODEL_BUCKET, data)
    assert await inputs.initial_weights(process, request(parent)) == data
    assert await inputs.initial_weights(process, request(parent, "v2")) is None
    assert await inputs.initial_weights(process, request(None)) is None


def test_a_training_is_done_under_the_settings_but_for_what_its_request_says() -> None:
    asked = msgspec.structs.replace(
        request(None, "v2").request, hyperparameters={"training.batch": "64"}, intensity=0.75
    )
    usual = Settings().training
    found = inputs.settings_of(asked, Settings())
    assert (found.architecture, found.batch, found.epochs) == ("v2", 64, 0.75 * usual.epochs)
    assert inputs.settings_of(request(None, usual.architecture).request, Settings()) == usual


async def test_a_parent_that_is_away_or_no_network_is_an_error(process: Process) -> None:
    process.controls.operation = OperationSettings(fetch_tries=1)
    with pytest.raises(BlobMissing):
        await inputs.initial_weights(process, request("f" * 64))
    noise = await process.blobs.put(MODEL_BUCKET, b"noise")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        await inputs.initial_weights(process, request(noise))
