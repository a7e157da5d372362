"""Events as bytes: a structured CloudEvents 1.0 envelope in JSON, readable in `nats stream view`.

    {"specversion":"1.0","id":"SelfplayPlanned:EVENTS/3:0","type":"ringrift.SelfplayPlanned.v1",
     "source":"planner@node1","subject":"ringrift.selfplay.hex8_2p.planned",
     "time":"2026-11-21T04:40:00.000001Z","cause":"EVENTS/3","data":{...}}

`cause` (an extension attribute) is the position of the message that led to this event."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Generic, Literal, NamedTuple, Union

import msgspec
from msgspec import Raw, Struct
from typing_extensions import TypeVar

from ringrift.events.errors import UndecodableEvent, UnknownEvent
from ringrift.events.fact import EventType, Fact
from ringrift.events.registry import REGISTRY, type_of


class Draft(Struct, frozen=True, kw_only=True):
    """An event to be written. `id` is derived from the cause, so retries are idempotent."""

    event: Fact
    id: str
    cause: str | None
    source: str
    time: datetime

    @property
    def kind(self) -> EventType:
        """Event type of the event."""
        return type_of(self.event)

    @property
    def subject(self) -> str:
        """Subject the event is stored under."""
        return self.kind.subject(self.event)

    def stored(self, stream: str, seq: int) -> EventMeta:
        """Metadata of the event once it is message `seq` of `stream`."""
        return EventMeta(stream, seq, self.subject, self.id, self.source, self.time, self.cause)


class EventMeta(Struct, frozen=True, gc=False):
    """Metadata of a stored event. `seq` is its sequence in the stream, `time` when it was drafted
    (UTC)."""

    stream: str
    seq: int
    subject: str
    id: str
    source: str
    time: datetime
    cause: str | None

    @property
    def position(self) -> str:
        """`<stream>/<sequence>`; later events name their cause in this form."""
        return f"{self.stream}/{self.seq}"


F = TypeVar("F", bound=Fact, covariant=True, default=Fact)


class Recorded(NamedTuple, Generic[F]):
    """A stored event with its metadata."""

    event: F
    meta: EventMeta


class _Envelope(Struct, frozen=True, kw_only=True):
    specversion: Literal["1.0"] = "1.0"
    id: str
    type: str
    source: str
    subject: str
    time: datetime
    cause: str | None = None
    data: Raw


_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""errors of the JSON decoder; RecursionError for thousands of nested brackets"""
_WIRE_NAME = re.compile(r"ringrift\.([A-Za-z]+)\.v([1-9][0-9]{0,5})")
_ENCODER = msgspec.json.Encoder()
_new = tuple.__new__  # twice as fast as the named tuple's own constructor, which replays notice
_ENVELOPE = msgspec.json.Decoder(_Envelope)


def _typed_envelope(kind: EventType) -> type[Struct]:
    """Envelope of one event type with `type` as its tag: decodes envelope and data in one pass,
    which is twice as fast as two."""
    fields: list[Any] = [(name, str) for name in ("id", "source", "subject")]
    fields += [("time", datetime), ("data", kind.fact_type), ("cause", str | None, None)]
    name, tag = kind.name, kind.wire_name
    return msgspec.defstruct(name, fields, tag_field="type", tag=tag, frozen=True, gc=False)


_CURRENT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Union[tuple(map(_typed_envelope, REGISTRY.values()))]  # noqa: UP007  a union of a computed list
)


def event_id(kind: type[Fact], cause: str | None, key: str | int) -> str:
    """Id of an event of `kind` with this cause; `key` distinguishes several of one cause."""
    return f"{kind.__name__}:{cause or '-'}:{key}"


def draft(
    event: Fact, *, cause: str | None, source: str, time: datetime | None = None, key: str | int = 0
) -> Draft:
    """An event with the id that follows from its cause and `key`; `time` defaults to now."""
    return Draft(
        event=event,
        id=event_id(type(event), cause, key),
        cause=cause,
        source=source,
        time=time or datetime.now(UTC),
    )


def encode(item: Draft) -> bytes:
    """The bytes of an event in the log."""
    return _ENCODER.encode(
        _Envelope(
            id=item.id,
            type=item.kind.wire_name,
            source=item.source,
            subject=item.subject,
            time=item.time,
            cause=item.cause,
            data=Raw(_ENCODER.encode(item.event)),
        )
    )


def decode(body: bytes | memoryview, *, stream: str, seq: int) -> Recorded:
    """The event in `body`, which is message `seq` of `stream`.

    Raises UndecodableEvent if the bytes are not an event, UnknownEvent if its type or version is
    not in the registry."""
    try:
        found = _CURRENT.decode(body)
        event = found.data
    except _DAMAGE:
        found, event = _decode_other(bytes(body), f"{stream}/{seq}")
    meta = EventMeta(stream, seq, found.subject, found.id, found.source, found.time, found.cause)
    return _new(Recorded, (event, meta))


def _decode_other(body: bytes, position: str) -> tuple[_Envelope, Fact]:
    """Envelope and event of an older version, or the error that describes the bytes."""
    try:
        envelope = _ENVELOPE.decode(body)
        return envelope, _upcast(envelope)
    except _DAMAGE as error:
        raise UndecodableEvent(f"{position}: {error}") from error


def _upcast(envelope: _Envelope) -> Fact:
    """The event, upcast version by version."""
    form = _WIRE_NAME.fullmatch(envelope.type)
    if form is None:
        raise UnknownEvent(f"{envelope.type!r} is not of the form ringrift.<Name>.v<version>")
    name, version = form[1], int(form[2])
    kind = REGISTRY.get(name)
    if kind is None:
        raise UnknownEvent(f"{envelope.type}: no such event type; a newer build may know it")
    if version > kind.version:
        raise UnknownEvent(
            f"{envelope.type}: this build knows {name} up to version {kind.version}; update it"
        )
    data = msgspec.json.decode(envelope.data, type=dict)
    # upcasters see plain data, because the types of old versions are gone
    for step in range(version, kind.version):
        try:
            data = kind.upcasters[step](data)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise msgspec.ValidationError(
                f"data of {envelope.type} is not of version {step}: {error!r}"
            ) from error
    return msgspec.convert(data, kind.fact_type)
