"""`ringrift model`: the networks there are, what is known of each, and new ones made from them
without training."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.table import Table

from ringrift.cli.source import console, opened
from ringrift.errors import CommandError
from ringrift.events import draft
from ringrift.events.facts import Fact, ModelDerived, ModelRegistered
from ringrift.insight.describe import DIGEST_SHOWN, field_text
from ringrift.insight.model_card import Card, History, document
from ringrift.learning.families import AnyCheckpoint, checkpoint_of
from ringrift.log import read
from ringrift.log.blobs import ObjectBlobs
from ringrift.log.errors import Unreachable
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Log
from ringrift.log.topology import MODEL_BUCKET
from ringrift.nets.architectures import parameters
from ringrift.nets.checkpoint import Checkpoint, CheckpointError, digest_of
from ringrift.nets.onnx_export import OnnxError, export
from ringrift.nets.shapes import ARCHITECTURES
from ringrift.nets.transfer import METHOD, TransferError, transfer
from ringrift.rules.config import BOARDS, Config
from ringrift.rules.errors import ConfigError

DIGEST = re.compile(r"[0-9a-f]{6,64}")
"""A digest, or enough digits from its front."""
SOURCE = "ringrift"


async def show(options: argparse.Namespace) -> int:
    """Print what is known of a network."""
    async with _log_of(options) as log:
        data, model = await _bytes_of(options.model, log)
        history = await _history(log)
    checkpoint = _parsed(data)
    card = history.card(model, data, checkpoint.header, count_of(checkpoint))
    if options.json:
        print(document(card).decode())
    else:
        _print(card, known=log is not None)
    return 0


async def list_models(options: argparse.Namespace) -> int:
    """Print every network of the log, the oldest first."""
    async with opened(options) as log:
        history = await _history(log)
    rows = [made for made in history.made.values() if options.config in (None, made.config)]
    if options.json:
        found = [{**msgspec.to_builtins(made), "state": _state(history, made)} for made in rows]
        print(msgspec.json.encode(found).decode())
        return 0
    if not rows:
        console().print(
            "no networks in the log"
            if options.config is None
            else f"no networks for {options.config} in the log"
        )
        return 0
    table = Table(box=None, pad_edge=False)
    for name in (
        "model",
        "config",
        "generation",
        "architecture",
        "parameters",
        "parent",
        "state",
        "rating",
    ):
        table.add_column(name, justify="right" if name in ("generation", "parameters") else "left")
    for made in rows:
        table.add_row(*_row(history, made))
    console().print(table)
    return 0


def architectures(options: argparse.Namespace) -> int:
    """Print how many parameters each architecture has on each board."""
    counts = {
        name: {board: parameters(name, hex_board=shape.hex) for board, shape in BOARDS.items()}
        for name in ARCHITECTURES
    }
    if options.json:
        print(msgspec.json.encode(counts).decode())
        return 0
    table = Table(box=None, pad_edge=False)
    table.add_column("architecture")
    for board in BOARDS:
        table.add_column(board, justify="right")
    for name, by_board in counts.items():
        table.add_row(name, *(f"{count:,}" for count in by_board.values()))
    console().print(table)
    return 0


async def transfer_command(options: argparse.Namespace) -> int:
    """Make a network for another config out of one, into a file, the log's store, or both."""
    if options.output is None and not options.publish:
        raise CommandError("where to? give --output FILE, --publish, or both")
    try:
        target = Config.parse(options.to)
    except ConfigError as error:
        raise CommandError(str(error)) from error
    async with _log_of(options, needed=options.publish) as log:
        data, _ = await _bytes_of(options.model, log)
        try:
            new = transfer(
                _tower(data, f"be transferred; train one for {target.key} from nothing"), target
            )
        except TransferError as error:
            raise CommandError(str(error)) from error
        if options.output is not None:
            _write(options.output, new)
        if options.publish and log is not None:
            await publish(log, new)
    digest = digest_of(new)
    if options.json:
        print(
            msgspec.json.encode(
                {"model": digest, "config": target.key, "published": options.publish}
            ).decode()
        )
    else:
        text = (
            f"{digest}\nto train from it: --set training.init={target.key}={digest}"
            if options.publish
            else digest
        )
        console().print(text, soft_wrap=True)
    return 0


