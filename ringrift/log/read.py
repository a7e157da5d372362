"""Reading events from the log: stored and future ones, the newest of a kind, the settings in force.

Everything that needs typed events reads them here. Messages that cannot be decoded, or whose author
may not write them, are skipped: the consumers that should have processed them store dead letters.

All functions raise StreamMissing and LogUnavailable.
"""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, TypeVar, Unpack, overload

import msgspec

from ringrift.events import Fact, Recorded, Settings, type_of
from ringrift.events.errors import SettingsError, UndecodableEvent, UnknownEvent
from ringrift.events.facts import SettingsChanged
from ringrift.log.entry import Entry
from ringrift.log.protocol import Log
from ringrift.log.span import Progress, Span
from ringrift.log.topology import EVENTS, GAMES

FILTERS_MAX = 6
"""subject filters of one read; the server needs twice as long to match twenty filters as to send
every message"""

SEQ_DIGITS_MAX = 18
"""of a sequence; the server refuses larger numbers than 64 bits hold"""

F = TypeVar("F", bound=Fact)
T = TypeVar("T")


class Part(TypedDict, total=False):
    """The part of a stream to read: from the event after sequence `after`, or from the first one
    stored at or after `since`, through the event at sequence `until`.

    The stream is that of the kinds, `EVENTS` for all kinds, or `stream`."""

    stream: str
    after: int
    since: datetime | None
    until: int | None
    progress: Progress | None


@overload
def facts(log: Log, **part: Unpack[Part]) -> AsyncGenerator[Recorded, None]: ...


@overload
def facts(
    log: Log, *kinds: type[F], scope: str | None = None, **part: Unpack[Part]
) -> AsyncGenerator[Recorded[F], None]: ...


async def facts(
    log: Log, *kinds: type[F], scope: str | None = None, **part: Unpack[Part]
) -> AsyncGenerator[Recorded[Any], None]:
    """Yield the stored events of `kinds` (all kinds if none is given) in the order of the log.

    `scope` is a config, a node or `all`; without it events of every scope are read."""
    wanted = frozenset(kinds)
    span = _span(part, _filters(kinds, scope))
    batches = log.replay(_stream(kinds, part.get("stream")), refuse=_skip, **span)
    async with contextlib.aclosing(batches):
        async for batch in batches:
            for recorded in batch:
                if not wanted or type(recorded.event) in wanted:
                    yield recorded


@overload
def follow(log: Log, *, stream: str = EVENTS, after: int = 0) -> AsyncGenerator[Recorded, None]: ...


@overload
def follow(
    log: Log, *kinds: type[F], scope: str | None = None, stream: str | None = None, after: int = 0
) -> AsyncGenerator[Recorded[F], None]: ...


async def follow(
    log: Log, *kinds: type[F], scope: str | None = None, stream: str | None = None, after: int = 0
) -> AsyncGenerator[Recorded[Any], None]:
    """Yield the stored events after sequence `after`, then every new one as it is stored.

    The parameters are those of `facts`. Never ends. Raises LogRewound."""
    where, wanted = _stream(kinds, stream), frozenset(kinds)
    entries = log.follow_events(where, filters=_filters(kinds, scope), start_seq=after + 1)
    async with contextlib.aclosing(entries):
        async for entry in entries:
            recorded = _decoded(log, where, entry)
            if recorded is not None and (not wanted or type(recorded.event) in wanted):
                yield recorded


async def search(
    log: Log,
    marks: Sequence[bytes],
    *kinds: type[F],
    scope: str | None = None,
    **part: Unpack[Part],
) -> AsyncGenerator[Recorded[F], None]:
    """Yield the events whose bytes contain one of `marks`; the parameters are those of `facts`.

    Only messages with a mark are decoded, which makes searching for an id or a digest fast."""
    where, wanted = _stream(kinds, part.get("stream")), frozenset(kinds)
    batches = log.read(where, **_span(part, _filters(kinds, scope)))
    async with contextlib.aclosing(batches):
        async for batch in batches:
            await log.know(where, batch[-1].seq)
            for entry in batch:
                if not any(mark in entry.body for mark in marks):
                    continue
                recorded = _decoded(log, where, entry)
                if recorded is not None and (not wanted or type(recorded.event) in wanted):
                    yield recorded  # type: ignore[misc]


async def partial(
    log: Log, shape: type[T], kind: type[Fact], *, scopes: Sequence[str] = (), **part: Unpack[Part]
) -> AsyncGenerator[tuple[int, T], None]:
    """Yield sequence and content of the events of `kind`, decoded as `shape`.

    `shape` is an envelope that names only the fields of interest; the decoder skips the others. A
    game is counted this way without decoding its moves and targets."""
    filters = [filter for scope in scopes for filter in _filters([kind], scope)]
    span = _span(part, filters or _filters([kind], None))
    decoder = msgspec.json.Decoder(shape)
    batches = log.read(type_of(kind).stream, **span)
    async with contextlib.aclosing(batches):
        async for batch in batches:
            for entry in batch:
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                    yield entry.seq, decoder.decode(entry.body)


