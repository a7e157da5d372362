"""Events as bytes: a structured CloudEvents 1.0 envelope in JSON, readable in `nats stream view`.

    {"specversion":"1.0","id":"SelfplayPlanned:EVENTS/3:0","type":"ringrift.SelfplayPlanned.v1",
     "source":"planner@node1","subject":"ringrift.selfplay.hex8_2p.planned",
     "time":"2026-11-21T04:40:00.000001Z","cause":"EVENTS/3","program":"ringrift 0.1.0",
     "data":{...}}

`cause` and `program` (extension attributes) are the position of the message that led to this event
and the program that wrote it; for a decision, `ringrift 0.1.0+<digest of the deciders>`. Bytes are
decoded strictly first; if that fails, once more without the fields that only a newer program
knows."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, Union

import msgspec
import msgspec.inspect as mi
from msgspec import Meta, Raw, Struct
from typing_extensions import TypeVar

from ringrift.events.errors import UndecodableEvent, UnknownEvent, UnlawfulFact
from ringrift.events.fact import EventType, Fact
from ringrift.events.patterns import in_words
from ringrift.events.registry import REGISTRY, type_of
from ringrift.events.unknown import PROGRAM, known


class Draft(Struct, frozen=True, kw_only=True):
    """An event to be written. `id` is derived from the cause, so retries are idempotent."""

    event: Fact
    id: str
    cause: str | None
    source: str
    time: datetime
    program: str = PROGRAM

    @property
    def kind(self) -> EventType:
        """Event type of the event."""
        return type_of(self.event)

    @property
    def subject(self) -> str:
        """Subject the event is stored under."""
        return self.kind.subject(self.event)

    def stored(self, stream: str, seq: int) -> EventMeta:
        """Metadata of the event once it is message `seq` of `stream`, stored at an unknown time."""
        return EventMeta(stream, seq, self.subject, self.id, self.source, self.time, self.cause)


class EventMeta(Struct, frozen=True, gc=False):
    """Metadata of a stored event: its sequence in the stream, when its author drafted it by the
    clock there (UTC), and when the server stored it, in nanoseconds since 1970 (0: unknown)."""

    stream: str
    seq: int
    subject: str
    id: str
    source: str
    authored: datetime
    cause: str | None
    stamp_ns: int = 0
    unknown: tuple[str, ...] = ()
    """fields that this program does not know and has left out"""
    program: str = ""
    """the program that wrote the event"""

    @property
    def time(self) -> datetime:
        """When the server stored the event (UTC): an author's clock is no evidence."""
        return datetime.fromtimestamp(self.stamp_ns / 1e9, UTC) if self.stamp_ns else self.authored

    @property
    def position(self) -> str:
        """`<stream>/<sequence>`; later events name their cause in this form."""
        return f"{self.stream}/{self.seq}"

    @property
    def half_known(self) -> str:
        """What this program does not know of the event, who wrote it, and what to do."""
        fields, author = ", ".join(self.unknown), self.program or "a newer program"
        return f"{self.position} by {author} has {fields}: unknown to {PROGRAM}; update it"


F = TypeVar("F", bound=Fact, covariant=True, default=Fact)


class Recorded(NamedTuple, Generic[F]):
    """A stored event with its metadata."""

    event: F
    meta: EventMeta


Body = bytes | memoryview
Instant = Annotated[datetime, Meta(tz=True)]


class _Envelope(Struct, frozen=True, kw_only=True):
    specversion: Literal["1.0"] = "1.0"
    id: str
    type: str
    source: str
    subject: str
    time: Instant
    cause: str | None = None
    program: str = ""
    data: Raw


