"""Checks of a running system: server, streams, consumers, dead letters, clocks."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ringrift.cluster.belonging import contradiction
from ringrift.cluster.doctor import Finding, fail, ok, warn
from ringrift.cluster.streams import Infos, consumer_infos, server_version, stream_infos
from ringrift.events.facts import BackupFinished
from ringrift.log.entry import stamp_of
from ringrift.log.errors import StreamError, Unreachable
from ringrift.log.holdings import blank, damages, holdings
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.object_store import ObjectStore
from ringrift.log.presence import Presence
from ringrift.log.read import latest, settings_in_force
from ringrift.log.topology import (
    CONSUMERS,
    DEAD,
    EVENTS,
    NODE_BUCKET,
    PEER_LAG_MAX,
    PEER_SILENT_SECONDS_MAX,
    REDELIVERED_MAX,
    STREAMS,
    WORK,
    WORK_PENDING_MAX,
    WORK_TICKETS_MAX,
    WORK_WAITING_MAX,
)
from ringrift.log.wire import shown_address
from ringrift.runtime.cluster_view import cluster_view, voters_in
from ringrift.runtime.dead_letter_retry import unresolved
from ringrift.runtime.processes import EXPECTED
from ringrift.server.ensure import Drift, differences
from ringrift.server.recreate import LEADERLESS_SECONDS_MAX, RECREATED, leaderless

LAG_EVENTS_MAX = 1000
"""a decider further behind decides so late that it is noticed"""
_QUEUE_LIMITS = {
    "num_ack_pending": (WORK_PENDING_MAX, "tickets in progress, no more are delivered"),
    "num_waiting": (WORK_WAITING_MAX, "workers wait for tickets, no more may"),
    "num_pending": (WORK_TICKETS_MAX, "tickets wait, which fills the queue"),
    "num_redelivered": (REDELIVERED_MAX, "tickets were taken and not finished"),
}
CLOCK_SKEW_SECONDS_MAX = 2.0
"""more makes ages and heartbeats look wrong; decisions use the times in the log"""


def no_system(error: Exception, data: Path, server: str | None) -> Finding:
    """The finding when no server could be asked because of `error`."""
    if server or not isinstance(error, Unreachable):
        text = str(error) or "no answer in time"
        return fail("server", text, "check the address and that the server has JetStream")
    remedy = "start one with `ringrift up`, or give --server"
    return warn("server", f"none is running for {data}", remedy)


async def system_findings(log: JetStreamLog) -> AsyncIterator[Finding]:
    """All checks of a running system, until one finds that the others cannot succeed."""
    yield ok(
        "server", f"{shown_address(log.servers[0])} answers, nats-server {server_version(log)}"
    )
    held = await holdings(log.servers) or []
    if text := blank(held):
        yield fail("voters", text, "docs/promises.md says why")
        return
    for damage in damages(held):
        yield warn("voters", str(damage), "`ringrift cluster repair`")
    streams = await stream_infos(log)
    if EVENTS in streams and (text := await contradiction(log, held)):
        yield fail("voters", text, "docs/promises.md says why")
    late = copies(streams)
    for finding in late:
        yield finding
    if any(finding.level == "fail" for finding in late):
        return  # without leaders the other questions would not be answered
    consumers = await consumer_infos(log)
    for finding in (*declared({**streams, **consumers}), *queues(consumers)):
        yield finding
    if not {EVENTS, DEAD, f"KV_{NODE_BUCKET}"} <= streams.keys():
        return  # nothing has ever run here
    for finding in await _consumers(log):
        yield finding
    yield await _dead_letters(log)
    yield await _cluster(log)
    yield await _clock(log)
    settings, _ = await settings_in_force(log)
    for name, place in (("archive", settings.archive.place), ("backup", settings.backup.place)):
        if place:
            yield await _store(name, place)
    if settings.backup.place:
        yield await _backup(log, settings.backup.overdue_hours)


def copies(streams: Infos) -> list[Finding]:
    """Streams without a leader, with copies that are away or behind, or with fewer copies than
    other streams: a stream with one copy is lost with its disk."""
    unled = [name for name, info in streams.items() if leaderless(info)]
    late = {name: _late(info) for name, info in streams.items() if name not in unled}
    remedy = "start that server; it catches up by itself"
    texts = [f"{name}: {', '.join(away)} away or behind" for name, away in late.items() if away]
    found = [warn("copies", text, remedy) for text in texts]
    if unled:
        return [*found, fail("copies", f"no leader: {', '.join(unled)}", _remedy(unled))]
    replicas = {name: info["config"]["num_replicas"] for name, info in streams.items()}
    most = max(replicas.values(), default=1)
    fewer = ", ".join(f"{name} has {count}" for name, count in replicas.items() if count < most)
    if fewer:
        remedy = f"`ringrift contract apply --replicas {most}`"
        found.append(warn("copies", f"{fewer}, other streams {most}", remedy))
    return found


def _late(info: Mapping[str, Any]) -> list[str]:
    """Voters whose copies are away or behind, also by the thresholds of `nats server check`."""
    away = set(voters_in(dict(info)).away)
    for copy in (info.get("cluster") or {}).get("replicas") or ():
        silent = copy.get("active", 0) / 1e9 > PEER_SILENT_SECONDS_MAX
        if silent or copy.get("lag", 0) > PEER_LAG_MAX:
            away.add(copy["name"])
    return sorted(away)


def queues(infos: Infos) -> list[Finding]:
    """Durable consumers that `nats server check consumer` would raise an alarm about."""
    remedy = "look at the workers: `ringrift status`, `nats consumer report WORK`"
    found = []
    for name, info in infos.items():
        for field, (limit, text) in _QUEUE_LIMITS.items():
            if (count := info.get(field, 0)) >= limit:
                found.append(fail("queue", f"{name}: {count:,} {text}", remedy))
    return found


def _remedy(unled: Sequence[str]) -> str:
    if set(unled) <= set(RECREATED):
        seconds = LEADERLESS_SECONDS_MAX
        return f"the dispatcher recreates them after {seconds:g} s; check that one is running"
    return (
        "each needs most of its copies: start the servers that are away; "
        "after a power cut see docs/promises.md"
    )


def declared(infos: Infos) -> list[Finding]:
    """Streams and consumers that are missing or differ from their declarations. The number of
    replicas is not compared: it is the operator's choice."""
    counts = {name: info["config"].get("num_replicas", 1) for name, info in infos.items()}
    wanted = {each.name: each.with_replicas(counts.get(each.name, 1)) for each in STREAMS}
    wanted |= {f"{WORK}.{each.name}": msgspec.to_builtins(each) for each in CONSUMERS}
    drift: list[Drift] = []
    for name in wanted.keys() & infos.keys():
        drift += differences(name, wanted[name], infos[name]["config"])
    found = []
    if not infos:
        text = "none: the system is new, or its disks came back empty"
        remedy = (
            "if it is new, `ringrift contract apply --new`; else create nothing: restore a backup "
            "with `ringrift cluster restore`, or what a voter still holds with `ringrift cluster "
            "rescue`"
        )
        return [warn("streams", text, remedy)]
    if missing := [name for name in wanted if name not in infos]:
        remedy = "`ringrift contract apply` creates them, so does `ringrift up`"
        found.append(warn("streams", f"missing: {', '.join(missing)}", remedy))
    remedy = "change it with `nats stream edit` or `nats consumer edit`"
    found += [warn("streams", f"differs from its declaration: {item}", remedy) for item in drift]
    text = f"{len(STREAMS)} streams and buckets and {len(CONSUMERS)} consumers as declared"
    return found or [ok("streams", text)]


