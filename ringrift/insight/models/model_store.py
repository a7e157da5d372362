"""Networks as bytes: found in a file or in the store, transferred, exported, published."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

from ringrift.errors import CommandError
from ringrift.events import draft
from ringrift.events.facts import (
    IncumbentChanged,
    ModelArchived,
    ModelDerived,
    ModelKept,
    ModelPromoted,
    ModelRolledBack,
)
from ringrift.insight.describe import DIGITS_MIN, completed
from ringrift.insight.models.model_card import weights
from ringrift.learning.families import checkpoint_of
from ringrift.log import read
from ringrift.log.blobs import Blobs
from ringrift.log.protocol import Log
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets import onnx_export, transfer as transfers
from ringrift.nets.checkpoint import TowerCheckpoint
from ringrift.nets.header import digest_of
from ringrift.nets.shapes import UnknownArchitecture
from ringrift.rules.config import Config

DIGEST = re.compile(rf"[0-9a-f]{{{DIGITS_MIN},64}}")
"""A digest, or its first digits."""
SOURCE = "ringrift"


def is_file(model: str) -> bool:
    """Whether an argument is the name of a file rather than the digest of a stored network."""
    return not DIGEST.fullmatch(model) or Path(model).exists()


async def found(model: str, log: Log | None) -> tuple[str, bytes]:
    """Return digest and bytes of the network in a file, or of the stored one whose digest starts
    with `model`. Raises CommandError."""
    if is_file(model):
        try:
            data = await asyncio.to_thread(Path(model).read_bytes)
        except OSError as error:
            digits = f"the first {DIGITS_MIN} or more digits of a digest"
            why = f"it is neither a file ({error.strerror}) nor {digits}: see `ringrift model list`"
            raise CommandError(f"cannot read {model}: {why}") from error
        return digest_of(data), data
    assert log is not None
    digest = await digest_of_stored(model, log)
    return digest, await Blobs(log).get(MODEL_BUCKET, digest)


async def digest_of_stored(model: str, log: Log) -> str:
    """Return the whole digest of a network in the bucket or in the archive. Raises CommandError."""
    known = set(await Blobs(log).names(MODEL_BUCKET))
    known |= {fact.model async for fact, _ in read.facts(log, ModelArchived)}
    return completed(model, sorted(known), "in the store")


async def keep(log: Log, model: str, kept: bool, why: str) -> str:
    """Have a network stay in the bucket, where it returns from the archive if it is there, or leave
    it to the archiver from now on; return its digest. Raises CommandError, BlobMissing."""
    digest, data = await found(model, log)
    fact = ModelKept(config=checkpoint_of(data).header.config_key, model=digest, kept=kept, why=why)
    time = datetime.now(UTC)
    await log.append([draft(fact, cause=None, source=SOURCE, time=time, key=f"{digest}.{time}")])
    if kept:
        await Blobs(log).put(MODEL_BUCKET, data)
    return digest


def transferred(data: bytes, target: str) -> bytes:
    """Return a network for another config that starts from the weights of this one. Raises
    CommandError, CheckpointError."""
    try:
        return transfers.transfer(checkpoint_of(data), Config.parse(target))
    except UnknownArchitecture as error:
        raise CommandError(str(error)) from error


def exported(data: bytes) -> tuple[bytes, float]:
    """Return a network as an ONNX graph, and the largest difference between the outputs of both.

    Raises CommandError, CheckpointError, OnnxError."""
    checkpoint = checkpoint_of(data)
    if not isinstance(checkpoint, TowerCheckpoint):
        header = checkpoint.header
        name = f"{header.architecture} for {header.config_key}"
        why = "which cannot be exported: it plays in whole numbers on any CPU as it is"
        raise CommandError(f"this is an NNUE ({name}), {why}")
    return onnx_export.export(data)


async def incumbent(log: Log, config: str) -> str | None:
    """Return the digest of the current network of a config."""
    kinds: tuple[type[IncumbentChanged], ...] = ModelPromoted, ModelRolledBack
    found = [await read.latest(log, kind, config) for kind in kinds]
    newest = max(filter(None, found), key=lambda item: item.meta.seq, default=None)
    return newest.event.current if newest else None


async def publish(log: Log, data: bytes) -> str:
    """Store a derived network, then the fact that it exists, unless it is stored already; return
    its digest."""
    checkpoint = checkpoint_of(data)
    header = checkpoint.header
    model = await Blobs(log).put(MODEL_BUCKET, data)
    fact = ModelDerived(
        config=header.config_key,
        model=model,
        architecture=header.architecture,
        encoder=header.encoder,
        parameters=weights(checkpoint),
        parents=header.parents,
        method=header.notes.get("derived", transfers.METHOD),
    )
    async for known in read.facts(log, ModelDerived, scope=fact.config):
        if known.event == fact:
            return model
    await log.append([draft(fact, cause=None, source=SOURCE, time=datetime.now(UTC), key=model)])
    return model
