"""`ringrift events tail` and `ringrift events show`: the log as lines, one event whole, what it
came from and what it led to."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from ringrift.cli.source import console, moment, opened, progress
from ringrift.errors import CommandError
from ringrift.events import UndecodableEvent, decode
from ringrift.events.facts import EvaluationRequested, SelfplayPlanned
from ringrift.insight.describe import important
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.protocol import Entry
from ringrift.log.topology import DEAD, EVENTS, GAMES, WORK

SHOWN_BEFORE = 20
"""events shown without --since"""
LOOKED_BACK_MIN = 64
"""messages of the first look back for them; each further look goes four times as far"""
EFFECTS_SHOWN_MAX = 20
STRING_SHOWN_MAX = 400
"""characters of one value in `events show` without --json: a game's targets have hundreds of
thousands"""
WIDTH = 200


async def tail(options: argparse.Namespace) -> int:
    """Print stored events from `--since` on, then those to come."""
    out = Console(
        width=console().width if sys.stdout.isatty() else WIDTH, highlight=False, soft_wrap=True
    )
    async with opened(options) as log:
        stream = _stream_of(options.subject)
        async for entry in entries(log, stream, options):
            if options.json:
                print(msgspec.json.encode(document(stream, entry)).decode(), flush=True)
            else:
                out.print(line(stream, entry))
    return 0


async def entries(
    log: JetStreamLog, stream: str, options: argparse.Namespace
) -> AsyncIterator[Entry]:
    """Stored messages under `--subject` from `--since` on, then those to come, for ever unless
    `--no-follow`."""
    filters = _filters(options.subject)
    start = moment(options.since) if options.since else None
    at = 1
    if start is None:
        for entry in await _newest(log, stream, filters):
            at = entry.seq + 1
            yield entry
    else:
        where: dict[str, Any] = (
            {"start_time": start} if isinstance(start, datetime) else {"start_seq": max(1, start)}
        )
        at = max(1, start) if isinstance(start, int) else await log.tail(stream) + 1
        async for batch in log.read(stream, filters=filters, **where):
            for entry in batch:
                at = entry.seq + 1
                yield entry
    if options.no_follow:
        return
    async for entry in log.follow(stream, filters=filters, start_seq=at):
        yield entry


async def _newest(log: JetStreamLog, stream: str, filters: list[str]) -> deque[Entry]:
    """The last `SHOWN_BEFORE` matching messages, looking back no further than needed."""
    end = await log.tail(stream)
    back = LOOKED_BACK_MIN
    while True:
        start = max(1, end - back + 1)
        found: deque[Entry] = deque(maxlen=SHOWN_BEFORE)
        async for batch in log.read(stream, filters=filters, start_seq=start, until_seq=end):
            found.extend(batch)
        if len(found) == SHOWN_BEFORE or start == 1:
            return found
        back *= 4


def _stream_of(subject: str) -> str:
    """The stream whose messages a subject filter means; filters that fit several mean EVENTS."""
    context = [*subject.split("."), ""][1]
    return {"game": GAMES, "work": WORK, "dead-letter": DEAD}.get(context, EVENTS)


def _filters(subject: str) -> list[str]:
    return [] if subject in (">", "ringrift.>") else [subject]


def line(stream: str, entry: Entry) -> Text:
    """Sequence, time, type and scope, what matters, and the cause."""
    shown = Text(f"{entry.seq:>7} {entry.time:%Y-%m-%d %H:%M:%S}  ")
    if stream in (DEAD, WORK):
        shown.append(entry.subject.removeprefix("ringrift."), style="bold")
        return shown.append(
            "  "
            + " ".join(f"{name.lower()}={value}" for name, value in _own_headers(entry).items())
        )
    try:
        event, meta = decode(entry.body, stream=stream, seq=entry.seq)
    except UndecodableEvent as error:
        shown.append("undecodable", style="bold red")
        return shown.append(f" {entry.subject}  {error}")
    scope = entry.subject.split(".")[2]
    shown.append(type(event).__name__, style="bold").append(f" {scope}  ", style="cyan")
    shown.append(" ".join(f"{name}={value}" for name, value in important(event)))
    return shown.append(f"  ← {meta.cause}", style="dim") if meta.cause else shown


def document(stream: str, entry: Entry) -> dict[str, Any]:
    """The envelope with where it is stored; of bytes that are no event, the bytes as text and the
    reason."""
    place: dict[str, Any] = {"stream": stream, "seq": entry.seq, "stored": entry.time.isoformat()}
    if headers := _own_headers(entry):
        place["headers"] = headers
    try:
        if stream not in (DEAD, WORK):
            decode(entry.body, stream=stream, seq=entry.seq)
        envelope = msgspec.json.decode(entry.body)
        if isinstance(envelope, dict):
            return place | envelope
        reason = "JSON, but no envelope"
    except (UndecodableEvent, msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = str(error)
    return place | {
        "subject": entry.subject,
        "undecodable": reason,
        "body": entry.body.decode(errors="replace"),
    }


def _own_headers(entry: Entry) -> dict[str, str]:
    """Headers that are not the server's: what a dead letter says about itself."""
    return {name: value for name, value in entry.headers.items() if not name.startswith("Nats-")}