async def _consumers(log: JetStreamLog) -> list[Finding]:
    beats, tail = await Presence(log).all(), await log.tail(EVENTS)
    running = {beat.consumer for beat in beats}
    absent = ", ".join(name for name in EXPECTED if name not in running)
    remedy = "start `ringrift up`, or each with `python -m ringrift.consumers.NAME --server URL`"
    found = [ok("consumers", f"{len(beats)} running")]
    if absent:
        found = [warn("consumers", f"not running: {absent}", remedy)]
    for beat in beats:
        name, lag = f"{beat.consumer}@{beat.node}", tail - beat.seq
        if beat.folds and lag > LAG_EVENTS_MAX:
            remedy = "wait if it has just started; else look at its log in the data directory"
            found.append(warn("lag", f"{name} is {lag:,} events behind", remedy))
        if beat.errors:
            remedy = "look at its log in the data directory"
            found.append(warn("errors", f"{name} has had {beat.errors} errors", remedy))
    return found


async def _dead_letters(log: JetStreamLog) -> Finding:
    count = len((await unresolved(log)).unresolved)
    limit = (await settings_in_force(log))[0].operation.dead_letters_max
    text, remedy = f"{count} unresolved", "`ringrift dlq list` says why"
    if count >= limit:
        return fail("dead letters", f"{text}, {limit} or more raise an alarm", remedy)
    return warn("dead letters", text, remedy) if count else ok("dead letters", "none")


async def _cluster(log: JetStreamLog) -> Finding:
    """The resilience of the cluster, with the advice as the remedy."""
    view = await cluster_view(log)
    text = f"quorum {view.quorum}, resilience {view.resilience.score:.0%}, {view.resilience.level}"
    if view.resilience.level == "CRITICAL":
        return fail("cluster", text, view.advice[0])
    return warn("cluster", text, "; ".join(view.advice)) if view.advice else ok("cluster", text)


async def _clock(log: JetStreamLog) -> Finding:
    """The difference between this machine's clock and that of the server, which stamps events."""
    before = datetime.now(UTC).timestamp()
    answer = await log.call(f"STREAM.INFO.{EVENTS}")
    after = datetime.now(UTC).timestamp()
    server = stamp_of(answer["ts"]) / 1e9
    skew = max(before - server, server - after, 0.0)
    text = f"{skew:.3f} s from the server's"
    if skew > CLOCK_SKEW_SECONDS_MAX:
        return warn("clock", text, "let both machines follow NTP")
    return ok("clock", text)


async def _store(name: str, place: str) -> Finding:
    """Whether this machine can use an object store, with the credentials it has here."""
    try:
        await ObjectStore(place).check()
    except StreamError as error:
        remedy = f"set the store's credentials, or `ringrift settings --set {name}.place=...`"
        return warn(name, str(error), remedy)
    return ok(name, f"{place} can be written and read")


async def _backup(log: JetStreamLog, overdue_hours: float) -> Finding:
    newest = await latest(log, BackupFinished)
    if newest is None:
        return warn("backup", "none was made yet", "start a node with the role archiver")
    hours = (datetime.now(UTC) - newest.meta.time).total_seconds() / 3600.0
    text = f"{newest.event.name} is {hours:.1f} h old"
    if hours > overdue_hours:
        return warn("backup", text, "look at the archiver: `ringrift status` says what failed")
    return ok("backup", text)