YEAR_MIN, YEAR_MAX = 2000, 2199
SUBJECTS_KEPT_MAX = 4096
"""subjects whose meaning is cached: those of twelve configs and of the nodes"""
_POSITION = re.compile(r"[A-Z]{1,20}/[1-9][0-9]{0,18}").fullmatch
_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""errors of the JSON decoder; RecursionError for thousands of nested brackets"""
_WIRE_NAME = re.compile(r"ringrift\.([A-Za-z]+)\.v([1-9][0-9]{0,5})")
_ENCODER = msgspec.json.Encoder()
_DECODERS = {kind.fact_type: msgspec.json.Decoder(kind.fact_type) for kind in REGISTRY.values()}
_new = tuple.__new__  # twice as fast as the named tuple's own constructor, which replays notice
_ENVELOPE = msgspec.json.Decoder(_Envelope)


def _typed_envelope(kind: EventType) -> type[Struct]:
    """Envelope of one event type with `type` as its tag: decodes envelope and data in one pass,
    which is twice as fast as two."""
    fields: list[Any] = [(name, str) for name in ("id", "source", "subject")]
    fields += [("time", Instant), ("data", kind.fact_type), ("cause", str | None, None)]
    fields.append(("program", str, ""))
    name, tag = kind.name, kind.wire_name
    return msgspec.defstruct(name, fields, tag_field="type", tag=tag, frozen=True, gc=False)


_CURRENT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Union[tuple(map(_typed_envelope, REGISTRY.values()))]  # noqa: UP007  a union of a computed list
)


def event_id(kind: type[Fact], cause: str | None, key: str | int) -> str:
    """Id of an event of `kind` with this cause; `key` distinguishes several of one cause."""
    return f"{kind.__name__}:{cause or '-'}:{key}"


def draft(
    event: Fact,
    *,
    cause: str | None,
    source: str,
    time: datetime | None = None,
    key: str | int = 0,
    program: str = PROGRAM,
) -> Draft:
    """An event with the id that follows from its cause and `key`; `time` defaults to now."""
    return Draft(
        event=event,
        id=event_id(type(event), cause, key),
        cause=cause,
        source=source,
        time=time or datetime.now(UTC),
        program=program,
    )


def lawful(event: Fact) -> bytes:
    """The fact as JSON. Raises UnlawfulFact if no reader of the log would accept it."""
    try:
        data = _ENCODER.encode(event)
        _DECODERS[type(event)].decode(data)
    except (*_DAMAGE, ValueError, TypeError) as error:
        raise UnlawfulFact(f"{type(event).__name__}: {in_words(error)}") from error
    return data


def encode(item: Draft) -> bytes:
    """The bytes of an event in the log. Raises UnlawfulFact."""
    return _ENCODER.encode(
        _Envelope(
            id=item.id,
            type=item.kind.wire_name,
            source=item.source,
            subject=item.subject,
            time=item.time,
            cause=item.cause,
            program=item.program,
            data=Raw(lawful(item.event)),
        )
    )


def decode(
    body: bytes | memoryview,
    *,
    stream: str,
    seq: int,
    subject: str | None = None,
    stamp_ns: int = 0,
) -> Recorded:
    """The event in `body`, which is message `seq` of `stream`, lies on `subject` and was stored at
    `stamp_ns`.

    The server decides by subject who may write, so a fact is valid only on the subject of its type
    and scope. Without `subject`, just the one in the envelope is checked.

    Raises UndecodableEvent if the bytes are not an event, or one of another place, and UnknownEvent
    if its type or version is not in the registry."""
    unknown: tuple[str, ...] = ()
    try:
        found = _CURRENT.decode(body)
        event = found.data
    except _DAMAGE:
        found, event, unknown = _decode_other(bytes(body), f"{stream}/{seq}")
    named, time, cause = found.subject, found.time, found.cause
    kind, field, scope, home = _place(named)
    if (
        type(event) is not kind
        or (field and getattr(event, field) != scope)
        or (subject is not None and (subject != named or stream != home))
        or not YEAR_MIN <= time.year <= YEAR_MAX
        or (cause is not None and not _POSITION(cause))
    ):
        raise UndecodableEvent(f"{stream}/{seq}: {_defect(found, event, stream, subject)}")
    meta = EventMeta(
        *(stream, seq, named, found.id, found.source, time, cause, stamp_ns), unknown, found.program
    )
    return _new(Recorded, (event, meta))


@functools.lru_cache(maxsize=SUBJECTS_KEPT_MAX)
def _place(subject: str) -> tuple[type[Fact] | None, str, str, str]:
    """What belongs on a subject: the type of fact, the field that holds the scope and its value
    (empty if the scope is `all`), and the stream."""
    words = subject.split(".")
    for kind in REGISTRY.values():
        if len(words) == 4 and subject == kind.filter(words[2]):
            if kind.scope != "all":
                return kind.fact_type, kind.scope, words[2], kind.stream
            if words[2] == "all":
                return kind.fact_type, "", "", kind.stream
    return None, "", "", ""


def _defect(envelope: Any, event: Fact, stream: str, subject: str | None) -> str:
    """Why an event is refused although its bytes can be read."""
    kind = type_of(event)
    place = kind.subject(event)
    if subject is not None and (subject != place or stream != kind.stream):
        return f"{kind.name} belongs on {place} in {kind.stream}; the message lies on {subject}"
    if envelope.subject != place:
        return f"{kind.name} belongs on {place}; its envelope names {envelope.subject}"
    if not YEAR_MIN <= envelope.time.year <= YEAR_MAX:
        return f"its time is {envelope.time}: the clock of its author was wrong"
    return f"no position <stream>/<sequence> as cause: {envelope.cause!r}"


@functools.cache
def _shape(fact_type: type[Fact]) -> mi.Type:
    """The shape of a fact, which takes milliseconds to find for settings."""
    return mi.type_info(fact_type)


def _decode_other(body: bytes, position: str) -> tuple[_Envelope, Fact, tuple[str, ...]]:
    """Envelope, event and unknown fields of an event that an older or a newer program wrote, or the
    error that describes the bytes."""
    try:
        envelope = _ENVELOPE.decode(body)
        return envelope, *_upcast(envelope)
    except _DAMAGE as error:
        raise UndecodableEvent(f"{position}: {in_words(error)}") from error


def _upcast(envelope: _Envelope) -> tuple[Fact, tuple[str, ...]]:
    """The event, upcast version by version, and its unknown fields."""
    form = _WIRE_NAME.fullmatch(envelope.type)
    if form is None:
        raise UnknownEvent(f"{envelope.type!r} is not of the form ringrift.<Name>.v<version>")
    name, version = form[1], int(form[2])
    kind = REGISTRY.get(name)
    written = f"{envelope.type} by {envelope.program or 'another program'}"
    if kind is None:
        raise UnknownEvent(f"{written}: {PROGRAM} knows no such event type; update it")
    if version > kind.version:
        known_to = f"{PROGRAM} knows {name} up to version {kind.version}"
        raise UnknownEvent(f"{written}: {known_to}; update it")
    data = msgspec.json.decode(envelope.data, type=dict)
    # upcasters see plain data, because the types of old versions are gone
    for step in range(version, kind.version):
        try:
            data = kind.upcasters[step](data)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise msgspec.ValidationError(
                f"data of {envelope.type} is not of version {step}: {error!r}"
            ) from error
    data, unknown = known(data, _shape(kind.fact_type))
    return msgspec.convert(data, kind.fact_type), unknown