async def show(options: argparse.Namespace) -> int:
    """Print one event whole, its cause, and the events that it caused."""
    async with opened(options) as log:
        entry = await log.get(options.stream, options.seq)
        if entry is None:
            newest = await log.tail(options.stream)
            raise CommandError(
                f"no message {options.stream}/{options.seq}: the newest is {newest}, and old ones may have expired"
            )
        cause = await _cause(log, options.stream, entry)
        effects = [found async for found in _effects(log, options.stream, entry)]
        if options.json:
            known = {
                "event": document(options.stream, entry),
                "cause": document(*cause) if cause else None,
            }
            print(
                msgspec.json.encode(
                    known | {"effects": [document(*effect) for effect in effects]}
                ).decode()
            )
            return 0
        out = console()
        out.print(_pretty(document(options.stream, entry)), soft_wrap=True, markup=False)
        out.print("\ncaused by", style="bold")
        out.print(_one_line(*cause) if cause else Text("  nothing in the log"), soft_wrap=True)
        out.print("led to", style="bold")
        for stream, effect in effects[:EFFECTS_SHOWN_MAX]:
            out.print(_one_line(stream, effect), soft_wrap=True)
        if len(effects) > EFFECTS_SHOWN_MAX:
            out.print(f"  and {len(effects) - EFFECTS_SHOWN_MAX} more, see --json")
        if not effects:
            out.print("  nothing so far")
    return 0


def _one_line(stream: str, entry: Entry) -> Text:
    return Text(f"  {stream:<6} ").append_text(line(stream, entry))


def _pretty(envelope: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(_shortened(envelope)), indent=2).decode()


def _shortened(value: Any) -> Any:
    """The value with very long strings cut."""
    if isinstance(value, str) and len(value) > STRING_SHOWN_MAX:
        return f"{value[:STRING_SHOWN_MAX]}… ({len(value):,} characters, whole with --json)"
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    return [_shortened(item) for item in value] if isinstance(value, list) else value


async def _cause(log: JetStreamLog, stream: str, entry: Entry) -> tuple[str, Entry] | None:
    try:
        cause = decode(entry.body, stream=stream, seq=entry.seq).meta.cause
    except UndecodableEvent:
        return None
    where, _, seq = (cause or "").partition("/")
    if where not in (EVENTS, GAMES) or not seq.isdecimal():
        return None
    found = await log.get(where, int(seq))
    return (where, found) if found else None


async def _effects(
    log: JetStreamLog, stream: str, entry: Entry
) -> AsyncIterator[tuple[str, Entry]]:
    """Everything whose cause is this entry, by a scan of what came after it; games only where an
    event leads to games."""
    mark = f'"cause":"{stream}/{entry.seq}"'.encode()
    after: dict[str, Any] = (
        {"start_seq": entry.seq + 1} if stream == EVENTS else {"start_time": entry.time}
    )
    places = [(EVENTS, after)]
    with contextlib.suppress(
        UndecodableEvent
    ):  # bytes that are no event lead at most to a dead letter
        event = decode(entry.body, stream=stream, seq=entry.seq).event
        if isinstance(event, SelfplayPlanned | EvaluationRequested):
            places.append(
                (
                    GAMES,
                    {
                        "start_time": entry.time,
                        "filters": [f"ringrift.game.{event.config}.completed"],
                    },
                )
            )
    for place, where in places:
        with progress(f"looking through {place}") as report:
            async for batch in log.read(place, **where, progress=report):
                for found in batch:
                    if mark in found.body:
                        yield place, found
