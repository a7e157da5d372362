"""The canary of an update: one node gets the new program first, and its errors and speed are
compared with those before.

Errors are facts about failures on the node, and processes that had to be restarted since; speed is
that of self-play, in plies a second, by config. No game may have ended in the time; then only
errors count."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from ringrift.cluster import steering
from ringrift.events import Fact, facts as f
from ringrift.insight.describe import plural
from ringrift.log import read
from ringrift.log.presence import Heartbeat, Presence
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS

FAILURES = (f.ErrorReported, f.TrainingFailed, f.EvaluationFailed, f.CrashLoopChanged)
SPEED_SECONDS = 3600.0
"""before the update, in which speed is measured: tickets take minutes"""
SPEED_MIN = 0.8
"""of the speed before; tickets of the same config differ by a few per cent"""
LOOK_SECONDS = 1.0


class Sample(Struct, frozen=True, kw_only=True):
    """Errors of a node, and plies and seconds of its self-play by config."""

    errors: int
    plies: dict[str, int]
    seconds: dict[str, float]


def sample(node: str, events: Iterable[Fact]) -> Sample:
    """What these facts say of a node."""
    errors, plies, seconds = 0, Counter[str](), defaultdict[str, float](float)
    for event in events:
        if getattr(event, "node", None) != node:
            continue
        if isinstance(event, f.SelfplayFinished):
            plies[event.config] += event.plies
            seconds[event.config] += event.play_seconds
        elif not isinstance(event, f.CrashLoopChanged) or event.looping:
            errors += isinstance(event, FAILURES)
    return Sample(errors=errors, plies=dict(plies), seconds=dict(seconds))


def speed(before: Sample, after: Sample) -> float | None:
    """Speed after relative to that before, for the configs that were played in both."""
    known = [name for name in after.plies if before.plies.get(name) and after.seconds[name]]
    expected = sum(
        after.seconds[name] * before.plies[name] / max(before.seconds[name], 1e-9) for name in known
    )
    return sum(after.plies[name] for name in known) / expected if expected else None


class Canary(Struct, frozen=True, kw_only=True):
    """A node before its update: the end of the log then, its errors in the time for which it will
    be watched, and its sample of the last hour."""

    node: str
    seq: int
    errors: int
    before: Sample


def judged(canary: Canary, version: str, seconds: float, after: Sample) -> f.UpdateJudged:
    """The verdict on an update."""
    ratio, why = speed(canary.before, after), ""
    if after.errors > canary.errors:
        count = plural(after.errors, "error")
        why = f"{count} in {seconds:,.0f} s, {canary.errors} before"
    elif ratio is not None and ratio < SPEED_MIN:
        why = f"self-play has {ratio:.0%} of the speed before"
    return f.UpdateJudged(
        node=canary.node,
        version=version,
        seconds=seconds,
        errors=after.errors,
        errors_before=canary.errors,
        speed=ratio,
        passed=not why,
        why=why or ("as before" if ratio is not None else "no more errors; no game ended"),
    )


async def look_back(log: Log, node: str, seconds: float) -> Canary:
    """A node as it was in the last `seconds`."""
    seq, now = await log.tail(EVENTS), datetime.now(UTC)
    since = now - timedelta(seconds=max(seconds, SPEED_SECONDS))
    events = read.facts(log, *FAILURES, f.SelfplayFinished, since=since, until=seq)
    found = [(event, meta.time) async for event, meta in events]
    late = [event for event, time in found if time >= now - timedelta(seconds=seconds)]
    before = sample(node, [event for event, _ in found])
    return Canary(node=node, seq=seq, errors=sample(node, late).errors, before=before)


async def watch(log: Log, canary: Canary, seconds: float) -> f.UpdateJudged:
    """Watch an updated node for `seconds`, or until it has more errors than before; record the
    verdict."""
    loop, seen, events = asyncio.get_running_loop(), canary.seq, list[Fact]()
    started = loop.time()
    while True:
        async for event, meta in read.facts(log, *FAILURES, f.SelfplayFinished, after=seen):
            events.append(event)
            seen = meta.seq
        beats = [beat for beat in await Presence(log).all() if beat.node == canary.node]
        found = sample(canary.node, events)
        after = replace(found, errors=found.errors + _restarts(beats))
        passed = loop.time() - started
        if passed >= seconds or after.errors > canary.errors:
            break
        await asyncio.sleep(min(LOOK_SECONDS, seconds - passed))
    version = next((beat.machine.version for beat in beats if beat.machine), "")
    verdict = judged(canary, version, passed, after)
    await steering.record(log, verdict)
    return verdict


def _restarts(beats: Iterable[Heartbeat]) -> int:
    """Processes that had to be restarted since the node started."""
    return sum(beat.errors for beat in beats if beat.machine is not None)
