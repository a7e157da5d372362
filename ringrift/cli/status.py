"""`ringrift status`."""

import asyncio
import contextlib
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple
from rich.console import Console

from ringrift.cli.common import HERE, Session, opened, progress, show
from ringrift.cluster.screen import consumers_table, generations_table, ratings_table
from ringrift.cluster.streams import server_version, stream_infos
from ringrift.insight.describe import table
from ringrift.insight.generations import ConfigView, LoopView
from ringrift.log import read
from ringrift.log.errors import LogUnavailable
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Machine, Presence
from ringrift.log.retry import Backoff
from ringrift.log.topology import EVENTS
from ringrift.runtime.cluster_view import ClusterView, Queue, Voters, cluster_view, voters

ELECTION = Backoff(first_seconds=0.2, longest_seconds=1.0, budget_seconds=10.0)
"""a new leader takes 4 to 9 s"""
GIB = 1024**3


class StreamStatus(Struct, frozen=True):
    """The content of a stream or bucket."""

    name: str
    messages: int
    size_bytes: int
    first_seq: int
    last_seq: int


class Status(Struct, frozen=True, kw_only=True):
    """The document that `--json` prints. `work` is that of `cluster`; `dead_letters` counts the
    unresolved ones."""

    server: str
    version: str
    settings_version: int
    configs: dict[str, Any]
    consumers: list[dict[str, Any]]
    streams: list[StreamStatus]
    work: tuple[Queue, ...]
    dead_letters: int
    cluster: ClusterView


async def status(*, session: Session = HERE) -> int:
    """Show what the system is doing: generations, ratings, consumers, streams and advice.

    The exit status is 1 when the cluster has lost its quorum: then only the voters are known."""
    async with opened(session) as log:
        quorum = await _settled_voters(log)
        if quorum.level != "LOST":
            with contextlib.suppress(LogUnavailable):  # the quorum was lost just now
                await _show_status(log, session.json)
                return 0
            quorum = await voters(log)
    _show_lost(quorum, session.json)
    return 1


async def _settled_voters(log: JetStreamLog) -> Voters:
    """The voters, after an election if one is under way."""
    for pause in ELECTION.pauses():
        found = await voters(log)
        if found.leader is not None:
            break
        await asyncio.sleep(pause)
    return found


def _show_lost(quorum: Voters, json: bool) -> None:
    away = ", ".join(quorum.away)
    advice = [f"start the voters that do not answer, one at a time: {away}"] if away else []
    document = {
        "quorum": quorum.level,
        "voters": quorum.voters,
        "voters_alive": quorum.alive,
        "advice": advice,
    }
    lines = [
        f"quorum: {quorum.level}, {quorum.alive} of {quorum.voters} voters answer, no leader: "
        "the log can be neither written nor read",
        *(f"→ {line}" for line in advice),
    ]
    show(document, json, "\n".join(lines))


async def _show_status(log: JetStreamLog, json: bool) -> None:
    view = LoopView()
    with progress("folding EVENTS") as report:
        async for recorded in read.facts(log, progress=report):
            view.fold([recorded])
    beats, tail = await Presence(log).all(), await log.tail(EVENTS)
    cluster = await cluster_view(log)
    known = Status(
        server=log.servers[0],
        version=server_version(log),
        settings_version=view.settings_version,
        configs={name: _config(item) for name, item in view.configs.items()},
        consumers=[_consumer(beat, tail) for beat in beats],
        streams=[_stream(name, info["state"]) for name, info in (await stream_infos(log)).items()],
        work=cluster.work,
        dead_letters=view.dead_letters,
        cluster=cluster,
    )
    show(known, json, lambda out: _print(out, known, view, beats, tail))


def _consumer(beat: Heartbeat, tail: int) -> dict[str, Any]:
    return {**msgspec.to_builtins(beat), "lag": max(0, tail - beat.seq) if beat.folds else None}


def _config(view: ConfigView) -> dict[str, Any]:
    """The view with its generations as a list, and scores with their intervals."""
    generations = []
    for _, row in sorted(view.generations.items()):
        scores = {purpose: score.document() for purpose, score in row.scores.items()}
        generations.append({**msgspec.to_builtins(row), "scores": scores})
    return {**msgspec.to_builtins(view), "generations": generations}


def _stream(name: str, state: dict[str, int]) -> StreamStatus:
    ends = state["first_seq"], state["last_seq"]
    return StreamStatus(name, state["messages"], state["bytes"], *ends)


def _print(out: Console, known: Status, view: LoopView, beats: list[Heartbeat], tail: int) -> None:
    def line(text: str) -> None:
        out.print(text, soft_wrap=True, markup=False, emoji=False)

    versions = f"nats-server {known.version}; settings version {known.settings_version}"
    line(f"server {known.server}, {versions}")
    for item in view.configs.values():
        counts = f"{item.games:,} games, {item.plies:,} moves, {item.samples:,} samples"
        line(f"\n{item.config}: {item.doing}; {counts}")
        out.print(generations_table(item))
        if item.ratings:
            out.print(ratings_table(item.config, item.ratings))
    line("")
    if beats:
        out.print(consumers_table(beats, tail))
    else:
        line("no consumer is running: start `ringrift up`")
    columns = ("name", ">messages", ">bytes", ">first", ">last")
    out.print(table(columns, map(astuple, known.streams), "streams and buckets"))
    work = [
        f"{each.kind} {each.waiting} waiting, {each.in_hand} in progress" for each in known.work
    ]
    line(f"work: {'; '.join(work) or 'no queue'}")
    hint = ": see `ringrift dlq list`" if known.dead_letters else ""
    line(f"dead letters: {known.dead_letters}{hint}")
    line("\n" + "\n".join(_cluster_lines(known.cluster)))


def _cluster_lines(view: ClusterView) -> list[str]:
    voters = f"{view.voters_alive} of {view.voters} voters, leader {view.leader or 'unknown'}"
    roles = ", ".join(f"{role} {holder or '-'}" for role, holder in view.roles.items())
    lines = [f"quorum: {view.quorum}, {voters}", f"roles: {roles}"]
    for name, node in view.nodes.items():
        machine = f"; {_machine(node.machine)}" if node.machine else ""
        processes = f"{node.processes} processes, memory {node.tier}"
        lines.append(f"node {name}: {node.standing}, {processes}{machine}")
    lines += [
        f"breakers: {', '.join(view.breakers) or 'all closed'}",
        f"health: {view.health.score:.0%}, {view.health.level}",
        f"resilience: {view.resilience.score:.0%}, {view.resilience.level}",
    ]
    return lines + [f"→ {advice}" for advice in view.advice]


def _machine(machine: Machine) -> str:
    """The roles of a machine, its hardware and its cost."""
    memory = f"{machine.memory_bytes / GIB:.0f} GB"
    parts = [",".join(machine.roles), f"{machine.cores} cores", memory]
    if machine.gpu:
        parts.append(f"{machine.gpu} with {machine.vram_bytes / GIB:.0f} GB")
    if machine.provider or machine.price_per_hour:
        provider = machine.provider or "unknown provider"
        parts.append(f"{provider}, {machine.price_per_hour:g} per hour")
    return ", ".join((*parts, f"version {machine.version}"))
