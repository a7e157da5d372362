"""`ringrift train`: one training by hand, without the loop."""

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ringrift.cli.common import HERE, Assignments, Config, PositiveInt, Session, opened, show
from ringrift.cluster.terminal import progress
from ringrift.errors import CommandError
from ringrift.events.settings import Settings
from ringrift.events.settings_sources import from_arguments, load
from ringrift.log.errors import Unreachable
from ringrift.log.read import settings_in_force

Shards = Annotated[tuple[str, ...], Parameter(consume_multiple=True, metavar="FILE|DIGEST")]


async def train(
    *,
    config: tuple[Config, ...],
    shards: Shards,
    init: Annotated[str | None, Parameter(metavar="FILE|DIGEST")] = None,
    architecture: str | None = None,
    steps: PositiveInt | None = None,
    seed: int = 0,
    set: Assignments = (),
    output: Path | None = None,
    publish: bool = False,
    why: str = "",
    session: Session = HERE,
) -> None:
    """Train a network from shards, without the loop.

    Args:
        config: Board and number of seats, such as hex8_2p; several for one network that learns from
            shards of each in turn.
        shards: Oldest first: files, or first digits of digests of stored shards.
        init: Start from the weights of this network [default: random weights].
        architecture: The network's [default: that of --init, or of the settings].
        steps: Number of gradient steps [default: from the epochs of the settings].
        seed: Seed of the weights and of the order of samples.
        set: Change one setting, such as training.batch=128; may be repeated.
        output: Write the network to this file.
        publish: Register the network in the log, so that the loop measures it.
        why: The reason, recorded with --publish.
    """
    from ringrift.cluster import networks
    from ringrift.insight.models import hand_training, model_store
    from ringrift.learning.families import checkpoint_of
    from ringrift.nets.header import digest_of

    if not shards:
        raise CommandError("there is nothing to train on: give --shards FILE|DIGEST ...")
    _check_destination(output, publish, why)
    named = not all(model_store.is_file(name) for name in (*shards, *((init,) if init else ())))
    async with contextlib.AsyncExitStack() as leaving:
        log = None
        with contextlib.suppress(*() if publish or named or session.server else (Unreachable,)):
            log = await leaving.enter_async_context(opened(session))
        settings = (await settings_in_force(log))[0] if log else Settings()
        start = (await model_store.found(init, log))[1] if init else None
        own = checkpoint_of(start).header.architecture if start else None
        chosen = {"training.architecture": name} if (name := architecture or own) else {}
        chosen |= from_arguments(set)
        settings = load(chosen, base=settings)
        read = await hand_training.shards(shards, log, config)
        stopping = threading.Event()  # the thread goes on when this command is interrupted
        title = f"training {settings.training.architecture} for {', '.join(config)}"
        leaving.callback(stopping.set)
        with progress(title) as bar:
            trained = await asyncio.to_thread(
                hand_training.train,
                read,
                settings.training,
                steps=steps,
                start=start,
                seed=seed,
                report=lambda item: bar(item.step, item.steps),
                stop=stopping.is_set,
            )
        if output is not None:
            await asyncio.to_thread(output.write_bytes, trained.data)
        model = digest_of(trained.data)
        if publish and log is not None:
            source = f"ringrift train on {trained.samples:,} samples"
            await networks.register(log, trained.data, source=source, why=why)
    last = trained.progress
    document = {"model": model, "samples": trained.samples, "published": publish, "last": last}
    losses = f"loss {last.loss:.4f} (policy {last.policy_loss:.4f}, value {last.value_loss:.4f})"
    text = f"{last.steps:,} steps on {trained.samples:,} samples, {losses}"
    show(document, session.json, model, text)


def _check_destination(output: Path | None, publish: bool, why: str) -> None:
    """Raise CommandError, before hours of training, if the network cannot be kept."""
    if output is None and not publish:
        raise CommandError("the network would be lost: give --output FILE, --publish, or both")
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        raise CommandError(f"{output} cannot be written: name a file in an existing folder")
    if publish and not why:
        raise CommandError("give the reason for publishing it with --why")
