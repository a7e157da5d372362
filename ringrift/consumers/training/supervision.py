"""One run of a trainer in a thread, with its progress and checkpoints written to the log."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

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


async def run_training(process: Process, ticket: TrainingTicket, trainer: Trainer) -> Progress:
    """Train to the end; the last progress.

    Raises Drained when the process stops, TrainingError when the log reports that this training
    timed out."""
    loop, now, timed_out = asyncio.get_running_loop(), process.clock.monotonic, asyncio.Event()
    latest: Progress | None = None
    recorded_at = now()

    # the callbacks run in the thread of the trainer and await the log in the event loop
    def wait_for(work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    def on_progress(progress: Progress) -> None:
        nonlocal latest
        latest = progress
        fact = _progressed(ticket, progress)
        wait_for(process.append(fact, cause=ticket.cause, key=progress.step))

    def on_checkpoint(data: bytes) -> None:
        nonlocal recorded_at
        wait_for(process.blobs.put_named(SNAPSHOT_BUCKET, ticket.ticket, data))
        if latest is not None and now() - recorded_at >= CHECKPOINT_FACT_SECONDS:
            recorded_at = now()
            fact = _checkpointed(ticket, latest, process.node)
            wait_for(process.append(fact, cause=ticket.cause, key=latest.step))

    def must_stop() -> bool:
        process.condition.ticket_progressed(now())
        return process.stopping or timed_out.is_set()

    def run() -> Progress | None:
        return trainer.run(on_progress=on_progress, on_checkpoint=on_checkpoint, stop=must_stop)

    watching = asyncio.create_task(watch_for_timeout(process, ticket, timed_out))
    try:
        progress = await asyncio.to_thread(run)
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


def _progressed(ticket: TrainingTicket, progress: Progress) -> TrainingProgressed:
    return TrainingProgressed(
        config=ticket.request.config,
        generation=ticket.request.generation,
        ticket=ticket.ticket,
        step=progress.step,
        steps=progress.steps,
        loss=progress.loss,
        policy_loss=progress.policy_loss,
        value_loss=progress.value_loss,
        validation_loss=progress.validation_loss,
        samples_per_second=progress.samples_per_second,
    )


def _checkpointed(ticket: TrainingTicket, progress: Progress, node: str) -> TrainingCheckpointed:
    return TrainingCheckpointed(
        config=ticket.request.config,
        generation=ticket.request.generation,
        ticket=ticket.ticket,
        step=progress.step,
        steps=progress.steps,
        loss=progress.loss,
        node=node,
    )
