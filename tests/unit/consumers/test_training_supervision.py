"""A training in its thread: progress, checkpoints, drain and timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from support.loop_facts import requested
from support.system import System

from ringrift.consumers.trainer import CHECKPOINT_FACT_SECONDS, run_training
from ringrift.events.facts import TrainingCheckpointed, TrainingProgressed, TrainingTimedOut
from ringrift.events.tickets import TrainingTicket, tickets_of
from ringrift.learning.training_state import Progress
from ringrift.runtime.process import Drained, Process

PROGRESS = Progress(
    step=0,
    steps=4,
    loss=1.0,
    policy_loss=1.0,
    value_loss=1.0,
    validation_loss=None,
    samples_per_second=1.0,
)


class Trainer:
    """Four steps, each with its progress and a checkpoint; `between` runs before each step."""

    def __init__(self, between: Callable[[int], None] = lambda step: None) -> None:
        self.step, self.steps = 0, 4
        self._between = between

    def run(self, *, on_progress: Any, on_checkpoint: Any, stop: Any) -> Progress | None:
        progress = None
        while self.step < self.steps:
            self._between(self.step)
            if stop():
                return progress
            self.step += 1
            progress = replace(PROGRESS, step=self.step)
            on_progress(progress)
            on_checkpoint(b"%d" % self.step)
        return progress

    def checkpoint(self) -> bytes:
        return b"last"


@pytest.fixture
async def process(system: System) -> Process:
    return system.process("trainer")


@pytest.fixture
async def ticket(system: System) -> TrainingTicket:
    request = requested()
    (found,) = tickets_of(request, f"EVENTS/{await system.write(request)}")
    assert isinstance(found, TrainingTicket)
    return found


async def train(process: Process, ticket: TrainingTicket, trainer: Any) -> Progress:
    return await run_training(process, ticket, trainer)


async def test_every_progress_is_recorded(
    system: System, process: Process, ticket: TrainingTicket
) -> None:
    last = await train(process, ticket, Trainer())
    assert last.step == 4
    assert [fact.step for fact in await system.facts(TrainingProgressed)] == [1, 2, 3, 4]


async def test_the_newest_checkpoint_is_stored(process: Process, ticket: TrainingTicket) -> None:
    await train(process, ticket, Trainer())
    assert await process.blobs.get_named("checkpoints", ticket.ticket) == b"4"


async def test_a_short_training_records_no_checkpoint(
    system: System, process: Process, ticket: TrainingTicket
) -> None:
    await train(process, ticket, Trainer())
    assert await system.facts(TrainingCheckpointed) == []


async def test_a_long_training_records_a_checkpoint_now_and_then(
    system: System, process: Process, ticket: TrainingTicket
) -> None:
    def slow(step: int) -> None:
        system.loop.clock.seconds += CHECKPOINT_FACT_SECONDS / 2

    await train(process, ticket, Trainer(slow))
    assert [fact.step for fact in await system.facts(TrainingCheckpointed)] == [2, 4]


async def test_a_stopping_process_stores_a_checkpoint_and_drains(
    process: Process, ticket: TrainingTicket
) -> None:
    def stop(step: int) -> None:
        if step == 2:
            process.stop()

    with pytest.raises(Drained):
        await train(process, ticket, Trainer(stop))
    assert await process.blobs.get_named("checkpoints", ticket.ticket) == b"last"


async def test_a_training_that_timed_out_ends_without_another_outcome(
    system: System, process: Process, ticket: TrainingTicket
) -> None:
    timed_out = TrainingTimedOut(
        config="hex8_2p",
        generation=1,
        ticket=ticket.ticket,
        silent_seconds=7200.0,
        settings_version=1,
    )

    def time_out(step: int) -> None:
        if step == 2:
            asyncio.run_coroutine_threadsafe(system.write(timed_out), system.loop).result()

    trainer = Trainer(time_out)
    trainer.steps = 1_000_000
    assert await train(process, ticket, trainer) is None
