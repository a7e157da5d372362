"""The inputs of a training: its settings, samples, initial weights and checkpoint."""

import asyncio
import contextlib

import torch
from msgspec.structs import replace

from ringrift.consumers.networks.fetching import wanted_or_older
from ringrift.consumers.shards.building import exported_shards, shard_bytes
from ringrift.events.facts import TrainingRequested
from ringrift.events.settings import Settings, TrainingSettings
from ringrift.events.settings_sources import load
from ringrift.events.tickets import TrainingTicket
from ringrift.learning.families import header_of, trainer_of
from ringrift.learning.shards import read_shard, weighed
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import TrainingError
from ringrift.learning.window import Window, open_window
from ringrift.log.errors import BlobMissing
from ringrift.log.topology import MODEL_BUCKET, SNAPSHOT_BUCKET
from ringrift.nets.encoding import ENCODER
from ringrift.nets.shapes import canonical
from ringrift.runtime.host import threads
from ringrift.runtime.process import Process


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
        resume = await process.blobs.get_named(SNAPSHOT_BUCKET, ticket.ticket)

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


def settings_of(request: TrainingRequested, settings: Settings) -> TrainingSettings:
    """The settings of a training, adjusted by its request."""
    adjusted = load(request.hyperparameters, base=settings).training
    epochs = adjusted.epochs * request.intensity
    return replace(adjusted, architecture=request.architecture, epochs=epochs)


async def _window(
    process: Process, request: TrainingRequested, settings: TrainingSettings
) -> Window:
    """The requested shards as arrays; lost ones are rebuilt."""
    exported = (await exported_shards(process.log)).get(request.config, [])
    facts = {fact.digest: fact for fact, _ in exported}
    # a shard of another encoder holds features that this build's networks do not have
    missing = [digest for digest in request.shards if digest not in facts]
    if missing:
        why = "another build requested this training"
        raise TrainingError(f"no shard fact with encoder {ENCODER} for {', '.join(missing)}; {why}")
    blobs = [await shard_bytes(process, facts[digest]) for digest in request.shards]
    weights = request.shard_weights or (1.0,) * len(blobs)

    def opened() -> Window:
        pairs = zip(blobs, weights, strict=True)
        shards = [weighed(read_shard(data), weight) for data, weight in pairs]
        return open_window(shards, settings.window_samples)

    return await asyncio.to_thread(opened)


async def initial_weights(process: Process, ticket: TrainingTicket) -> bytes | None:
    """The network to start from, or an older one if it is lost. None, for random weights, without
    a parent or if the parent has another architecture."""
    request, blobs = ticket.request, process.blobs
    if request.parent is None:
        return None
    parent, data = await wanted_or_older(
        process, ticket, request.parent, lambda model: blobs.get(MODEL_BUCKET, model)
    )
    found = header_of(data).architecture
    if found == canonical(request.architecture):
        return data
    wanted = request.architecture
    logger = process.logger.bind(parent=parent, parent_architecture=found, architecture=wanted)
    logger.warning("starts with random weights")
    return None
