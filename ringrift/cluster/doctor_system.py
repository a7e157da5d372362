"""What `ringrift doctor` asks of a running system: server, streams, consumers, dead letters,
clocks."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ringrift.cli.settings import settings_in_force
from ringrift.cli.source import opened
from ringrift.cluster.findings import Finding, fail, ok, warn
from ringrift.events.settings import OperationSettings
from ringrift.log import api
from ringrift.log.errors import ServerRefused, StreamError, Unreachable
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.presence import Presence
from ringrift.log.protocol import stamp_of
from ringrift.log.recreate import LEADERLESS_SECONDS_MAX, REMADE, leaderless
from ringrift.log.topology import CONSUMERS as DURABLES
from ringrift.log.topology import DEAD, EVENTS, NODE_BUCKET, STREAMS, WORK
from ringrift.runtime.cluster_view import cluster_view
from ringrift.runtime.dead_letter_retry import unresolved
from ringrift.runtime.processes import PROCESSES
from ringrift.runtime.voters import voters_in
from ringrift.server.ensure import Drift, differences

LAG_EVENTS_MAX = 1000
"""further behind, a decider's decisions come late enough to be noticed"""
CLOCK_SKEW_SECONDS_MAX = 2.0
"""beyond it ages and heartbeats are misjudged; decisions are not, they go by the log"""


async def system_findings(options: argparse.Namespace) -> AsyncIterator[Finding]:
    """All checks of a running system; without one only the first."""
    try:
        async with opened(options, start=False) as log:
            version = log.client.connected_server_version
            yield ok(
                "server",
                f"{log.servers[0]} answers, nats-server {version.major}.{version.minor}.{version.patch}",
            )
            async for finding in _log_findings(log):
                yield finding
    except (StreamError, TimeoutError) as error:
        if options.server or not isinstance(error, Unreachable):
            yield fail(
                "server",
                str(error) or "no answer in time",
                "check the address and that the server has JetStream",
            )
        else:
            yield warn(
                "server",
                f"none runs over {options.data}",
                "start one with `ringrift up`, or name one with --server",
            )


async def _log_findings(log: JetStreamLog) -> AsyncIterator[Finding]:
    async for finding in _copies(log):
        yield finding
        if finding.level == "fail":
            return  # what else there is to ask nobody would answer
    drift, missing = await compare(log)
    if missing:
        yield warn(
            "streams",
            f"missing: {', '.join(missing)}",
            "`ringrift contract apply` creates them, so does `ringrift up`",
        )
    for item in drift:
        yield warn(
            "streams",
            f"not as declared: {item}",
            "change it with `nats stream edit` or `nats consumer edit`",
        )
    if not missing and not drift:
        yield ok(
            "streams",
            f"{len(STREAMS)} streams and buckets and {len(DURABLES)} consumers as declared",
        )
    if {EVENTS, DEAD, f"KV_{NODE_BUCKET}"} & set(missing):
        return  # nothing has ever run here
    async for finding in _consumers(log):
        yield finding
    state = await unresolved(log)
    limit = (await _operation(log)).dead_letters_max
    if len(state.letters) >= limit:
        yield fail(
            "dead letters",
            f"{len(state.letters)} unresolved, {limit} or more are an alarm",
            "`ringrift dlq list` says why",
        )
    elif state.letters:
        yield warn(
            "dead letters", f"{len(state.letters)} unresolved", "`ringrift dlq list` says why"
        )
    else:
        yield ok("dead letters", "none")
    yield await _cluster(log)
    yield await _clock(log)


async def _operation(log: JetStreamLog) -> OperationSettings:
    found = await settings_in_force(log)
    return found.operation if found else OperationSettings()


async def _cluster(log: JetStreamLog) -> Finding:
    """Resilience as one score, with the first advice as the remedy."""
    view = await cluster_view(log)
    text = f"quorum {view.quorum}, resilience {view.resilience.score:.0%}, {view.resilience.level}"
    if view.resilience.level == "CRITICAL":
        return fail("cluster", text, view.advice[0])
    return warn("cluster", text, "; ".join(view.advice)) if view.advice else ok("cluster", text)


async def compare(log: JetStreamLog) -> tuple[list[Drift], list[str]]:
    """What is not as declared, and what is missing; nothing is created. The number of replicas is
    the operator's choice."""
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


async def _copies(log: JetStreamLog) -> AsyncIterator[Finding]:
    """Streams with fewer copies than others have, and copies that are away or behind; how many
    there should be is the operator's choice, but of a stream with one copy nothing is left when its
    disk is gone."""
    copies: dict[str, int] = {}
    unled: list[str] = []
    for stream in STREAMS:
        try:
            info = await log.call(f"STREAM.INFO.{stream.name}")
        except ServerRefused as error:
            if error.code != api.NO_STREAM:
                raise
            continue
        copies[stream.name] = info["config"]["num_replicas"]
        if leaderless(info):
            unled.append(stream.name)
        elif away := voters_in(info).away:
            yield warn(
                "copies",
                f"{stream.name}: {', '.join(away)} away or behind",
                "start that server; it fetches what it lacks",
            )
    if unled:
        yield fail("copies", f"no leader: {', '.join(unled)}", _remedy(unled))
        return
    most = max(copies.values(), default=1)
    fewer = [f"{name} has {count}" for name, count in copies.items() if count < most]
    if fewer:
        yield warn(
            "copies",
            f"{', '.join(fewer)}, other streams {most}",
            f"`ringrift contract apply --replicas {most}`",
        )


def _remedy(unled: Sequence[str]) -> str:
    """What helps if streams stay without a leader."""
    if set(unled) <= set(REMADE):
        return f"the dispatcher makes it anew after {LEADERLESS_SECONDS_MAX:g} s; is one running?"
    return "each needs most of its copies: start the servers that are away; after a power cut see docs/promises.md"


async def _consumers(log: JetStreamLog) -> AsyncIterator[Finding]:
    beats, tail = await Presence(log).all(), await log.tail(EVENTS)
    absent = [name for name in PROCESSES if name not in {beat.consumer for beat in beats}]
    if absent:
        remedy = (
            "start `ringrift up`, or each with `python -m ringrift.consumers.NAME --server URL`"
        )
        yield warn("consumers", f"not running: {', '.join(absent)}", remedy)
    else:
        yield ok("consumers", f"{len(beats)} running")
    for beat in beats:
        lag = tail - beat.seq
        if beat.folds and lag > LAG_EVENTS_MAX:
            text = f"{beat.consumer}@{beat.node} is {lag:,} events behind"
            yield warn(
                "lag",
                text,
                "wait if it has just started; else look at its log in the data directory",
            )
        if beat.errors:
            text = f"{beat.consumer}@{beat.node} has met {beat.errors} errors"
            yield warn("errors", text, "look at its log in the data directory")


async def _clock(log: JetStreamLog) -> Finding:
    """Our clock against the server's, which stamps every event."""
    before = datetime.now(UTC).timestamp()
    answer = await log.call(f"STREAM.INFO.{EVENTS}")
    after = datetime.now(UTC).timestamp()
    server = stamp_of(answer["ts"]) / 1e9
    skew = max(before - server, server - after, 0.0)
    text = f"{skew:.3f} s from the server's"
    return (
        ok("clock", text)
        if skew <= CLOCK_SKEW_SECONDS_MAX
        else warn("clock", text, "let both machines follow NTP")
    )
