"""Trains networks: shards in, a network and its facts out. A killed training goes on from its
newest checkpoint, on any node.

One training of a config at a time: its request's sequence is the fencing token. What a trainer
finishes after a newer training was asked for is refused by the log, so a paused one that wakes up
registers nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import torch
from msgspec.structs import replace

from ringrift.consumers.fallback import wanted_or_older
from ringrift.consumers.shards import exported_shards, shard_bytes
from ringrift.events import Fact, type_of
from ringrift.events.facts import (
    ModelRegistered,
    TrainingCheckpointed,
    TrainingFailed,
    TrainingFinished,
    TrainingProgressed,
    TrainingRequested,
    TrainingStarted,
    TrainingTimedOut,
)
from ringrift.events.settings import Settings, TrainingSettings
from ringrift.events.settings_sources import load
from ringrift.events.tickets import Ticket, TrainingTicket
from ringrift.learning.families import header_of, trainer_of
from ringrift.learning.shards import read_shard, weighed
from ringrift.learning.training import Progress, Trainer, TrainingError
from ringrift.learning.window import Window, open_window
from ringrift.log import read
from ringrift.log.errors import BlobMissing, ConcurrencyError
from ringrift.log.protocol import Expect
from ringrift.log.topology import MODEL_BUCKET, SNAPSHOT_BUCKET
from ringrift.nets.encoding import ENCODER
from ringrift.nets.shapes import canonical
from ringrift.runtime.process import Drained, Process, run, threads
from ringrift.runtime.work import is_done, work

Result = TypeVar("Result")

SIGN_OF_LIFE_SECONDS = 600.0
"""between two facts that a long training is alive: a watchdog that waits two hours misses none, and
a short training writes none"""


async def main(process: Process) -> None:
    """Do training tickets."""
    await work(process, "training", train, failed)


def failed(process: Process, ticket: Ticket, reason: str) -> Fact:
    """What the log says of a training that was given up."""
    assert isinstance(ticket, TrainingTicket)
    request = ticket.request
    return TrainingFailed(
        config=request.config,
        generation=request.generation,
        ticket=ticket.ticket,
        reason=reason,
        node=process.node,
    )


async def train(process: Process, ticket: Ticket, deliveries: int) -> None:
    """One training, from the shards to the registered network."""
    assert isinstance(ticket, TrainingTicket)
    request = ticket.request
    for outcome in (TrainingFinished, TrainingTimedOut):
        if await is_done(process, outcome, ticket):
            return
    fence = _fence(ticket)
    newest = await process.log.last("EVENTS", fence.subject_filter)
    if newest is not None and newest.seq != fence.last_seq:
        process.logger.warning(
            "a newer training was asked for", ticket=ticket.ticket, newest=newest.seq
        )
        return
    process.doing = f"training {request.config} generation {request.generation}"
    settings, _ = await process.settings(request.settings_version)
    chosen = settings_of(request, settings)
    window = await _window(process, request, chosen)
    start = await _start(process, ticket)
    teacher = await process.blobs.get(MODEL_BUCKET, request.teacher) if request.teacher else None
    trainer = await _trainer(process, ticket, window, chosen, start, teacher)
    await process.log.append(
        [process.draft(_started(process, ticket, trainer), cause=ticket.cause, key=deliveries)]
    )
    began = time.monotonic()
    progress = await _run(process, ticket, trainer)
    try:
        await _publish(process, ticket, trainer, progress, time.monotonic() - began)
    except ConcurrencyError as error:
        process.logger.warning(
            "finished too late, nothing is registered", ticket=ticket.ticket, error=str(error)
        )
    await process.blobs.delete(SNAPSHOT_BUCKET, ticket.ticket)


def settings_of(request: TrainingRequested, settings: Settings) -> TrainingSettings:
    """What the training is done under: the settings, with what the request says otherwise."""
    adjusted = load(request.hyperparameters, base=settings).training
    return replace(
        adjusted, architecture=request.architecture, epochs=adjusted.epochs * request.intensity
    )


async def _window(
    process: Process, request: TrainingRequested, settings: TrainingSettings
) -> Window:
    """The requested shards as arrays; lost ones are made again."""
    facts = {
        fact.digest: fact
        for fact, _ in (await exported_shards(process.log)).get(request.config, [])
    }
    missing = [digest for digest in request.shards if digest not in facts]
    if missing:
        raise TrainingError(
            f"no shard fact with encoder {ENCODER} for {', '.join(missing)}; another build asked for this training"
        )
    blobs = [await shard_bytes(process, facts[digest]) for digest in request.shards]
    weights = request.shard_weights or (1.0,) * len(blobs)

    def opened() -> Window:
        shards = [
            weighed(read_shard(data), weight) for data, weight in zip(blobs, weights, strict=True)
        ]
        return open_window(shards, settings.window_samples)

    return await asyncio.to_thread(opened)


async def _start(process: Process, ticket: TrainingTicket) -> bytes | None:
    """The network to start from, or an older one where it is lost. One of another architecture has
    no weights to give, and the training begins afresh."""
    request = ticket.request
    if request.parent is None:
        return None
    parent, data = await wanted_or_older(
        process, ticket, request.parent, lambda model: process.blobs.get(MODEL_BUCKET, model)
    )
    found = header_of(data).architecture
    if found != canonical(request.architecture):
        process.logger.warning(
            "starts afresh",
            architecture=request.architecture,
            parent=parent,
            parent_architecture=found,
        )
        return None
    return data


async def _trainer(
    process: Process,
    ticket: TrainingTicket,
    window: Window,
    settings: TrainingSettings,
    start: bytes | None,
    teacher: bytes | None,
) -> Trainer:
    """A trainer at its newest checkpoint, or at the beginning if there is none that fits."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)  # each replica has a thread of its own
    resume: bytes | None = None
    with contextlib.suppress(BlobMissing):
        resume = await process.blobs.get_named(SNAPSHOT_BUCKET, ticket.ticket)

    def make(checkpoint: bytes | None) -> Trainer:
        return trainer_of(settings.architecture)(
            window,
            settings,
            seed=ticket.request.seed,
            start=start,
            teacher=teacher,
            resume=checkpoint,
            device=device,
            replicas=1 if device == "cuda" else threads(),
        )

    try:
        return await asyncio.to_thread(make, resume)
    except TrainingError as error:
        if resume is None:
            raise
        process.logger.warning("checkpoint does not fit", ticket=ticket.ticket, error=str(error))
        return await asyncio.to_thread(make, None)


