"""One run of a trainer in a thread, with its progress and checkpoints written to the log."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from msgspec.structs import asdict

from ringrift.events.facts import TrainingCheckpointed, TrainingProgressed, TrainingTimedOut
from ringrift.events.tickets import TrainingTicket
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import Progress, TrainingError
from ringrift.log import read
from ringrift.log.topology import SNAPSHOT_BUCKET
from ringrift.runtime.process import Drained, Process, cancel
from ringrift.runtime.work import fields_of

CHECKPOINT_FACT_SECONDS = 600.0
"""between two TrainingCheckpointed facts of a long training: enough for a timeout of two hours; a
short training writes none"""


async def run_training(process: Process, ticket: TrainingTicket, trainer: Trainer) -> Progress:
    """Train to the end; the last progress.

    Raises Drained when the process stops, TrainingError when the log reports that this training
    timed out."""
    loop, now, timed_out = asyncio.get_running_loop(), process.clock.monotonic, asyncio.Event()
    latest: Progress | None = None
    request, recorded_at = ticket.request, now()

    # the callbacks run in the thread of the trainer and await the log in the event loop
    def wait_for(work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    def on_progress(progress: Progress) -> None:
        nonlocal latest
        latest = progress
        fact = TrainingProgressed(
            config=request.config,
            generation=request.generation,
            ticket=ticket.ticket,
            **asdict(progress),
        )
        wait_for(process.append(fact, cause=ticket.cause, key=progress.step))

    def on_checkpoint(data: bytes) -> None:
        nonlocal recorded_at
        wait_for(process.blobs.put_named(SNAPSHOT_BUCKET, ticket.ticket, data))
        if latest is not None and now() - recorded_at >= CHECKPOINT_FACT_SECONDS:
            recorded_at = now()
            fact = TrainingCheckpointed(
                **fields_of(process, ticket),
                generation=request.generation,
                step=latest.step,
                steps=latest.steps,
                loss=latest.loss,
            )
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
