"""Moving networks that are not in use from their bucket to the archive."""

from datetime import timedelta

from ringrift.consumers.archiving.state import State
from ringrift.events.facts import ModelArchived
from ringrift.events.settings import ArchiveSettings
from ringrift.log.object_store import ObjectStore
from ringrift.log.protocol import Expect
from ringrift.log.topology import MODEL_BUCKET
from ringrift.runtime.process import Process


async def move(
    process: Process, fence: Expect, store: ObjectStore, settings: ArchiveSettings, state: State
) -> None:
    """Archive the networks that were not needed for `models_keep_hours`, and delete them from the
    bucket. Raises StoreError, BlobCorrupt."""
    before = process.clock.now() - timedelta(hours=settings.models_keep_hours)
    idle = state.idle_networks(before)
    for digest in await process.blobs.names(MODEL_BUCKET):
        if digest in idle and not process.stopping:
            await _move(process, fence, store, idle[digest], digest)


async def _move(
    process: Process, fence: Expect, store: ObjectStore, config: str, digest: str
) -> None:
    """Store a network, read it back twice, record that, and delete it from the bucket."""
    data = await process.blobs.stored(MODEL_BUCKET, digest)
    name = f"{MODEL_BUCKET}/{digest}"
    await store.put(name, data)
    for _ in range(2):
        await store.get_checked(name, digest)
    place = f"{store.place.rstrip('/')}/{name}"
    fact = ModelArchived(config=config, model=digest, size_bytes=len(data), place=place)
    await process.append(fact, key=digest, expect=fence)
    await process.blobs.delete(MODEL_BUCKET, digest)
    process.logger.info("network archived", model=digest, place=place)
