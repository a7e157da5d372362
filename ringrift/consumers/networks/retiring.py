"""Deletes the networks that the log says are retired, unless they came back."""

from ringrift.events.facts import ModelKept, ModelRegistered, ModelRetired
from ringrift.log import read
from ringrift.log.errors import StreamError
from ringrift.log.topology import EVENTS, MODEL_BUCKET
from ringrift.runtime.process import Process

READS = ModelRetired, ModelKept, ModelRegistered


async def delete_retired(process: Process) -> None:
    """Delete what was retired so far, then each network as it is retired, until cancelled."""
    retired, tail = set[str](), await process.log.tail(EVENTS)
    async for event, _ in read.facts(process.log, *READS, until=tail):
        if isinstance(event, ModelRetired):
            retired.add(event.model)
        elif isinstance(event, ModelRegistered) or (isinstance(event, ModelKept) and event.kept):
            retired.discard(event.model)
    for model in sorted(retired.intersection(await process.blobs.names(MODEL_BUCKET))):
        await _delete(process, model)
    async for event, _ in read.follow(process.log, ModelRetired, after=tail):
        await _delete(process, event.model)


async def _delete(process: Process, model: str) -> None:
    try:
        await process.blobs.delete(MODEL_BUCKET, model)
        process.logger.info("network deleted", model=model)
    except StreamError as error:  # the next start tries again
        process.logger.warning("network not deleted", model=model, error=str(error))
