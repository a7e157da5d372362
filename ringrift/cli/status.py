"""`ringrift status`: what the system is doing, as far as the log and the server say."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from ringrift.cli.common import HERE, Json, Source, opened, progress, show
from ringrift.cluster.screen import consumers_table, generations_table, ratings_table
from ringrift.insight.generations import ConfigView, LoopView
from ringrift.log import api, read
from ringrift.log.errors import LogUnavailable, ServerRefused
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Machine, Presence
from ringrift.log.retry import Backoff
from ringrift.log.topology import EVENTS, STREAMS
from ringrift.runtime.cluster_view import ClusterView, cluster_view
from ringrift.runtime.queues import Queue
from ringrift.runtime.voters import Voters, voters

ELECTION = Backoff(first_seconds=0.2, longest_seconds=1.0, budget_seconds=10.0)
"""a new leader takes 4 to 9 s"""


class StreamStatus(Struct, frozen=True, kw_only=True):
    """What a stream or bucket holds."""

    name: str
    messages: int
    size_bytes: int
    first_seq: int
    last_seq: int


class Status(Struct, frozen=True, kw_only=True):
    """Everything `ringrift status` knows; `--json` prints it, with the views as plain objects."""

    server: str
    version: str
    settings_version: int
    configs: dict[str, Any]
    consumers: list[dict[str, Any]]
    streams: list[StreamStatus]
    work: tuple[Queue, ...]
    """the same as the cluster's"""
    dead_letters: int
    """that nobody has resolved"""
    cluster: ClusterView


async def status(*, source: Source = HERE, json: Json = False) -> int:
    """Show what the system is doing: generations, ratings, consumers, streams and advice.

    The exit status is 1 when the cluster has lost its quorum: then only the voters are known."""
    async with opened(source) as log:
        who = await settled_voters(log)
        if who.level != "LOST":
            with contextlib.suppress(LogUnavailable):  # the quorum was lost just now
                return await _show_status(log, json)
            who = await voters(log)
    _show_lost(who, json)
    return 1


async def _show_status(log: JetStreamLog, json: bool) -> int:
    view, heartbeats, tail = await look(log)
    cluster = await cluster_view(log)
    known = Status(
        server=log.servers[0],
        version=_version(log),
        settings_version=view.settings_version,
        configs={name: _config(item) for name, item in view.configs.items()},
        consumers=[_consumer(beat, tail) for beat in heartbeats],
        streams=await streams_of(log),
        work=cluster.work,
        dead_letters=view.dead_letters,
        cluster=cluster,
    )
    show(known, json, lambda out: _print(out, known, view, heartbeats, tail))
    return 0


async def settled_voters(log: JetStreamLog) -> Voters:
    """The voters; in the middle of an election, after it."""
    for pause in ELECTION.pauses():
        who = await voters(log)
        if who.leader is not None:
            break
        await asyncio.sleep(pause)
    return who


def _show_lost(who: Voters, json: bool) -> None:
    advice = []
    if who.away:
        advice = [f"start the voters that do not answer, one at a time: {', '.join(who.away)}"]
    lines = [
        f"quorum: {who.level}, {who.alive} of {who.voters} voters answer, no leader: "
        "the log can be neither written nor read",
        *(f"→ {line}" for line in advice),
    ]
    document = {
        "quorum": who.level,
        "voters": who.voters,
        "voters_alive": who.alive,
        "advice": advice,
    }
    show(document, json, "\n".join(lines))


async def look(log: JetStreamLog) -> tuple[LoopView, list[Heartbeat], int]:
    """The fold of `EVENTS`, who is there, and the newest sequence of `EVENTS`."""
    view = LoopView()
    with progress("folding EVENTS") as report:
        async for recorded in read.facts(log, progress=report):
            view.fold([recorded])
    return view, await Presence(log).all(), await log.tail(EVENTS)


async def streams_of(log: JetStreamLog) -> list[StreamStatus]:
    """Streams and buckets of the topology that exist on the server, in its order."""

    async def one(name: str) -> StreamStatus | None:
        try:
            state = (await log.call(f"STREAM.INFO.{name}"))["state"]
        except ServerRefused as error:
            if error.code != api.NO_STREAM:
                raise
            return None
        first, last = state["first_seq"], state["last_seq"]
        return StreamStatus(
            name=name,
            messages=state["messages"],
            size_bytes=state["bytes"],
            first_seq=first,
            last_seq=last,
        )

    found = await asyncio.gather(*(one(stream.name) for stream in STREAMS))
    return [item for item in found if item]