async def latest(log: Log, kind: type[F], scope: str | None = None) -> Recorded[F] | None:
    """Return the newest event of `kind` in a scope, or of all scopes."""
    (subject_filter,) = _filters([kind], scope)
    return await _newest(log, kind, subject_filter)


async def latest_of_each(log: Log, kind: type[F]) -> list[Recorded[F]]:
    """Return the newest event of `kind` in each scope, ordered by subject."""
    subjects = await log.subjects(type_of(kind).stream, type_of(kind).subject_filter)
    found = [await _newest(log, kind, subject) for subject in subjects]
    return [item for item in found if item is not None]


async def fact_at(log: Log, position: str) -> Recorded | None:
    """Return the event at a position such as `EVENTS/12`; None if nothing is stored there.

    A position in a stream that holds no events, such as `WORK/3`, gives None. Raises
    UndecodableEvent."""
    stream, _, seq = position.partition("/")
    is_sequence = seq.isdecimal() and len(seq) <= SEQ_DIGITS_MAX
    if stream not in (EVENTS, GAMES) or not is_sequence:
        return None
    entry = await log.get(stream, int(seq))
    await log.know(stream, int(seq))
    return log.ring.event(stream, entry) if entry else None


async def settings_in_force(
    log: Log, version: int | None = None, *, whole: bool = False
) -> tuple[Settings, int]:
    """Return the settings in force, or those of a version, and their version.

    Before the first settings are stored these are the defaults, version 0. Raises SettingsError if
    no settings have this version. With `whole`, raises UnknownEvent if they have settings that only
    a newer program knows: work by the rest of them could be wrong."""
    if version is None:
        newest = await latest(log, SettingsChanged)
    else:
        every = [item async for item in facts(log, SettingsChanged)]
        newest = next((item for item in reversed(every) if item.event.version == version), None)
    if newest is not None:
        if whole and newest.meta.unknown:
            raise UnknownEvent(newest.meta.half_known)
        return newest.event.settings, newest.event.version
    if version:
        raise SettingsError(f"no settings of version {version} are stored")
    return Settings(), 0


async def seq_at(log: Log, moment: int | datetime) -> int:
    """Return the sequence of the newest event in `EVENTS` at a time, at most that of the last one.

    A sequence stands for itself."""
    tail = await log.tail(EVENTS)
    if isinstance(moment, int):
        return min(moment, tail)
    batches = log.read(EVENTS, start_time=moment + timedelta(microseconds=1))
    async with contextlib.aclosing(batches):
        later = await anext(batches, None)
    return later[0].seq - 1 if later else tail


def _stream(kinds: Sequence[type[Fact]], stream: str | None) -> str:
    if stream is not None:
        return stream
    streams = {str(type_of(kind).stream) for kind in kinds} or {EVENTS}
    if len(streams) > 1:
        raise ValueError("events of one read are stored in one stream")
    return streams.pop()


def _span(part: Part, filters: Sequence[str]) -> Span:
    return Span(
        filters=filters,
        start_seq=part.get("after", 0) + 1,
        start_time=part.get("since"),
        until_seq=part.get("until"),
        progress=part.get("progress"),
    )


def _filters(kinds: Sequence[type[Fact]], scope: str | None) -> list[str]:
    """Subject filters that match at least the events of `kinds`: few, at the price of more events
    than asked for."""
    types = [type_of(kind) for kind in kinds]
    exact = sorted({item.filter(scope or "*") for item in types})
    if scope is not None or len(exact) <= FILTERS_MAX:
        return exact
    by_context = sorted({f"ringrift.{item.context}.>" for item in types})
    return by_context if len(by_context) <= FILTERS_MAX else []


async def _newest(log: Log, kind: type[F], subject_filter: str) -> Recorded[F] | None:
    stream = type_of(kind).stream
    entry = await log.last(stream, subject_filter)
    if entry is None:
        return None
    await log.know(stream, entry.seq)
    newest = _decoded(log, stream, entry)
    if newest is None or type(newest.event) is not kind:
        # the last message is damaged or of a newer build: find the last one that can be decoded
        newest = None
        async for batch in log.replay(stream, refuse=_skip, filters=[subject_filter]):
            for item in batch:
                newest = item if type(item.event) is kind else newest
    return newest  # type: ignore[return-value]


def _decoded(log: Log, stream: str, entry: Entry) -> Recorded | None:
    try:
        return log.ring.event(stream, entry)
    except UndecodableEvent:
        return None


def _skip(entry: Entry, error: UndecodableEvent) -> None:
    """Ignore a message that cannot be decoded."""
