"""Verification of what is stored beside the streams: every shard is made again from its games and
compared, every blob is read, and blobs that facts name must be there."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping

from msgspec import structs

from ringrift.consumers.shards.building import games_in, make_shard, retractions_until
from ringrift.consumers.verification.report import Level, Problem
from ringrift.events import facts
from ringrift.log import read, snapshots
from ringrift.log.blobs import Blobs
from ringrift.log.errors import BlobCorrupt, BlobMissing, StoreError
from ringrift.log.protocol import Log
from ringrift.log.topology import CHECKPOINT_BUCKET, FOLD_BUCKET, MODEL_BUCKET, SHARD_BUCKET
from ringrift.nets.encoding import ENCODER
from ringrift.runtime import folds


async def shard_problem(log: Log, shard: facts.ShardExported, position: str) -> Problem | None:
    """Make a shard again from its range of games, and return the problem if it differs."""
    if shard.encoder != ENCODER:
        text = f"shard {shard.index} of {shard.config} is of encoder {shard.encoder}"
        return Problem("shard", position, "warn", f"{text}; this program has {ENCODER}")
    retractions = await retractions_until(log, shard.config, shard.events_seq)
    games, total = await games_in(log, shard, retractions, shard.targets_seq)
    data, counts = await asyncio.to_thread(make_shard, shard.config, games)
    made = {
        "games": total + sum(map(len, shard.refused.values())),
        "retracted": total - len(games),
        "samples": counts.samples,
        "size_bytes": len(data),
        "digest": hashlib.sha256(data).hexdigest(),
    }
    recorded = structs.asdict(shard)
    fields = [
        f"{name} {recorded[name]} should be {value}"
        for name, value in made.items()
        if recorded[name] != value
    ]
    if not fields:
        return None
    text = f"shard {shard.index} of {shard.config} made again differs: {', '.join(fields)}"
    return Problem("shard", position, "fail", text)


async def blob_problems(
    log: Log, named: Mapping[str, Mapping[str, str]], count: list[int]
) -> AsyncIterator[Problem]:
    """Read every blob and yield the damaged and the missing ones. `named` are positions of facts by
    bucket and digest; `count` receives the number of blobs of each bucket."""
    blobs = Blobs(log)
    for bucket in (MODEL_BUCKET, SHARD_BUCKET, FOLD_BUCKET, CHECKPOINT_BUCKET):
        stored = dict.fromkeys(await blobs.names(bucket))
        count.append(len(stored))
        for name in stored:
            if (text := await _damage(blobs, bucket, name)) is not None:
                yield Problem("blob", f"{bucket}/{name}", "fail", text)
        archived = set[str]()
        if bucket == MODEL_BUCKET:
            archived = {fact.model async for fact, _ in read.facts(log, facts.ModelArchived)}
        for name, position in named.get(bucket, {}).items():
            if name not in stored and name not in archived:
                yield _missing(bucket, name, position)


async def archive_problems(log: Log) -> AsyncIterator[Problem]:
    """Read every segment of the archive, and every network that is only there, and yield the
    damaged and missing ones."""
    await log.archive.refresh()
    stored = set(await Blobs(log).names(MODEL_BUCKET))
    networks = [fact async for fact, _ in read.facts(log, facts.ModelArchived)]
    named = [(one.place, one.model, True) for one in networks if one.model not in stored]
    for stream, segments in log.archive.segments.items():
        trimmed = await log.archive.trimmed(stream)
        named += [(one.place, one.digest, one.last_seq <= trimmed) for one in segments]
    for place, digest, alone in named:
        try:
            await log.archive.cache.refetch(place, digest)
        except (BlobCorrupt, BlobMissing) as error:
            remedy = "copy it there from elsewhere" if alone else "the archiver stores it again"
            yield Problem("blob", place, "fail" if alone else "warn", f"{error}; {remedy}")
        except StoreError as error:  # that of the others too
            yield Problem("blob", place, "warn", f"the archive cannot be read: {error}")
            return


async def _damage(blobs: Blobs, bucket: str, name: str) -> str | None:
    """Read a blob; return what is wrong with it."""
    try:
        if bucket in (MODEL_BUCKET, SHARD_BUCKET):
            await blobs.stored(bucket, name)
        elif (fold := snapshots.parse(name)) is not None:
            await folds.read_snapshot(blobs, fold)
        else:
            await blobs.get_named(bucket, name)
    except BlobCorrupt as error:
        return str(error)
    except BlobMissing:
        pass  # deleted in the meantime
    return None


def _missing(bucket: str, name: str, position: str) -> Problem:
    level: Level = "fail"
    remedy = ": restore it from a backup"
    if bucket == SHARD_BUCKET:
        level, remedy = "warn", "; the exporter recreates it from its games when it starts"
    text = f"named by {position} and not stored{remedy}"
    return Problem("blob", f"{bucket}/{name}", level, text)