def _version(log: JetStreamLog) -> str:
    version = log.client.connected_server_version
    return f"{version.major}.{version.minor}.{version.patch}"


def _consumer(beat: Heartbeat, tail: int) -> dict[str, Any]:
    return {**msgspec.to_builtins(beat), "lag": max(0, tail - beat.seq) if beat.folds else None}


def _config(view: ConfigView) -> dict[str, Any]:
    """The view with its generations as a list, and scores with share and 95 % interval."""
    generations = []
    for _, row in sorted(view.generations.items()):
        scores = {purpose: score.document() for purpose, score in row.scores.items()}
        generations.append({**msgspec.to_builtins(row), "scores": scores})
    return {**msgspec.to_builtins(view), "generations": generations}


def _print(
    out: Console, known: Status, view: LoopView, heartbeats: list[Heartbeat], tail: int
) -> None:
    out.print(
        f"server {known.server}, nats-server {known.version}; settings version {known.settings_version}",
        soft_wrap=True,
    )
    for item in view.configs.values():
        out.print(
            f"\n{item.config}: {item.doing}; {item.games:,} games, {item.plies:,} moves, {item.samples:,} positions"
        )
        out.print(generations_table(item))
        if item.ratings:
            out.print(ratings_table(item))
    out.print()
    out.print(
        consumers_table(heartbeats, tail)
        if heartbeats
        else "no consumer is running: start `ringrift up`"
    )
    table = Table(title="streams and buckets", title_justify="left", pad_edge=False)
    table.add_column("name")
    for name in ("messages", "bytes", "first", "last"):
        table.add_column(name, justify="right")
    for stream in known.streams:
        numbers = (stream.messages, stream.size_bytes, stream.first_seq, stream.last_seq)
        table.add_row(stream.name, *(f"{number:,}" for number in numbers))
    out.print(table)
    waiting = [
        f"{queue.kind} {queue.waiting} waiting, {queue.in_hand} in hand" for queue in known.work
    ]
    out.print(f"work: {'; '.join(waiting) or 'no queue'}")
    out.print(
        f"dead letters: {known.dead_letters}{': see `ringrift dlq list`' if known.dead_letters else ''}"
    )
    print_cluster(out, known.cluster)


def _about(machine: Machine) -> str:
    """What a node is for, what it has and costs."""
    parts = [
        ",".join(machine.roles),
        f"{machine.cores} cores",
        f"{machine.memory_bytes / 1024**3:.0f} GB",
    ]
    if machine.gpu:
        parts.append(f"{machine.gpu} with {machine.vram_bytes / 1024**3:.0f} GB")
    if machine.provider or machine.price_per_hour:
        parts.append(f"{machine.provider or 'somebody'} at {machine.price_per_hour:g} an hour")
    return ", ".join((*parts, f"version {machine.version}"))


def print_cluster(out: Console, view: ClusterView) -> None:
    """The cluster in a few lines, then what to do about what is not well."""
    out.print(
        f"\nquorum: {view.quorum}, {view.voters_alive} of {view.voters} voters, leader {view.leader or 'nobody'}"
    )
    out.print(
        f"roles: {', '.join(f'{role} {holder or chr(45)}' for role, holder in view.roles.items())}",
        soft_wrap=True,
    )
    for name, node in view.nodes.items():
        about = f"; {_about(node.machine)}" if node.machine else ""
        out.print(
            f"node {name}: {node.standing}, {node.processes} processes, memory {node.tier}{about}",
            soft_wrap=True,
        )
    out.print(f"breakers: {', '.join(view.breakers) or 'all closed'}", soft_wrap=True)
    out.print(f"health: {view.health.score:.0%}, {view.health.level}")
    out.print(f"resilience: {view.resilience.score:.0%}, {view.resilience.level}")
    for line in view.advice:
        out.print(f"→ {line}", soft_wrap=True)