async def publish(log: Log, data: bytes) -> str:
    """Put a derived network into the store, then the fact that it exists; both once, however often.
    Gives its digest."""
    checkpoint = _parsed(data)
    header = checkpoint.header
    model = await ObjectBlobs(log).put(MODEL_BUCKET, data)
    fact = ModelDerived(
        config=header.config_key,
        model=model,
        architecture=header.architecture,
        encoder=header.encoder,
        parameters=count_of(checkpoint),
        parents=header.parents,
        method=header.notes.get("derived", METHOD),
    )
    async for known, _ in read.facts(log, ModelDerived, scope=fact.config):
        if known == fact:
            return model
    await log.append([draft(fact, cause=None, source=SOURCE, time=datetime.now(UTC), key=model)])
    return model


async def export_command(options: argparse.Namespace) -> int:
    """Write a network as an ONNX graph that was compared with it."""
    async with _log_of(options) as log:
        data, model = await _bytes_of(options.model, log)
    _tower(data, "be exported: it plays in whole numbers on any CPU as it is")
    try:
        exported, difference = export(data)
    except OnnxError as error:
        raise CommandError(str(error)) from error
    _write(options.output, exported)
    if options.json:
        print(
            msgspec.json.encode(
                {"model": model, "bytes": len(exported), "largest_difference": difference}
            ).decode()
        )
    else:
        size = f"{len(exported):,} bytes"
        console().print(
            f"{options.output}: {size}, outputs within {difference:.1e} of the network's",
            soft_wrap=True,
        )
    return 0


def count_of(checkpoint: AnyCheckpoint) -> int:
    """Number of weights."""
    return sum(array.size for array in checkpoint.weights.values())


@contextlib.asynccontextmanager
async def _log_of(
    options: argparse.Namespace, *, needed: bool = False
) -> AsyncIterator[JetStreamLog | None]:
    """The log; None if the network is a file and no server runs, unless it is `needed` or was
    named."""
    if not is_file(options.model) or needed or options.server:
        async with opened(options) as found:
            yield found
        return
    async with contextlib.AsyncExitStack() as stack:
        log: JetStreamLog | None = None
        with contextlib.suppress(Unreachable):
            log = await stack.enter_async_context(opened(options))
        yield log


def is_file(model: str) -> bool:
    """Whether an argument names a file and not a network of the store. A file of that name wins."""
    return not DIGEST.fullmatch(model) or Path(model).exists()


async def _bytes_of(model: str, log: JetStreamLog | None) -> tuple[bytes, str]:
    """Bytes and digest of the network in a file, or in the store under a digest or the beginning of
    one."""
    if is_file(model):
        try:
            data = await asyncio.to_thread(Path(model).read_bytes)
        except OSError as error:
            remedy = "give a file or a digest of `ringrift model list`"
            raise CommandError(f"cannot read {model}: {error.strerror}; {remedy}") from error
        return data, digest_of(data)
    assert log is not None
    blobs = ObjectBlobs(log)
    found = [name for name in await blobs.names(MODEL_BUCKET) if name.startswith(model)]
    if len(found) != 1:
        many = (
            f"{len(found)} networks begin with {model}: give more digits"
            if found
            else f"no network {model} in the store"
        )
        raise CommandError(f"{many}; `ringrift model list` shows them")
    return await blobs.get(MODEL_BUCKET, found[0]), found[0]


def _parsed(data: bytes) -> AnyCheckpoint:
    try:
        return checkpoint_of(data)
    except CheckpointError as error:
        raise CommandError(str(error)) from error


