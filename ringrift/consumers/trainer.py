"""Trains networks: shards in, a network and its facts out. A killed training resumes from its
newest checkpoint, on any node.

A config has one training at a time: the sequence of its request is the fencing token. The log
refuses the results of a trainer once a newer training was requested, so a trainer that was paused
registers nothing when it continues."""

import asyncio

from ringrift.consumers.training.inputs import trainer_for
from ringrift.consumers.training.supervision import run_training
from ringrift.events import Fact, type_of
from ringrift.events import facts as f
from ringrift.events.tickets import TrainingTicket
from ringrift.learning.families import header_of
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import Progress
from ringrift.log.errors import ConcurrencyError
from ringrift.log.protocol import Expect
from ringrift.log.topology import EVENTS, MODEL_BUCKET, SNAPSHOT_BUCKET
from ringrift.runtime.process import Process
from ringrift.runtime.run import run
from ringrift.runtime.work import fields_of, is_done, work


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
    try:
        await publish(process, ticket, trainer, progress, process.clock.monotonic() - began)
    except ConcurrencyError as error:
        logger.warning("finished too late, not registered", ticket=ticket.ticket, error=str(error))
    await process.blobs.delete(SNAPSHOT_BUCKET, ticket.ticket)


async def publish(
    process: Process, ticket: TrainingTicket, trainer: Trainer, progress: Progress, seconds: float
) -> None:
    """Store the network, then append both facts as one batch. Raises ConcurrencyError if a newer
    training was requested meanwhile."""
    request = ticket.request
    data = await asyncio.to_thread(trainer.model)
    model = await process.blobs.put(MODEL_BUCKET, data)
    header = header_of(data)
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
