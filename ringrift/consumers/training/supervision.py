"""One run of a trainer in a thread, with its progress and checkpoints written to the log."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ringrift.events import Fact
from ringrift.events.facts import TrainingCheckpointed, TrainingProgressed, TrainingTimedOut
from ringrift.events.tickets import TrainingTicket
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import Progress, TrainingError
from ringrift.log import read
from ringrift.log.topology import SNAPSHOT_BUCKET
from ringrift.runtime.process import Drained, Process, cancel

CHECKPOINT_FACT_SECONDS = 600.0
"""between two TrainingCheckpointed facts of a long training: enough for a timeout of two hours; a
short training writes none"""
Result = TypeVar("Result")


async def run_training(process: Process, ticket: TrainingTicket, trainer: Trainer) -> Progress:
    """Train to the end; the last progress.

    Raises Drained when the process stops, TrainingError when the log reports that this training
    timed out."""
    timed_out = asyncio.Event()
    session = _Session(process, ticket, trainer, timed_out)
    watching = asyncio.create_task(watch_for_timeout(process, ticket, timed_out))
    try:
        progress = await asyncio.to_thread(session.run)
    finally:
        await cancel(watching)
    if timed_out.is_set():
        raise TrainingError("timed out: it reported no progress, and another one was requested")
    if trainer.step < trainer.steps or progress is None:
        data = await asyncio.to_thread(trainer.checkpoint)
        await process.blobs.put_named(SNAPSHOT_BUCKET, ticket.ticket, data)
        raise Drained
    return progress


async def watch_for_timeout(
    process: Process, ticket: TrainingTicket, timed_out: asyncio.Event
) -> None:
    """Set the event once the log reports that this training timed out."""
    after, config = int(ticket.cause.partition("/")[2]), ticket.request.config
    async for fact, _ in read.follow(process.log, TrainingTimedOut, scope=config, after=after):
        if fact.ticket == ticket.ticket:
            timed_out.set()
            return


class _Session:
    """The callbacks of a trainer. They run in its thread and await the log in the event loop."""

    def __init__(
        self, process: Process, ticket: TrainingTicket, trainer: Trainer, timed_out: asyncio.Event
    ) -> None:
        self._process, self._ticket, self._trainer = process, ticket, trainer
        self._timed_out = timed_out
        self._loop = asyncio.get_running_loop()
        self._latest: Progress | None = None
        self._recorded_at = process.clock.monotonic()

    def run(self) -> Progress | None:
        return self._trainer.run(
            on_progress=self._on_progress, on_checkpoint=self._on_checkpoint, stop=self._must_stop
        )

    def _on_progress(self, progress: Progress) -> None:
        self._latest = progress
        request = self._ticket.request
        fact = TrainingProgressed(
            config=request.config,
            generation=request.generation,
            ticket=self._ticket.ticket,
            step=progress.step,
            steps=progress.steps,
            loss=progress.loss,
            policy_loss=progress.policy_loss,
            value_loss=progress.value_loss,
            validation_loss=progress.validation_loss,
            samples_per_second=progress.samples_per_second,
        )
        self._append(fact, progress.step)

    def _on_checkpoint(self, data: bytes) -> None:
        process, request = self._process, self._ticket.request
        self._await(process.blobs.put_named(SNAPSHOT_BUCKET, self._ticket.ticket, data))
        now = process.clock.monotonic()
        if self._latest is None or now - self._recorded_at < CHECKPOINT_FACT_SECONDS:
            return
        self._recorded_at = now
        fact = TrainingCheckpointed(
            config=request.config,
            generation=request.generation,
            ticket=self._ticket.ticket,
            step=self._latest.step,
            steps=self._latest.steps,
            loss=self._latest.loss,
            node=process.node,
        )
        self._append(fact, self._latest.step)

    def _must_stop(self) -> bool:
        self._process.condition.ticket_progressed(self._process.clock.monotonic())
        return self._process.stopping or self._timed_out.is_set()

    def _append(self, fact: Fact, step: int) -> None:
        self._await(self._process.append(fact, cause=self._ticket.cause, key=step))

    def _await(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
