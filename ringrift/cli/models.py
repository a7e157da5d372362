"""Commands about networks: list and describe them, derive new ones without training, register,
promote and roll back by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

from ringrift.cli.common import (
    HERE,
    TABLE,
    Config,
    Session,
    Source,
    Tabular,
    opened,
    show,
    show_rows,
)
from ringrift.errors import CommandError
from ringrift.insight.describe import short
from ringrift.insight.models.model_history import ModelHistory
from ringrift.log.errors import Unreachable
from ringrift.log.jetstream import JetStreamLog

Network: TypeAlias = Annotated[str, Parameter(metavar="DIGEST|FILE")]
Digits: TypeAlias = Annotated[str, Parameter(metavar="DIGEST")]


async def list_models(*, config: Config | None = None, session: Tabular = TABLE) -> None:
    """List the networks in the log, the oldest first.

    Args:
        config: Only those of this config.
    """
    async with opened(session) as log:
        history = await ModelHistory.read(log)
    rows = history.documents(config)
    show_rows(session, rows, rows, history.table(config))


async def show_model(model: Network, /, *, session: Session = HERE) -> None:
    """Show what is known about a network.

    Args:
        model: First digits (six or more) of its digest, or a file.
    """
    from ringrift.insight.models import model_card, model_store

    async with _log_for(model, session) as log:
        digest, data = await model_store.found(model, log)
        history = await ModelHistory.read(log)
    card = model_card.card_of(digest, data, history)
    note = None if log else "no log is available: only the file was read"
    show(card, session.json, *model_card.card_texts(card), note)


async def transfer(
    *,
    model: Network,
    to: Config,
    output: Path | None = None,
    publish: bool = False,
    session: Session = HERE,
) -> None:
    """Derive a network for more seats or another board from a network.

    Args:
        model: First digits of the digest of the network to start from, or a file.
        to: The config of the new network.
        output: Write the new network to this file.
        publish: Store it, and record the fact that it exists.
    """
    from ringrift.insight.models import model_store
    from ringrift.nets.header import digest_of

    if output is None and not publish:
        raise CommandError("the network would be lost: give --output FILE, --publish, or both")
    async with _log_for(model, session, needed=publish) as log:
        _, data = await model_store.found(model, log)
        new = model_store.transferred(data, to)
        if output is not None:
            await asyncio.to_thread(output.write_bytes, new)
        if publish and log is not None:
            await model_store.publish(log, new)
    digest = digest_of(new)
    hint = None
    if publish:
        trial = f"`ringrift model import {short(digest)} --why ...`"
        hint = f"to train from it: --set training.init={to}={digest}; to put it on trial: {trial}"
    show({"model": digest, "config": to, "published": publish}, session.json, digest, hint)


async def fetch(
    model: Network,
    /,
    *,
    format: Literal["safetensors", "onnx"] = "safetensors",
    output: Path | None = None,
    session: Session = HERE,
) -> None:
    """Write a network to a file, as it is stored or as an ONNX graph.

    The outputs of a graph are compared with the network's.

    Args:
        model: First digits (six or more) of its digest, or a file.
        format: Form of the file; onnx needs `pip install 'ringrift[onnx]'`.
        output: The file [default: the first digits of the digest, with the format as suffix].
    """
    from ringrift.insight.models import model_store

    async with _log_for(model, session) as log:
        digest, data = await model_store.found(model, log)
    within, difference = "", None
    if format == "onnx":
        data, difference = model_store.exported(data)
        within = f", outputs within {difference:.1e} of the network's"
    path = output or Path(f"{short(digest)}.{format}")
    await asyncio.to_thread(path.write_bytes, data)
    document = {"model": digest, "file": str(path), "bytes": len(data)}
    show(
        {**document, "largest_difference": difference},
        session.json,
        f"{path}: {len(data):,} bytes{within}",
    )


async def import_model(model: Network, /, *, why: str, session: Session = HERE) -> None:
    """Register a network that was trained elsewhere, so that the loop measures it.

    If it wins the test against the current network, it is promoted as any other candidate.

    Args:
        model: A file, or first digits of the digest of a stored network.
        why: The reason, recorded with the network.
    """
    from ringrift.cluster import networks
    from ringrift.insight.models import model_store

    async with opened(session) as log:
        _, data = await model_store.found(model, log)
        fact = await networks.register(log, data, source=model, why=why)
    text = f"{fact.model} is registered for {fact.config}; running consumers measure it"
    show({"registered": fact}, session.json, f"{text} (`ringrift up`)")


async def promote(model: Digits, /, *, why: str, session: Session = HERE) -> None:
    """Make a network in the log the current one of its config, without a test.

    Args:
        model: First digits of its digest; one that was derived is registered too.
        why: The reason, recorded with the promotion.
    """
    from ringrift.cluster import networks

    async with opened(session) as log:
        fact = await networks.promote(log, model, why)
    before = f" instead of {short(fact.previous)}" if fact.previous else ""
    text = f"{short(fact.model)} is the current network of {fact.config}{before}"
    show({"promoted": fact}, session.json, text)


async def keep(model: Network, /, *, why: str, session: Session = HERE) -> None:
    """Have a network stay in the store, where it returns if it was archived.

    Args:
        model: Its digest or the first digits of it.
        why: The reason, recorded with the decision.
    """
    from ringrift.insight.models import model_store

    async with opened(session) as log:
        digest = await model_store.keep(log, model, True, why)
    show({"model": digest, "kept": True}, session.json, f"{digest:.12} stays in the store")


async def archive(model: Network, /, *, why: str, session: Session = HERE) -> None:
    """Let a network leave the store for the archive once nothing needs it; undoes `model keep`.

    Args:
        model: Its digest or the first digits of it.
        why: The reason, recorded with the decision.
    """
    from ringrift.insight.models import model_store

    async with opened(session) as log:
        digest = await model_store.keep(log, model, False, why)
    text = f"{digest:.12} leaves the store once it is neither current nor a parent of a current one"
    show({"model": digest, "kept": False}, session.json, text)


async def rollback(
    config: Config, /, *, to: Digits | None = None, why: str, session: Session = HERE
) -> None:
    """Make an earlier current network the current one again.

    Nothing is promoted for a while after a rollback (`promotion.cooldown_seconds`).

    Args:
        config: Board and number of seats, such as hex8_2p.
        to: First digits of the digest of the earlier network [default: the one before].
        why: The reason, recorded with the rollback.
    """
    from ringrift.cluster import networks

    async with opened(session) as log:
        fact = await networks.roll_back(log, config, to, why)
    text = f"{short(fact.current)} is the current network of {config} again"
    show({"rolled_back": fact}, session.json, f"{text}, instead of {short(fact.model)}")


async def architectures(*, config: Config | None = None, session: Tabular = TABLE) -> None:
    """List the architectures and how many parameters each has.

    Args:
        config: List those of its networks in the log instead, with games, Elo, hours of training
            and shares of the trainings.
    """
    if config:
        from ringrift.insight.models import architecture_records

        async with opened(session) as log:
            found = architecture_records.records(await ModelHistory.read(log), config)
        show_rows(session, found, found, architecture_records.records_table(found))
        return
    from ringrift.insight.describe import table
    from ringrift.nets.shapes import PARAMETERS
    from ringrift.rules.config import BOARDS

    document = {name: dict.fromkeys(BOARDS, count) for name, count in PARAMETERS.items()}
    columns = ("architecture", *(f">{board}" for board in BOARDS))
    rows = [{"architecture": name, **counts} for name, counts in document.items()]
    show_rows(session, document, rows, table(columns, map(dict.values, rows), plain=True))


@contextlib.asynccontextmanager
async def _log_for(
    model: str, source: Source, *, needed: bool = False
) -> AsyncIterator[JetStreamLog | None]:
    """Open the log; None if the network is a file, no server runs and the log is not `needed`."""
    from ringrift.insight.models.model_store import is_file

    async with contextlib.AsyncExitStack() as stack:
        log = None
        optional = is_file(model) and not needed and not source.server
        with contextlib.suppress(*(Unreachable,) if optional else ()):
            log = await stack.enter_async_context(opened(source))
        yield log
