"""Trains networks: shards in, a network and its facts out. A killed training resumes from its
newest checkpoint, on any node.

A config has one training at a time: the sequence of its request is the fencing token. The log
refuses the results of a trainer once a newer training was requested, so a trainer that was paused
registers nothing when it continues."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import torch
from msgspec.structs import asdict, replace

from ringrift.consumers.networks.fetching import Uncertified, wanted_or_older
from ringrift.consumers.shards.building import exported_shards, shard_bytes
from ringrift.events import Fact, facts as f, type_of
from ringrift.events.settings import Settings, TrainingSettings
from ringrift.events.settings_sources import load
from ringrift.events.tickets import TrainingTicket
from ringrift.learning.families import checkpoint_of, trainer_of
from ringrift.learning.shards import read_shard, weighed
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import Progress, TrainingError
from ringrift.learning.window import Window, open_window
from ringrift.log import read
from ringrift.log.errors import BlobMissing, ConcurrencyError
from ringrift.log.protocol import Expect
from ringrift.log.topology import CHECKPOINT_BUCKET, EVENTS, MODEL_BUCKET
from ringrift.nets.encoding import ENCODER
from ringrift.nets.shapes import canonical
from ringrift.runtime.host import return_memory, threads
from ringrift.runtime.process import Drained, Process, cancel
from ringrift.runtime.run import run
from ringrift.runtime.work import fields_of, is_done, work

CHECKPOINT_FACT_SECONDS = 600.0
"""between two TrainingCheckpointed facts of a long training: enough for a timeout of two hours; a
short training writes none"""


async def main(process: Process) -> None:
    """Work on training tickets."""
    await work(process, "training", train, failed)


def failed(process: Process, ticket: TrainingTicket, reason: str) -> Fact:
    """The outcome of a training that failed for good."""
    generation = ticket.request.generation
    return f.TrainingFailed(**fields_of(process, ticket), generation=generation, reason=reason)


async def train(process: Process, ticket: TrainingTicket, deliveries: int) -> None:
    """One training, from the shards to the registered network."""
    if await is_done(process, ticket, f.TrainingFinished, f.TrainingTimedOut):
        return
    request, fence, logger = ticket.request, _fence(ticket), process.logger
    newest = await process.log.last(EVENTS, fence.subject_filter)
    if newest is not None and newest.seq != fence.last_seq:
        logger.warning("a newer training was requested", ticket=ticket.ticket, newest=newest.seq)
        return
    process.doing = f"training {request.config} generation {request.generation}"
    trainer = await trainer_for(process, ticket)
    started = f.TrainingStarted(
        **fields_of(process, ticket),
        generation=request.generation,
        device=str(trainer.device),
        resumed_step=trainer.step,
    )
    # each delivery records its start, so a resumed training shows a sign of life
    await process.append(started, cause=ticket.cause, key=deliveries)
    began = process.clock.monotonic()
    progress = await run_training(process, ticket, trainer)
    if progress is None:
        logger.warning("timed out, and another training was requested", ticket=ticket.ticket)
        return
    try:
        await publish(process, ticket, trainer, progress, process.clock.monotonic() - began)
    except ConcurrencyError as error:
        logger.warning("finished too late, not registered", ticket=ticket.ticket, error=str(error))
    await process.blobs.delete(CHECKPOINT_BUCKET, ticket.ticket)


async def trainer_for(process: Process, ticket: TrainingTicket) -> Trainer:
    """A trainer at its newest checkpoint, or at the start if no checkpoint fits."""
    request = ticket.request
    in_force, _ = await process.settings(request.settings_version)
    settings = settings_of(request, in_force)
    window = await _window(process, request, settings)
    start = await initial_weights(process, ticket)
    teacher = await process.blobs.get(MODEL_BUCKET, request.teacher) if request.teacher else None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)  # each replica has a thread of its own
    resume: bytes | None = None
    with contextlib.suppress(BlobMissing):
        resume = await process.blobs.get_named(CHECKPOINT_BUCKET, ticket.ticket)

    def make(checkpoint: bytes | None) -> Trainer:
        return trainer_of(settings.architecture)(
            window,
            settings,
            seed=request.seed,
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


def settings_of(request: f.TrainingRequested, settings: Settings) -> TrainingSettings:
    """The settings of a training, adjusted by its request."""
    adjusted = load(request.hyperparameters, base=settings).training
    epochs = adjusted.epochs * request.intensity
    return replace(adjusted, architecture=request.architecture, epochs=epochs)


async def _window(
    process: Process, request: f.TrainingRequested, settings: TrainingSettings
) -> Window:
    """The requested shards as arrays; lost ones are rebuilt."""
    exported = (await exported_shards(process.log)).get(request.config, [])
    facts = {fact.digest: fact for fact, _ in exported}
    # a shard of another encoder holds features that this build's networks do not have
    missing = [digest for digest in request.shards if digest not in facts]
    if missing:
        why = "another build requested this training"
        raise LookupError(f"no shard fact with encoder {ENCODER} for {', '.join(missing)}; {why}")
    blobs = [await shard_bytes(process, facts[digest]) for digest in request.shards]
    weights = request.shard_weights or (1.0,) * len(blobs)

    def opened() -> Window:
        pairs = zip(blobs, weights, strict=True)
        shards = [weighed(read_shard(data), weight) for data, weight in pairs]
        window = open_window(shards, settings.window_samples)
        if window.config.key != request.config:
            raise TrainingError(f"shards of {window.config.key} cannot train {request.config}")
        return_memory()  # of the shards, as much as the window takes
        return window

    return await asyncio.to_thread(opened)


async def initial_weights(process: Process, ticket: TrainingTicket) -> bytes | None:
    """The network to start from, or an older one if it is lost or has no certificate that it needs.
    None, for random weights, without a parent, if the parent has another architecture, or if no
    network has a certificate."""
    request, blobs = ticket.request, process.blobs
    if request.parent is None:
        return None
    try:
        parent, data = await wanted_or_older(
            process, ticket, request.parent, lambda model: blobs.get(MODEL_BUCKET, model)
        )
    except Uncertified as error:
        process.logger.warning("starts with random weights", why=str(error))
        return None
    found = checkpoint_of(data).header.architecture
    if found == canonical(request.architecture):
        return data
    wanted = request.architecture
    logger = process.logger.bind(parent=parent, parent_architecture=found, architecture=wanted)
    logger.warning("starts with random weights")
    return None


async def run_training(
    process: Process, ticket: TrainingTicket, trainer: Trainer
) -> Progress | None:
    """Train to the end; the last progress. None once the log reports that this training timed out:
    that is its outcome. Raises Drained when the process stops."""
    loop, now, timed_out = asyncio.get_running_loop(), process.clock.monotonic, asyncio.Event()
    latest: Progress | None = None
    request, recorded_at = ticket.request, now()

    # the callbacks run in the thread of the trainer and await the log in the event loop
    def wait_for(work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    def on_progress(progress: Progress) -> None:
        nonlocal latest
        latest = progress
        fact = f.TrainingProgressed(
            config=request.config,
            generation=request.generation,
            ticket=ticket.ticket,
            **asdict(progress),
        )
        wait_for(process.append(fact, cause=ticket.cause, key=progress.step))

    def on_checkpoint(data: bytes) -> None:
        nonlocal recorded_at
        wait_for(process.blobs.put_named(CHECKPOINT_BUCKET, ticket.ticket, data))
        if latest is not None and now() - recorded_at >= CHECKPOINT_FACT_SECONDS:
            recorded_at = now()
            fact = f.TrainingCheckpointed(
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
        return None
    if trainer.step < trainer.steps or progress is None:
        data = await asyncio.to_thread(trainer.checkpoint)
        await process.blobs.put_named(CHECKPOINT_BUCKET, ticket.ticket, data)
        raise Drained
    return progress


async def watch_for_timeout(
    process: Process, ticket: TrainingTicket, timed_out: asyncio.Event
) -> None:
    """Set the event once the log reports that this training timed out."""
    after, config = int(ticket.cause.partition("/")[2]), ticket.request.config
    async for fact, _ in read.follow(process.log, f.TrainingTimedOut, scope=config, after=after):
        if fact.ticket == ticket.ticket:
            timed_out.set()
            return


async def publish(
    process: Process, ticket: TrainingTicket, trainer: Trainer, progress: Progress, seconds: float
) -> None:
    """Store the network, then append both facts as one batch. Raises ConcurrencyError if a newer
    training was requested meanwhile."""
    request = ticket.request
    data = await asyncio.to_thread(trainer.model)
    header = checkpoint_of(data).header  # refuses weights that are not finite
    model = await process.blobs.put(MODEL_BUCKET, data)
    registered = f.ModelRegistered(
        config=request.config,
        model=model,
        generation=request.generation,
        architecture=header.architecture,
        encoder=header.encoder,
        parameters=sum(parameter.numel() for parameter in trainer.network.parameters()),
        parents=header.parents,
        ticket=ticket.ticket,
    )
    finished = f.TrainingFinished(
        **fields_of(process, ticket),
        generation=request.generation,
        model=model,
        steps=trainer.steps,
        samples=len(trainer.window),
        loss=progress.loss,
        policy_loss=progress.policy_loss,
        value_loss=progress.value_loss,
        validation_loss=progress.validation_loss,
        train_seconds=seconds,
    )
    drafts = [process.draft(fact, cause=ticket.cause) for fact in (finished, registered)]
    # republished if the server loses them, because no decider would decide them again
    await process.log.append(drafts, _fence(ticket), republish=True)


def _fence(ticket: TrainingTicket) -> Expect:
    """The expectation that this ticket's request is the newest one of its config."""
    subject = type_of(f.TrainingRequested).filter(ticket.request.config)
    return Expect(subject, int(ticket.cause.partition("/")[2]))


if __name__ == "__main__":
    run("trainer", main)