def _tower(data: bytes, what: str) -> Checkpoint:
    """A network that is no NNUE, which cannot `what`."""
    found = _parsed(data)
    if not isinstance(found, Checkpoint):
        raise CommandError(
            f"this is an NNUE ({found.header.architecture} for {found.header.config_key}), which cannot {what}"
        )
    return found


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from error


async def _history(log: JetStreamLog | None) -> History:
    history = History()
    if log is None:
        return history
    async for recorded in read.facts(log):
        history.fold([recorded])
    return history


def _row(history: History, made: Fact) -> tuple[str, ...]:
    assert isinstance(made, ModelRegistered | ModelDerived)
    generation = str(made.generation) if isinstance(made, ModelRegistered) else made.method
    rating = ", ".join(
        f"{row.elo:+.0f} ({row.participant.partition(':')[2]})"
        for row in history.ratings(made.model)
    )
    return (
        made.model[:DIGEST_SHOWN],
        made.config,
        generation,
        made.architecture,
        f"{made.parameters:,}",
        " ".join(parent[:DIGEST_SHOWN] for parent in made.parents),
        _state(history, made),
        rating,
    )


def _state(history: History, made: ModelRegistered | ModelDerived) -> str:
    if history.current.get(made.config) == made.model:
        return "current"
    return {None: "", True: "promoted", False: "rejected"}[history.promoted(made.model)]


def _print(card: Card, *, known: bool) -> None:
    out = console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, text in (*_facts_of_header(card), *_facts_of_log(card)):
        table.add_row(name, text)
    out.print(table)
    for ancestor in card.lineage:
        what = field_text(ancestor.model), ancestor.architecture, ancestor.config
        generation = "" if ancestor.generation is None else f"generation {ancestor.generation}"
        state = {None: "", True: "promoted", False: "rejected"}[ancestor.promoted]
        out.print(
            "  from " + " ".join(part for part in (*what, generation, state) if part),
            soft_wrap=True,
        )
    if not known:
        out.print("no log at hand, so this is what the file says alone")


def _facts_of_header(card: Card) -> list[tuple[str, str]]:
    header = card.header
    shape = ", ".join(f"{name} {number}" for name, number in header.shape.items())
    rows = [
        ("model", card.model),
        ("config", header.config_key),
        ("architecture", f"{header.architecture}: {shape}"),
        ("parameters", f"{card.parameters:,} in {card.size_bytes:,} bytes"),
        ("made for", f"encoder {header.encoder}, rules version {header.rules_version}"),
    ]
    return rows + [(name, field_text(text)) for name, text in header.notes.items()]


def _facts_of_log(card: Card) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if run := card.training:
        validation = (
            "" if run.validation_loss is None else f", validation {run.validation_loss:.4f}"
        )
        what = f"{run.steps:,} steps on {run.samples:,} samples in {run.train_seconds:.0f} s"
        rows.append(("training", f"generation {run.generation}: {what}"))
        rows.append(
            (
                "loss",
                f"{run.loss:.4f} (policy {run.policy_loss:.4f}, value {run.value_loss:.4f}{validation})",
            )
        )
        rows.append(
            (
                "where",
                f"{run.node}, {run.device or 'device unknown'}; seed {run.seed}, settings {run.settings_version}",
            )
        )
    if games := card.games:
        rows.append(
            (
                "games",
                f"{games.games:,} of {games.shards} shards, GAMES {games.first_seq} to {games.last_seq}",
            )
        )
    for purpose, score in card.scores.items():
        low, high = score["interval_95"]
        rows.append(
            (
                f"score, {purpose}",
                f"{score['share']:.1%} of {score['games']} games ({low:.1%} to {high:.1%})",
            )
        )
    rows += [
        ("rating", f"{row.elo:+.1f} ± {row.se:.1f} as {row.participant}, {row.games:,} games")
        for row in card.ratings
    ]
    if card.promoted is not None:
        rows.append(("verdict", f"{'promoted' if card.promoted else 'rejected'}: {card.why}"))
    if card.children:
        rows.append(("parent of", " ".join(child[:DIGEST_SHOWN] for child in card.children)))
    return rows
