"""Checks of a running system: server, streams, consumers, dead letters, clocks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ringrift.cluster.doctor import Finding, fail, ok, warn
from ringrift.log import api
from ringrift.log.entry import stamp_of
from ringrift.log.errors import ServerRefused, Unreachable
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.log.read import settings_in_force
from ringrift.log.topology import CONSUMERS as DURABLES
from ringrift.log.topology import DEAD, EVENTS, NODE_BUCKET, STREAMS, WORK
from ringrift.runtime.cluster_view import cluster_view
from ringrift.runtime.dead_letter_retry import unresolved
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.voters import voters_in
from ringrift.server.ensure import Drift, differences
from ringrift.server.recreate import LEADERLESS_SECONDS_MAX, RECREATED, leaderless

LAG_EVENTS_MAX = 1000
"""a decider further behind decides so late that it is noticed"""
CLOCK_SKEW_SECONDS_MAX = 2.0
"""more makes ages and heartbeats look wrong; decisions use the times in the log"""


def no_system(error: Exception, data: Path, server: str | None) -> Finding:
    """The finding when no server could be asked because of `error`."""
    if server or not isinstance(error, Unreachable):
        text = str(error) or "no answer in time"
        return fail("server", text, "check the address and that the server has JetStream")
    remedy = "start one with `ringrift up`, or give --server"
    return warn("server", f"none runs over {data}", remedy)


async def system_findings(log: JetStreamLog) -> AsyncIterator[Finding]:
    """All checks of a running system."""
    version = log.client.connected_server_version
    release = f"{version.major}.{version.minor}.{version.patch}"
    yield ok("server", f"{log.servers[0]} answers, nats-server {release}")
    async for finding in copies(log):
        yield finding
        if finding.level == "fail":
            return  # without leaders the other questions would not be answered
    drift, missing = await compare(log)
    if missing:
        remedy = "`ringrift contract apply` creates them, so does `ringrift up`"
        yield warn("streams", f"missing: {', '.join(missing)}", remedy)
    for item in drift:
        remedy = "change it with `nats stream edit` or `nats consumer edit`"
        yield warn("streams", f"differs from its declaration: {item}", remedy)
    if not missing and not drift:
        text = f"{len(STREAMS)} streams and buckets and {len(DURABLES)} consumers as declared"
        yield ok("streams", text)
    if {EVENTS, DEAD, f"KV_{NODE_BUCKET}"} & set(missing):
        return  # nothing has ever run here
    async for finding in _consumers(log):
        yield finding
    yield await _dead_letters(log)
    yield await _cluster(log)
    yield await _clock(log)


async def _dead_letters(log: JetStreamLog) -> Finding:
    state = await unresolved(log)
    operation = (await settings_in_force(log))[0].operation
    text, remedy = f"{len(state.letters)} unresolved", "`ringrift dlq list` says why"
    if len(state.letters) >= operation.dead_letters_max:
        alarm = f"{text}, {operation.dead_letters_max} or more raise an alarm"
        return fail("dead letters", alarm, remedy)
    return warn("dead letters", text, remedy) if state.letters else ok("dead letters", "none")


async def _cluster(log: JetStreamLog) -> Finding:
    """The resilience of the cluster, with the advice as the remedy."""
    view = await cluster_view(log)
    text = f"quorum {view.quorum}, resilience {view.resilience.score:.0%}, {view.resilience.level}"
    if view.resilience.level == "CRITICAL":
        return fail("cluster", text, view.advice[0])
    return warn("cluster", text, "; ".join(view.advice)) if view.advice else ok("cluster", text)


async def compare(log: JetStreamLog) -> tuple[list[Drift], list[str]]:
    """Differences from the declarations, and the names of what is missing; creates nothing. The
    number of replicas is not compared: it is the operator's choice."""
    wanted = [
        (stream.name, f"STREAM.INFO.{stream.name}", msgspec.to_builtins(stream))
        for stream in STREAMS
    ]
    wanted += [
        (f"{WORK}.{item.name}", f"CONSUMER.INFO.{WORK}.{item.name}", msgspec.to_builtins(item))
        for item in DURABLES
    ]
    drift: list[Drift] = []
    missing: list[str] = []
    for name, question, declared in wanted:
        declared.pop("num_replicas", None)
        try:
            actual: dict[str, Any] = (await log.call(question))["config"]
        except ServerRefused as error:
            if error.code not in (api.NO_STREAM, api.NO_CONSUMER):
                raise
            missing.append(name)
        else:
            drift += differences(name, declared, actual)
    return drift, missing


async def copies(log: JetStreamLog) -> AsyncIterator[Finding]:
    """Streams without a leader, with copies that are away or behind, or with fewer copies than
    other streams: a stream with one copy is lost with its disk."""
    replicas: dict[str, int] = {}
    unled: list[str] = []
    for stream in STREAMS:
        try:
            info = await log.call(f"STREAM.INFO.{stream.name}")
        except ServerRefused as error:
            if error.code != api.NO_STREAM:
                raise
            continue
        replicas[stream.name] = info["config"]["num_replicas"]
        if leaderless(info):
            unled.append(stream.name)
        elif away := voters_in(info).away:
            yield warn(
                "copies",
                f"{stream.name}: {', '.join(away)} away or behind",
                "start that server; it catches up by itself",
            )
    if unled:
        yield fail("copies", f"no leader: {', '.join(unled)}", _remedy(unled))
        return
    most = max(replicas.values(), default=1)
    fewer = [f"{name} has {count}" for name, count in replicas.items() if count < most]
    if fewer:
        yield warn(
            "copies",
            f"{', '.join(fewer)}, other streams {most}",
            f"`ringrift contract apply --replicas {most}`",
        )


def _remedy(unled: Sequence[str]) -> str:
    if set(unled) <= set(RECREATED):
        seconds = LEADERLESS_SECONDS_MAX
        return f"the dispatcher recreates them after {seconds:g} s; check that one is running"
    return (
        "each needs most of its copies: start the servers that are away; "
        "after a power cut see docs/promises.md"
    )


async def _consumers(log: JetStreamLog) -> AsyncIterator[Finding]:
    beats, tail = await Presence(log).all(), await log.tail(EVENTS)
    running = {beat.consumer for beat in beats}
    absent = ", ".join(name for name in PROCESSES if name not in running)
    if absent:
        one = "python -m ringrift.consumers.NAME --server URL"
        yield warn(
            "consumers", f"not running: {absent}", f"start `ringrift up`, or each with `{one}`"
        )
    else:
        yield ok("consumers", f"{len(beats)} running")
    for beat in beats:
        name = f"{beat.consumer}@{beat.node}"
        lag = tail - beat.seq
        if beat.folds and lag > LAG_EVENTS_MAX:
            remedy = "wait if it has just started; else look at its log in the data directory"
            yield warn("lag", f"{name} is {lag:,} events behind", remedy)
        if beat.errors:
            text = f"{name} has had {beat.errors} errors"
            yield warn("errors", text, "look at its log in the data directory")


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
