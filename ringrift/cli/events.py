"""`ringrift events tail` and `ringrift events show`: the log as lines, one event whole, what it
came from and what it led to."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal

import msgspec
from rich.console import Console
from rich.text import Text

from ringrift.cli.common import HERE, Json, Moment, Source, console, opened, progress, show
from ringrift.errors import CommandError
from ringrift.events import Recorded, UndecodableEvent, decode, type_of
from ringrift.events.facts import EvaluationRequested, GameCompleted, SelfplayPlanned
from ringrift.insight.describe import important
from ringrift.log.entry import Entry
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.topology import DEAD, EVENTS, GAMES, WORK

SHOWN_BEFORE = 20
"""events shown without --since"""
LOOKED_BACK_MIN = 64
"""messages of the first look back for them; each further look goes four times as far"""
EFFECTS_SHOWN_MAX = 20
STRING_SHOWN_MAX = 400
"""characters of one value in `events show` without --json: a game's targets have hundreds of
thousands"""
LINE_WIDTH = 200


async def tail(
    *,
    subject: str = "ringrift.>",
    since: Moment | None = None,
    no_follow: bool = False,
    source: Source = HERE,
    json: Json = False,
) -> int:
    """Print the newest events, then those to come.

    Args:
        subject: Subject filter, such as 'ringrift.promotion.>'.
        since: Start at this point, such as 120, 2026-11-21T04:00 or 10m [default: the last 20].
        no_follow: End when all stored events are printed.
    """
    out = console(width=LINE_WIDTH)
    stream = _stream_of(subject)
    async with opened(source) as log:
        async for entry in entries(log, stream, _filters(subject), since, follow=not no_follow):
            if json:
                show(document(stream, entry), json)
            else:
                out.print(line(stream, entry), soft_wrap=True)
    return 0


async def entries(
    log: JetStreamLog,
    stream: str,
    filters: list[str],
    start: int | datetime | None,
    *,
    follow: bool,
) -> AsyncIterator[Entry]:
    """Stored messages that match `filters` from `start` on (None: the last `SHOWN_BEFORE`), then,
    with `follow`, those to come, without end."""
    at = 1
    if start is None:
        for entry in await _newest(log, stream, filters):
            at = entry.seq + 1
            yield entry
    else:
        where: dict[str, Any] = {"start_time": start}
        at = await log.tail(stream) + 1
        if isinstance(start, int):
            at = max(1, start)
            where = {"start_seq": at}
        async for batch in log.read(stream, filters=filters, **where):
            for entry in batch:
                at = entry.seq + 1
                yield entry
    if follow:
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
    return {"game": GAMES, "work": WORK, "dead": DEAD}.get(context, EVENTS)


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
    found = _decoded(stream, entry)
    if isinstance(found, UndecodableEvent):
        shown.append("undecodable", style="bold red")
        return shown.append(f" {entry.subject}  {found}")
    event, meta = found
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
    found = None if stream in (DEAD, WORK) else _decoded(stream, entry)
    try:
        if isinstance(found, UndecodableEvent):
            raise found
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


def _decoded(stream: str, entry: Entry) -> Recorded | UndecodableEvent:
    """The event of a message, or the reason why it has none.

    Messages are decoded here and not by `ringrift.log.read`, because those that cannot be decoded
    are shown too."""
    try:
        return decode(entry.body, stream=stream, seq=entry.seq)
    except UndecodableEvent as error:
        return error


def _own_headers(entry: Entry) -> dict[str, str]:
    """Headers that are not the server's: what a dead letter says about itself."""
    return {name: value for name, value in entry.headers.items() if not name.startswith("Nats-")}


async def show_event(
    seq: int,
    /,
    *,
    stream: Literal["EVENTS", "GAMES"] = "EVENTS",
    source: Source = HERE,
    json: Json = False,
) -> int:
    """Print one event whole, its cause, and the events that it caused.

    Args:
        seq: Sequence of the event in its stream.
    """
    async with opened(source) as log:
        entry = await log.get(stream, seq)
        if entry is None:
            newest = await log.tail(stream)
            raise CommandError(
                f"no message {stream}/{seq}: the newest is {newest}, and old ones may have expired"
            )
        cause = await _cause(log, stream, entry)
        effects = [found async for found in _effects(log, stream, entry)]
    known = {
        "event": document(stream, entry),
        "cause": document(*cause) if cause else None,
        "effects": [document(*effect) for effect in effects],
    }
    show(known, json, lambda out: _print_event(out, document(stream, entry), cause, effects))
    return 0


def _print_event(
    out: Console,
    event: dict[str, Any],
    cause: tuple[str, Entry] | None,
    effects: list[tuple[str, Entry]],
) -> None:
    pretty = msgspec.json.format(msgspec.json.encode(_shortened(event)), indent=2).decode()
    out.print(pretty, soft_wrap=True, markup=False)
    out.print("\ncaused by", style="bold")
    out.print(_one_line(*cause) if cause else Text("  nothing in the log"), soft_wrap=True)
    out.print("led to", style="bold")
    for stream, effect in effects[:EFFECTS_SHOWN_MAX]:
        out.print(_one_line(stream, effect), soft_wrap=True)
    if len(effects) > EFFECTS_SHOWN_MAX:
        out.print(f"  and {len(effects) - EFFECTS_SHOWN_MAX} more, see --json")
    if not effects:
        out.print("  nothing so far")


def _one_line(stream: str, entry: Entry) -> Text:
    return Text(f"  {stream:<6} ").append_text(line(stream, entry))


def _shortened(value: Any) -> Any:
    """The value with very long strings cut."""
    if isinstance(value, str) and len(value) > STRING_SHOWN_MAX:
        return f"{value[:STRING_SHOWN_MAX]}… ({len(value):,} characters, whole with --json)"
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    return [_shortened(item) for item in value] if isinstance(value, list) else value


async def _cause(log: JetStreamLog, stream: str, entry: Entry) -> tuple[str, Entry] | None:
    recorded = _decoded(stream, entry)
    if isinstance(recorded, UndecodableEvent):
        return None
    where, _, seq = (recorded.meta.cause or "").partition("/")
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
    recorded = _decoded(stream, entry)  # what is no event leads at most to a dead letter
    event = None if isinstance(recorded, UndecodableEvent) else recorded.event
    if isinstance(event, SelfplayPlanned | EvaluationRequested):
        games = [type_of(GameCompleted).filter(event.config)]
        places.append((GAMES, {"start_time": entry.time, "filters": games}))
    for place, where in places:
        with progress(f"looking through {place}") as report:
            async for batch in log.read(place, **where, progress=report):
                for found in batch:
                    if mark in found.body:
                        yield place, found
