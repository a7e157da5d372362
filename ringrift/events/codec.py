"""Events as bytes: a structured CloudEvents 1.0 envelope in JSON, readable in `nats stream view`.

    {"specversion":"1.0","id":"SelfplayPlanned:EVENTS/3:0","type":"ringrift.SelfplayPlanned.v1","source":"planner@node1",
     "subject":"ringrift.selfplay.hex8_2p.planned","time":"2026-11-21T04:40:00.000001Z","cause":"EVENTS/3","data":{...}}

`cause` (an extension attribute) names the message that led to this one as `<stream>/<sequence>`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Generic, Literal, NamedTuple, Union

import msgspec
from msgspec import Raw, Struct
from typing_extensions import TypeVar

from ringrift.events.errors import UndecodableEvent, UnknownEvent
from ringrift.events.facts import Fact
from ringrift.events.registry import REGISTRY, EventType, type_of


class Draft(Struct, frozen=True, kw_only=True):
    """An event on its way to the log. `id` is derived from the cause, so that writing twice is
    writing once."""

    event: Fact
    id: str
    cause: str | None
    source: str
    time: datetime

    @property
    def kind(self) -> EventType:
        """Registry entry of the event."""
        return type_of(self.event)

    @property
    def subject(self) -> str:
        """Subject the event is stored under."""
        return self.kind.subject(self.event)


class EventMeta(Struct, frozen=True, gc=False):
    """What the log knows about a stored event. `seq` is its stream sequence, `time` when it was
    written (UTC)."""

    stream: str
    seq: int
    subject: str
    id: str
    source: str
    time: datetime
    cause: str | None

    @property
    def position(self) -> str:
        """`<stream>/<sequence>`, the form in which a later event names this one as its cause."""
        return f"{self.stream}/{self.seq}"


F = TypeVar("F", bound=Fact, covariant=True, default=Fact)


class Recorded(NamedTuple, Generic[F]):
    """A stored event with its metadata."""

    event: F
    meta: EventMeta


class _Envelope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    specversion: Literal["1.0"] = "1.0"
    id: str
    type: str
    source: str
    subject: str
    time: datetime
    cause: str | None = None
    data: Raw


_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""what the JSON decoder raises on bytes that are none of ours; the last one on brackets nested by
the thousand"""
_WIRE_NAME = re.compile(r"ringrift\.([A-Za-z]+)\.v([1-9][0-9]{0,5})")
_ENCODER = msgspec.json.Encoder()
_new = tuple.__new__  # a named tuple's own constructor takes twice the time, which replays feel
_ENVELOPE = msgspec.json.Decoder(_Envelope)


def _typed_envelope(kind: EventType) -> type[Struct]:
    """The envelope of one event type, its `type` attribute as the tag: envelope and data in one
    pass, twice as fast as two."""
    fields: list[Any] = [
        ("id", str),
        ("source", str),
        ("subject", str),
        ("time", datetime),
        ("data", kind.fact_type),
        ("cause", str | None, None),
    ]
    return msgspec.defstruct(
        kind.name, fields, tag_field="type", tag=kind.wire_name, frozen=True, gc=False
    )


_CURRENT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Union[tuple(map(_typed_envelope, REGISTRY.values()))]  # noqa: UP007  a union of a computed list
)


def event_id(kind: type[Fact], cause: str | None, key: str | int) -> str:
    """Id of the event of `kind` that `cause` led to; `key` tells several of one cause apart."""
    return f"{kind.__name__}:{cause or '-'}:{key}"


def draft(
    event: Fact, *, cause: str | None, source: str, time: datetime | None = None, key: str | int = 0
) -> Draft:
    """An event with the id that its cause and `key` give it; `time` defaults to now."""
    return Draft(
        event=event,
        id=event_id(type(event), cause, key),
        cause=cause,
        source=source,
        time=time or datetime.now(UTC),
    )


def encode(item: Draft) -> bytes:
    """The bytes stored in the log."""
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

    Raises UndecodableEvent if the bytes are none of ours, UnknownEvent if type or version is not in
    the registry."""
    try:
        stored = _CURRENT.decode(body)
    except _DAMAGE:
        return _decode_other(bytes(body), stream, seq)
    meta = EventMeta(
        stream, seq, stored.subject, stored.id, stored.source, stored.time, stored.cause
    )
    return _new(Recorded, (stored.data, meta))


def _decode_other(body: bytes, stream: str, seq: int) -> Recorded:
    """The event in bytes that are not of a current version: an older one, or the error that tells
    what they are."""
    try:
        envelope = _ENVELOPE.decode(body)
        event = _upcast(envelope)
    except _DAMAGE as error:
        raise UndecodableEvent(f"{stream}/{seq}: {error}") from error
    return Recorded(
        event,
        EventMeta(
            stream,
            seq,
            envelope.subject,
            envelope.id,
            envelope.source,
            envelope.time,
            envelope.cause,
        ),
    )


def _upcast(envelope: _Envelope) -> Fact:
    """The event of an older version, brought up version by version."""
    name, version = _split(envelope.type)
    kind = REGISTRY.get(name)
    if kind is None:
        raise UnknownEvent(f"{envelope.type}: no such event type; a newer build may know it")
    if version > kind.version:
        raise UnknownEvent(
            f"{envelope.type}: this build knows {name} up to version {kind.version}; update it"
        )
    data = msgspec.json.decode(envelope.data, type=dict)
    for step in range(version, kind.version):
        try:
            data = kind.upcasters[step](data)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise msgspec.ValidationError(
                f"data of {envelope.type} is not of version {step}: {error!r}"
            ) from error
    return msgspec.convert(data, kind.fact_type)


def _split(wire_name: str) -> tuple[str, int]:
    form = _WIRE_NAME.fullmatch(wire_name)
    if form is None:
        raise UnknownEvent(f"{wire_name!r} is not of the form ringrift.<Name>.v<version>")
    return form[1], int(form[2])