async def _run(process: Process, ticket: TrainingTicket, trainer: Trainer) -> Progress:
    """Train in a thread, with checkpoints and progress going to the log.

    Raises Drained when told to stop, TrainingError when the log says that this training was
    killed."""
    call = _caller(asyncio.get_running_loop())
    request = ticket.request
    killed = asyncio.Event()
    latest: list[Progress] = []
    told = time.monotonic()

    def on_progress(progress: Progress) -> None:
        latest[:] = [progress]
        fact = TrainingProgressed(
            config=request.config,
            generation=request.generation,
            ticket=ticket.ticket,
            step=progress.step,
            steps=progress.steps,
            loss=progress.loss,
            policy_loss=progress.policy_loss,
            value_loss=progress.value_loss,
            validation_loss=progress.validation_loss,
            samples_per_second=progress.samples_per_second,
        )
        call(process.log.append([process.draft(fact, cause=ticket.cause, key=progress.step)]))

    def on_checkpoint(data: bytes) -> None:
        nonlocal told
        call(process.blobs.put_named(SNAPSHOT_BUCKET, ticket.ticket, data))
        if latest and time.monotonic() - told >= SIGN_OF_LIFE_SECONDS:
            told = time.monotonic()
            fact = TrainingCheckpointed(
                config=request.config,
                generation=request.generation,
                ticket=ticket.ticket,
                step=latest[0].step,
                steps=latest[0].steps,
                loss=latest[0].loss,
                node=process.node,
            )
            call(process.log.append([process.draft(fact, cause=ticket.cause, key=latest[0].step)]))

    def stop() -> bool:
        process.condition.worked(time.monotonic())
        return process.stopping or killed.is_set()

    def job() -> Progress | None:
        return trainer.run(on_progress=on_progress, on_checkpoint=on_checkpoint, stop=stop)

    watching = asyncio.create_task(_watch(process, ticket, killed))
    try:
        progress = await asyncio.to_thread(job)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    if killed.is_set():
        raise TrainingError(
            "killed: it gave no sign of life for too long, and another one was asked for"
        )
    if trainer.step < trainer.steps or progress is None:
        await process.blobs.put_named(
            SNAPSHOT_BUCKET, ticket.ticket, await asyncio.to_thread(trainer.checkpoint)
        )
        raise Drained
    return progress


async def _watch(process: Process, ticket: TrainingTicket, killed: asyncio.Event) -> None:
    """Set `killed` once the log says so of this ticket."""
    cause = int(ticket.cause.partition("/")[2])
    async for event, _ in read.follow(
        process.log, TrainingTimedOut, scope=ticket.request.config, after=cause
    ):
        if event.ticket == ticket.ticket:
            killed.set()
            return


async def _publish(
    process: Process, ticket: TrainingTicket, trainer: Trainer, progress: Progress, seconds: float
) -> None:
    """The blob first, then both facts as one batch. Raises ConcurrencyError if a newer training was
    asked for meanwhile."""
    request = ticket.request
    data = await asyncio.to_thread(trainer.model)
    model = await process.blobs.put(MODEL_BUCKET, data)
    header = header_of(data)
    registered = ModelRegistered(
        config=request.config,
        model=model,
        generation=request.generation,
        architecture=header.architecture,
        encoder=header.encoder,
        parameters=sum(parameter.numel() for parameter in trainer.network.parameters()),
        parents=header.parents,
        ticket=ticket.ticket,
    )
    finished = TrainingFinished(
        config=request.config,
        generation=request.generation,
        ticket=ticket.ticket,
        model=model,
        steps=trainer.steps,
        samples=len(trainer.window),
        loss=progress.loss,
        policy_loss=progress.policy_loss,
        value_loss=progress.value_loss,
        validation_loss=progress.validation_loss,
        train_seconds=seconds,
        node=process.node,
    )
    drafts = [process.draft(fact, cause=ticket.cause) for fact in (finished, registered)]
    await process.log.append(drafts, _fence(ticket))
    await process.log.append(
        drafts
    )  # not written again, but kept in the ledger: nobody would decide this anew if it were lost


def _fence(ticket: TrainingTicket) -> Expect:
    """That this ticket's request is the config's newest one."""
    subject = type_of(TrainingRequested).filter(ticket.request.config)
    return Expect(subject, int(ticket.cause.partition("/")[2]))


def _started(process: Process, ticket: TrainingTicket, trainer: Trainer) -> TrainingStarted:
    request = ticket.request
    return TrainingStarted(
        config=request.config,
        generation=request.generation,
        ticket=ticket.ticket,
        node=process.node,
        device=str(trainer.device),
        resumed_step=trainer.step,
    )


def _caller(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, Result]], Result]:
    """Runs a coroutine on `loop` from another thread and waits for it."""

    def call(work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    return call


if __name__ == "__main__":
    run("trainer", main)
