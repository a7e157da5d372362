"""Training a network by hand: from shards in files or in the store, to a file or the log."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from msgspec import Struct

from ringrift.errors import CommandError
from ringrift.events.settings import TrainingSettings
from ringrift.insight.models import model_store
from ringrift.learning.families import trainer_of
from ringrift.learning.shards import Shard, ShardError, read_shard
from ringrift.learning.training import Trainer
from ringrift.learning.training_state import Progress, TrainingError
from ringrift.learning.window import Window, open_window
from ringrift.log.blobs import Blobs
from ringrift.log.protocol import Log
from ringrift.log.topology import SHARD_BUCKET
from ringrift.nets.shapes import UnknownArchitecture
from ringrift.runtime.host import threads

Report = Callable[[Progress], None]


class Trained(Struct, frozen=True, kw_only=True):
    """A network that was trained by hand, and its last report."""

    data: bytes
    samples: int
    progress: Progress


async def shards(names: Sequence[str], log: Log | None, configs: Sequence[str]) -> list[Shard]:
    """Return the shards in files, or in the store by the first digits of their digests. Raises
    CommandError that names the bad one, or a config without one."""
    found = []
    for name in names:
        data = await _bytes(name, log)
        try:
            shard = await asyncio.to_thread(read_shard, data)
        except ShardError as error:
            raise CommandError(f"{name}: {error}") from error
        if shard.config.key not in configs:
            raise CommandError(
                f"{name} is a shard of {shard.config.key}, not {' or '.join(configs)}"
            )
        found.append(shard)
    missing = {*configs} - {shard.config.key for shard in found}
    if missing:
        raise CommandError(f"there is no shard of {', '.join(sorted(missing))} among --shards")
    return found


async def _bytes(name: str, log: Log | None) -> bytes:
    if model_store.is_file(name):
        try:
            return await asyncio.to_thread(Path(name).read_bytes)
        except OSError as error:
            remedy = "give files of shards, or digests of `ringrift events tail`"
            raise CommandError(f"cannot read {name}: {error.strerror}; {remedy}") from error
    if log is None:
        raise CommandError(f"{name} is the digest of a stored shard, but no log is available")
    blobs = Blobs(log)
    found = [one for one in await blobs.names(SHARD_BUCKET) if one.startswith(name)]
    if len(found) != 1:
        raise CommandError(f"{len(found) or 'no'} stored shards start with {name}: give its digest")
    return await blobs.get(SHARD_BUCKET, found[0])


def train(
    data: Sequence[Shard],
    settings: TrainingSettings,
    *,
    steps: int | None,
    start: bytes | None,
    seed: int,
    report: Report,
    stop: Callable[[], bool],
) -> Trained:
    """Train to the last step, or until `stop()` returns true; on the shards of several configs in
    turn. Raises CommandError."""
    try:
        by_config: dict[str, list[Shard]] = {}
        for shard in data:
            by_config.setdefault(shard.config.key, []).append(shard)
        windows = [open_window(some, settings.window_samples) for some in by_config.values()]
        trainer = _trainer(windows, settings, steps=steps, start=start, seed=seed)
        progress = trainer.run(on_progress=report, stop=stop)
    except (ShardError, TrainingError, UnknownArchitecture) as error:
        raise CommandError(str(error)) from error
    if progress is None:
        raise CommandError("the training was stopped before its first report")
    return Trained(data=trainer.model(), samples=sum(map(len, windows)), progress=progress)


def _trainer(
    windows: Sequence[Window],
    settings: TrainingSettings,
    *,
    steps: int | None,
    start: bytes | None,
    seed: int,
) -> Trainer:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)  # each replica has a thread of its own
    return trainer_of(settings.architecture)(
        windows[0],
        settings,
        seed=seed,
        steps=steps,
        start=start,
        others=windows[1:],
        device=device,
        replicas=1 if device == "cuda" else threads(),
    )
