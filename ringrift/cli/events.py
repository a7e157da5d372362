"""`ringrift events tail` and `ringrift events show`: the log as lines, and one event whole."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from cyclopts import Parameter
from rich.text import Text

from ringrift.cli import formats
from ringrift.cli.common import (
    HERE,
    TABLE,
    Moment,
    Session,
    Tabular,
    console,
    opened,
    parsed,
    progress,
    seq_at,
    show,
)
from ringrift.cli.formats import Row
from ringrift.errors import CommandError
from ringrift.events import Recorded, UndecodableEvent, decode, facts, type_of
from ringrift.insight.describe import fields_line, one_line
from ringrift.log.entry import Entry
from ringrift.log.protocol import Log
from ringrift.log.topology import DEAD, EVENTS, GAMES, WORK

SHOWN_BEFORE = 20
"""events shown without --since"""
LOOKED_BACK_MIN = 64
"""messages of the first look back for them; each further look goes four times as far"""
EFFECTS_SHOWN_MAX = 20
STRING_SHOWN_MAX = 400
"""characters of one value in `events show` without --json: the targets of a game have hundreds of
thousands"""
LINE_WIDTH = 200


async def tail(
    *,
    subject: str = "ringrift.>",
    since: Moment | None = None,
    no_follow: bool = False,
    session: Tabular = TABLE,
) -> None:
    """Print the newest events, then those to come.

    Args:
        subject: Subject filter, such as 'ringrift.promotion.>'.
        since: Start at this point, such as 120, 2026-11-21T04:00 or 10m [default: the last 20].
        no_follow: End when all stored events are printed.
    """
    out = console(width=LINE_WIDTH)
    if session.form == "parquet" and not no_follow:
        raise CommandError("a Parquet file has an end: add --no-follow")
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        add = rows.append
        if session.form == "csv":
            add = stack.enter_context(formats.csv_lines(session.output))
        log = await stack.enter_async_context(opened(session))
        async for message in messages(log, subject, since, follow=not no_follow):
            match session.form:
                case "table":
                    out.print(message.line(), soft_wrap=True)
                case "json":
                    show(message.document(), json=True)
                case _:
                    add(message.row())
    if session.form == "parquet":
        formats.write_parquet(rows, session.output)


def _position(text: str) -> str:
    """`EVENTS/35`, `GAMES/3` or `35`. Raises ValueError."""
    if re.fullmatch(rf"(?:(?:{EVENTS}|{GAMES})/)?[1-9][0-9]{{0,18}}", text):
        return text
    raise ValueError(f"{text!r} is no event: give a position such as {EVENTS}/35 or {GAMES}/3")


Position: TypeAlias = Annotated[str, Parameter(converter=parsed(_position), n_tokens=1)]


async def show_event(
    position: Position, /, *, stream: Literal["EVENTS", "GAMES"] = "EVENTS", session: Session = HERE
) -> None:
    """Print one event in full, with its cause and effects.

    Args:
        position: The event, such as EVENTS/35 or GAMES/3; 35 alone is EVENTS/35.
        stream: The stream of a number alone.
    """
    position = position if "/" in position else f"{stream}/{position}"
    async with opened(session) as log:
        message = await Message.at(log, position)
        if message is None:
            newest = await log.tail(position.partition("/")[0])
            raise CommandError(
                f"no message {position}: the newest is {newest}, and old ones may have expired"
            )
        cause = await Message.at(log, message.cause)
        effects = [effect async for effect in _effects(log, message)]
    known = {
        "event": message.document(),
        "cause": cause.document() if cause else None,
        "effects": [effect.document() for effect in effects],
    }
    show(known, session.json, *_event_texts(message, cause, effects))


class Message:
    """A stored message, whether it holds an event or not.

    Messages are decoded here and not by `ringrift.log.read`, because those that cannot be decoded
    are shown too."""

    def __init__(self, stream: str, entry: Entry) -> None:
        self.stream, self.entry = stream, entry

    @classmethod
    async def at(cls, log: Log, position: str) -> Message | None:
        """The message at a position such as `EVENTS/12`, None if there is none."""
        stream, _, seq = position.partition("/")
        known = stream in (EVENTS, GAMES) and seq.isdecimal()
        if not known or not 0 < int(seq) <= await log.tail(stream):
            return None
        entry = await log.get(stream, int(seq))
        return cls(stream, entry) if entry else None

    @cached_property
    def event(self) -> Recorded | UndecodableEvent:
        """The event, or the reason why there is none."""
        try:
            if self.stream in (EVENTS, GAMES):
                return self.entry.recorded(self.stream)
            return decode(self.entry.body, stream=self.stream, seq=self.entry.seq)
        except UndecodableEvent as error:
            return error

    @property
    def cause(self) -> str:
        """Position of the cause, empty if there is none."""
        return "" if isinstance(self.event, UndecodableEvent) else self.event.meta.cause or ""

    def _headers(self) -> dict[str, str]:
        """Headers that the server did not write: those of a dead letter describe it."""
        headers = self.entry.headers.items()
        return {name: value for name, value in headers if not name.startswith("Nats-")}

    def line(self) -> Text:
        """Sequence, time, type, scope, important fields and cause."""
        shown = Text(f"{self.entry.seq:>7} {self.entry.time:%Y-%m-%d %H:%M:%S}  ")
        subject = one_line(self.entry.subject)
        if self.stream in (DEAD, WORK):
            headers = " ".join(f"{name.lower()}={text}" for name, text in self._headers().items())
            shown.append(subject.removeprefix("ringrift."), style="bold")
            return shown.append(f"  {one_line(headers)}")
        if isinstance(self.event, UndecodableEvent):
            shown.append("undecodable", style="bold red")
            return shown.append(f" {subject}  {one_line(str(self.event))}")
        event, _ = self.event
        shown.append(type(event).__name__, style="bold")
        shown.append(f" {self.entry.subject.split('.')[2]}  ", style="cyan")
        shown.append(fields_line(event))
        return shown.append(f"  ← {self.cause}", style="dim") if self.cause else shown

    def row(self) -> Row:
        """The columns of CSV and Parquet; those that only an event has are empty for others."""
        known = self.document()
        names = ("type", "subject", "source", "cause", "undecodable", "data")
        place = {name: known[name] for name in ("stream", "seq", "stored")}
        return place | {name: known.get(name) for name in names}

    def document(self) -> dict[str, Any]:
        """The envelope and its position; for bytes that are not an event, the bytes as text and the
        reason."""
        entry = self.entry
        place: dict[str, Any] = {"stream": self.stream, "seq": entry.seq}
        place["stored"] = entry.time.isoformat()
        if headers := self._headers():
            place["headers"] = headers
        try:
            if self.stream not in (DEAD, WORK) and isinstance(self.event, UndecodableEvent):
                raise self.event
            return place | msgspec.json.decode(entry.body, type=dict[str, Any])
        except (UndecodableEvent, msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = str(error)
        body = entry.body.decode(errors="replace")
        return place | {"subject": entry.subject, "undecodable": reason, "body": body}


async def messages(
    log: Log, subject: str, since: int | datetime | None, *, follow: bool
) -> AsyncIterator[Message]:
    """Stored messages that match the filter `subject` from `since` on (None: the last
    `SHOWN_BEFORE`), then, with `follow`, those to come, without end.

    A filter that fits several streams means EVENTS."""
    context = [*subject.split("."), ""][1]
    stream = {"game": GAMES, "work": WORK, "dead": DEAD}.get(context, EVENTS)
    filters = [] if subject in (">", "ringrift.>") else [subject]
    after = 0
    if since is None:
        for entry in await _newest(log, stream, filters):
            after = entry.seq
            yield Message(stream, entry)
    else:
        where: dict[str, Any] = {"start_time": since}
        after = await log.tail(stream)
        if isinstance(since, int):
            after = max(0, await seq_at(log, since, stream) - 1)
            where = {"start_seq": after + 1}
        async for batch in log.read(stream, filters=filters, **where):
            for entry in batch:
                after = entry.seq
                yield Message(stream, entry)
    if follow:
        async for entry in log.follow(stream, filters=filters, start_seq=after + 1):
            yield Message(stream, entry)


async def _newest(log: Log, stream: str, filters: list[str]) -> deque[Entry]:
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


async def _effects(log: Log, message: Message) -> AsyncIterator[Message]:
    """The messages whose cause is this one, found by a scan of those after it; games only if the
    event leads to games."""
    entry = message.entry
    mark = f'"cause":"{message.stream}/{entry.seq}"'.encode()
    after: dict[str, Any] = {"start_time": entry.time}
    places = [(EVENTS, {"start_seq": entry.seq + 1} if message.stream == EVENTS else after)]
    event = None if isinstance(message.event, UndecodableEvent) else message.event.event
    if isinstance(event, facts.SelfplayPlanned | facts.EvaluationRequested):
        games = type_of(facts.GameCompleted).filter(event.config)
        places.append((GAMES, {**after, "filters": [games]}))
    for stream, where in places:
        with progress(f"looking through {stream}") as report:
            async for batch in log.read(stream, **where, progress=report):
                for found in batch:
                    if mark in found.body:
                        yield Message(stream, found)


def _event_texts(
    message: Message, cause: Message | None, effects: list[Message]
) -> Iterator[str | Text]:
    body = msgspec.json.encode(_shortened(message.document()))
    yield msgspec.json.format(body, indent=2).decode()
    yield Text("\ncaused by", style="bold")
    yield _placed(cause) if cause else "  nothing in the log"
    yield Text("led to", style="bold")
    yield from map(_placed, effects[:EFFECTS_SHOWN_MAX])
    if len(effects) > EFFECTS_SHOWN_MAX:
        yield f"  and {len(effects) - EFFECTS_SHOWN_MAX} more, see --json"
    if not effects:
        yield "  nothing so far"


def _placed(message: Message) -> Text:
    return Text(f"  {message.stream:<6} ").append_text(message.line())


def _shortened(value: Any) -> Any:
    """The value with very long strings cut."""
    if isinstance(value, str) and len(value) > STRING_SHOWN_MAX:
        return f"{value[:STRING_SHOWN_MAX]}… ({len(value):,} characters, whole with --json)"
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value
