"""`ringrift status`, `ringrift scorecard`."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace
from rich.console import RenderableType

from ringrift.cli.common import (
    HERE,
    TABLE,
    Duration,
    Tabular,
    console,
    opened,
    progress,
    reading,
    show,
    show_rows,
)
from ringrift.cluster.belonging import contradiction
from ringrift.cluster.nats_context import line_to_type
from ringrift.cluster.screen import consumers_table, generations_table, ratings_table
from ringrift.cluster.streams import server_version, stream_infos
from ringrift.events.facts import BackupFinished
from ringrift.insight.describe import one_line, table
from ringrift.insight.generations import ConfigView, LoopView
from ringrift.insight.usage import Used, used_since
from ringrift.log.errors import LogUnavailable, Unreachable
from ringrift.log.holdings import blank, holdings
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Heartbeat, Machine, Presence
from ringrift.log.read import latest
from ringrift.log.retry import Backoff
from ringrift.log.topology import EVENTS
from ringrift.log.wire import shown_address
from ringrift.runtime.cluster_view import ClusterView, Voters, cluster_view, voters
from ringrift.runtime.processes import EXPECTED
from ringrift.runtime.queues import Queue
from ringrift.trust.records import Trust, trust

ELECTION = Backoff(first_seconds=0.2, longest_seconds=1.0, budget_seconds=10.0)
"""a new leader takes 4 to 9 s"""
GIB = 1024**3
USED_SINCE = timedelta(minutes=10)
"""of the share of each machine that was used"""


class StreamStatus(Struct, frozen=True):
    """The content of a stream or bucket."""

    name: str
    messages: int
    size_bytes: int
    first_seq: int
    last_seq: int


class Kept(Struct, frozen=True, kw_only=True):
    """Up to which sequence each stream is archived; the newest scheduled backup and its age."""

    archived: dict[str, int]
    backup: str | None = None
    backup_hours: float | None = None

    def lines(self) -> Iterator[str]:
        """For people; none where nothing is archived or backed up."""
        if self.archived:
            ends = (f"{stream} up to {seq:,}" for stream, seq in self.archived.items())
            yield f"archived: {', '.join(ends)}"
        if self.backup is not None:
            yield f"newest backup: {self.backup}, {self.backup_hours:.1f} h old"


class Status(Struct, frozen=True, kw_only=True):
    """The document that `--json` prints. `work` is that of `cluster`; `dead_letters` counts the
    unresolved ones; `used` is that of the last `USED_SINCE`, by node."""

    server: str
    version: str
    settings_version: int
    configs: dict[str, Any]
    consumers: list[dict[str, Any]]
    streams: list[StreamStatus]
    work: tuple[Queue, ...]
    dead_letters: int
    cluster: ClusterView
    used: dict[str, Used]
    trust: Trust
    kept: Kept


async def status(*, session: Tabular = TABLE) -> int:
    """Show what the system is doing: generations, ratings, consumers, streams and advice.

    The exit status is 1 when the cluster has lost its quorum: then only the voters are known. CSV
    and Parquet have a row for each generation."""
    async with opened(session) as log:
        quorum = await _settled_voters(log)
        if quorum.level != "LOST":
            with contextlib.suppress(LogUnavailable):  # the quorum was lost just now
                await _show_status(log, session)
                return 0
            quorum = await voters(log)
        empty = ""
        with contextlib.suppress(Unreachable):
            empty = blank(await holdings(log.servers) or ())
    _show_lost(quorum, empty, session.form == "json")
    return 1


async def scorecard(*, last: Duration = timedelta(days=1), session: Tabular = TABLE) -> None:
    """Count how well the system works: use, lag, repairs, coverage of events, tested promises.

    Args:
        last: The time before the newest event that is counted, such as 2h.
    """
    from ringrift.insight import scorecard as cards
    from ringrift.web.pages.docs import FOLDERS

    pages = (folder / "promises.md" for folder in FOLDERS)
    promises = next((page for page in pages if page.is_file()), None)
    async with reading(session, "folding EVENTS") as (log, report):
        found = await cards.scorecard(log, last=last, promises=promises, progress=report)
    columns = ("area", "measure", ">value", "source")
    cells = ((one.area, one.measure, _number(one.value, one.unit), one.source) for one in found)
    show_rows(session, found, found, table(columns, cells, plain=True))


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return {"share": f"{value:.1%}", "seconds": f"{value:,.3f} s", "cost": f"{value:,.2f}"}.get(
        unit, f"{value:,.0f}"
    )


async def _settled_voters(log: JetStreamLog) -> Voters:
    """The voters, after an election if one is under way."""
    for pause in ELECTION.pauses():
        found = await voters(log)
        if found.leader is not None:
            break
        await asyncio.sleep(pause)
    return found


def _show_lost(quorum: Voters, empty: str, json: bool) -> None:
    away = "" if empty else ", ".join(quorum.away)
    advice = [empty] if empty else []
    advice += [f"start the voters that do not answer, one at a time: {away}"] if away else []
    known = {"quorum": quorum.level, "voters": quorum.voters, "voters_alive": quorum.alive}
    lost = f"quorum: {quorum.level}, {quorum.alive} of {quorum.voters} voters answer, no leader"
    text = f"{lost}: the log can be neither written nor read"
    show({**known, "advice": advice}, json, text, *(f"→ {line}" for line in advice))


async def _show_status(log: JetStreamLog, session: Tabular) -> None:
    with progress("folding EVENTS") as report:
        view = await LoopView.read(log, report)
    beats, tail = await Presence(log).all(), await log.tail(EVENTS)
    cluster = await cluster_view(log)
    with contextlib.suppress(Unreachable):
        if text := await contradiction(log, await holdings(log.servers) or ()):
            cluster = replace(cluster, advice=(text, *cluster.advice))
    known = Status(
        server=shown_address(log.servers[0]),
        version=server_version(log),
        settings_version=view.settings_version,
        configs={name: _config(item) for name, item in view.configs.items()},
        consumers=[{**msgspec.to_builtins(one), "lag": one.behind(tail)} for one in beats],
        streams=[_stream(name, info["state"]) for name, info in (await stream_infos(log)).items()],
        work=cluster.work,
        dead_letters=view.dead_letters,
        cluster=cluster,
        used=await used_since(log, datetime.now(UTC) - USED_SINCE),
        trust=await trust(log, {name: item.current for name, item in view.configs.items()}),
        kept=await _kept(log),
    )
    rows = (
        {"config": name, **row}
        for name, item in known.configs.items()
        for row in item["generations"]
    )
    where = f" --data {session.data}" if session.data != HERE.data else ""
    where = f" --server {','.join(map(shown_address, log.servers))}" if session.server else where
    show_rows(session, known, rows, *_texts(known, view, beats, tail, f"ringrift context{where}"))


async def _kept(log: JetStreamLog) -> Kept:
    await log.archive.refresh()
    known = log.archive.segments.items()
    archived = {stream: found[-1].last_seq for stream, found in known if found}
    newest = await latest(log, BackupFinished)
    if newest is None:
        return Kept(archived=archived)
    hours = (datetime.now(UTC) - newest.meta.time).total_seconds() / 3600.0
    return Kept(archived=archived, backup=newest.event.name, backup_hours=hours)


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


def _texts(
    known: Status, view: LoopView, beats: list[Heartbeat], tail: int, context: str
) -> Iterator[RenderableType]:
    versions = f"nats-server {known.version}; settings version {known.settings_version}"
    yield f"server {known.server}, {versions}"
    for item in view.configs.values():
        counts = f"{item.games:,} games, {item.plies:,} moves, {item.samples:,} samples"
        yield f"\n{item.config}: {item.doing}; {counts}"
        yield generations_table(item, console().width)
        if item.ratings or item.unrated:
            yield ratings_table(item.config, item.ratings, item.anchor, item.unrated)
    yield ""
    yield consumers_table(beats, tail) if beats else "no consumer is running: start `ringrift up`"
    columns = ("name", ">messages", ">bytes", ">first", ">last")
    yield table(columns, map(astuple, known.streams), "streams and buckets")
    work = [_work(queue) for queue in known.work]
    yield f"work: {'; '.join(work) or 'no queue'}"
    yield f"to look: {line_to_type(known.server, context)}"
    hint = ": see `ringrift dlq list`" if known.dead_letters else ""
    yield f"dead letters: {known.dead_letters}{hint}\n"
    for name, used in known.used.items():
        yield f"cores of {name} in the last minutes: {used}"
    yield from known.trust.lines()
    yield from known.kept.lines()
    yield from _cluster_lines(known.cluster)


def _cluster_lines(view: ClusterView) -> Iterator[str]:
    voters = f"{view.voters_alive} of {view.voters} voters, leader {view.leader or 'unknown'}"
    roles = ", ".join(f"{role} {holder or '-'}" for role, holder in view.roles.items())
    yield f"quorum: {view.quorum}, {voters}"
    yield f"roles: {roles}"
    yield f"elections: {view.elections}"
    for name, node in view.nodes.items():
        machine = f"; {_machine(node.machine)}" if node.machine else ""
        processes = f"{node.processes} processes, {node.scarce or 'memory'} {node.tier}"
        yield f"node {name}: {node.standing}, {processes}{machine}"
    yield f"breakers: {one_line(', '.join(view.breakers)) or 'all closed'}"
    waits = ", ".join(name for name in EXPECTED if not view.running.get(name))
    begins = f"; starting, waits for {waits}" if view.starting and waits else ""
    yield f"health: {view.health.score:.0%}, {view.health.level}{begins}"
    yield f"resilience: {view.resilience.score:.0%}, {view.resilience.level}"
    yield from (f"→ {one_line(advice)}" for advice in view.advice)


def _work(queue: Queue) -> str:
    oldest = queue.oldest_seconds
    waited = "" if oldest is None else f" for up to {timedelta(seconds=round(oldest))}"
    return f"{queue.kind} {queue.waiting} waiting{waited}, {queue.in_hand} in progress"


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
