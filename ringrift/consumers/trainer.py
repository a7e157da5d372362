"""Trains networks: shards in, a network and its facts out. A killed training resumes from its
newest checkpoint, on any node. One on several configs records its facts for each of them, and
registers its network once.

A config has one training at a time: the sequence of its request is the fencing token. The log
refuses the results of a trainer once a newer training was requested, so a trainer that was paused
registers nothing when it continues."""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
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
from ringrift.learning.schedule import steps_for
from ringrift.learning.shards import read_shard, weighed
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import Progress, TrainingError
from ringrift.learning.window import Window, open_window
from ringrift.log import read
from ringrift.log.errors import BlobMissing, ConcurrencyError
from ringrift.log.protocol import Expect
from ringrift.log.topology import CHECKPOINT_BUCKET, EVENTS, MODEL_BUCKET
from ringrift.nets.encoding import ENCODER
from ringrift.nets.shapes import NNUES, canonical
from ringrift.runtime.host import return_memory, threads
from ringrift.runtime.process import Drained, Process, cancel
from ringrift.runtime.run import run
from ringrift.runtime.work import drafts, fields_of, is_done, work

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
    await process.log.append(drafts(process, ticket, started, deliveries))
    began = process.clock.monotonic()
    progress = await run_training(process, ticket, trainer)
    if progress is None:
        logger.warning("timed out, and another training was requested", ticket=ticket.ticket)
        return
    try:
        await publish(process, ticket, trainer, process.clock.monotonic() - began)
    except ConcurrencyError as error:
        logger.warning("finished too late, not registered", ticket=ticket.ticket, error=str(error))
    await process.blobs.delete(CHECKPOINT_BUCKET, ticket.ticket)


async def trainer_for(process: Process, ticket: TrainingTicket) -> Trainer:
    """A trainer at its newest checkpoint, or at the start if no checkpoint fits."""
    request = ticket.request
    in_force, _ = await process.settings(request.settings_version)
    settings = settings_of(request, in_force)
    windows = await _windows(process, request, settings)
    start = await initial_weights(process, ticket)
    teacher = await process.blobs.get(MODEL_BUCKET, request.teacher) if request.teacher else None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)  # each replica has a thread of its own
    resume: bytes | None = None
    with contextlib.suppress(BlobMissing):
        resume = await process.blobs.get_named(CHECKPOINT_BUCKET, ticket.ticket)

    replicas = 1 if device == "cuda" or settings.architecture in NNUES else threads()

    def make(checkpoint: bytes | None) -> Trainer:
        return trainer_of(settings.architecture)(
            windows[0],
            settings,
            seed=request.seed,
            steps=steps_of(windows, request, settings),
            others=windows[1:],
            start=start,
            teacher=teacher,
            resume=checkpoint,
            device=device,
            replicas=replicas,
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


def steps_of(
    windows: Sequence[Window], request: f.TrainingRequested, settings: TrainingSettings
) -> tuple[int, ...]:
    """The steps on each window; `settings` are those of the request."""
    intensities = {one.config: one.intensity for one in request.windows}
    factors = [intensities[one.config.key] / request.intensity for one in windows]
    return tuple(
        steps_for(replace(settings, epochs=settings.epochs * factor), len(window))
        for window, factor in zip(windows, factors, strict=True)
    )


async def _windows(
    process: Process, request: f.TrainingRequested, settings: TrainingSettings
) -> list[Window]:
    """The requested shards of each config as arrays, that of the largest board first, because an
    NNUE has its rows; lost shards are rebuilt."""
    exported = await exported_shards(process.log)
    windows = []
    for wanted in request.windows:
        facts = {fact.digest: fact for fact, _ in exported.get(wanted.config, [])}
        # a shard of another encoder holds features that this build's networks do not have
        missing = [digest for digest in wanted.shards if digest not in facts]
        if missing:
            why = "another build requested this training"
            raise LookupError(
                f"no shard fact with encoder {ENCODER} for {', '.join(missing)}; {why}"
            )
        blobs = [await shard_bytes(process, facts[digest]) for digest in wanted.shards]
        weights = wanted.shard_weights or (1.0,) * len(blobs)
        most = settings.window_samples
        windows.append(await asyncio.to_thread(_opened, wanted.config, blobs, weights, most))
    return sorted(windows, key=lambda window: -len(window.config.shape.cells))


def _opened(
    config: str, blobs: Sequence[bytes], weights: Sequence[float], samples_max: int
) -> Window:
    pairs = zip(blobs, weights, strict=True)
    window = open_window([weighed(read_shard(data), weight) for data, weight in pairs], samples_max)
    if window.config.key != config:
        raise TrainingError(f"shards of {window.config.key} cannot train {config}")
    return_memory()  # of the shards, as much as the window takes
    return window


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
        wait_for(process.log.append(drafts(process, ticket, fact, progress.step)))

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
            wait_for(process.log.append(drafts(process, ticket, fact, latest.step)))

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
    process: Process, ticket: TrainingTicket, trainer: Trainer, seconds: float
) -> None:
    """Store the network, then append both facts as one batch. Raises ConcurrencyError if a newer
    training was requested meanwhile."""
    request = ticket.request
    data = await asyncio.to_thread(trainer.model)
    header = checkpoint_of(data).header  # refuses weights that are not finite
    model = await process.blobs.put(MODEL_BUCKET, data)
    generations = request.generations
    registered = f.ModelRegistered(
        config=request.config,
        model=model,
        generation=request.generation,
        architecture=header.architecture,
        encoder=header.encoder,
        parameters=sum(parameter.numel() for parameter in trainer.network.parameters()),
        parents=header.parents,
        ticket=ticket.ticket,
        serves={name: n for name, n in generations.items() if name != request.config},
    )
    parts = trainer.parts()
    steps = sum(parts[name].steps for name in generations)
    finished = f.TrainingFinished(
        **fields_of(process, ticket),
        generation=request.generation,
        model=model,
        train_seconds=seconds,
        **asdict(parts[request.config]),
    )
    items = drafts(process, ticket, finished)
    for number, (name, item) in enumerate(zip(generations, items, strict=True)):
        share = seconds * parts[name].steps / steps
        own = replace(item.event, train_seconds=share, **asdict(parts[name]))
        items[number] = replace(item, event=own)
    items.append(process.draft(registered, cause=ticket.cause))
    # republished if the server loses them, because no decider would decide them again
    await process.log.append(items, _fence(ticket), republish=True)


def _fence(ticket: TrainingTicket) -> Expect:
    """The expectation that this ticket's request is the newest one of its config."""
    subject = type_of(f.TrainingRequested).filter(ticket.request.config)
    return Expect(subject, int(ticket.cause.partition("/")[2]))


if __name__ == "__main__":
    run("trainer", main)
