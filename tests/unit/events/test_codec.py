"""Every event decodes to itself; other bytes are refused with their position and the reason."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from support.examples import example

from ringrift.events import (
    REGISTRY,
    EventType,
    UndecodableEvent,
    UnknownEvent,
    codec,
    decode,
    draft,
    encode,
    event_id,
    type_of,
)
from ringrift.events.facts import GameCompleted, LeaseAcquired, PipelinePaused, SettingsChanged

TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
every_type = pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: kind.name)


@every_type
def test_every_event_decodes_to_itself(kind: EventType) -> None:
    event = example(kind)
    item = draft(event, cause="EVENTS/7", source="test@node", time=TIME, key="k")
    recorded = decode(encode(item), stream="EVENTS", seq=9)
    assert recorded.event == event
    meta = recorded.meta
    assert (meta.id, meta.cause, meta.source, meta.time) == (item.id, "EVENTS/7", "test@node", TIME)
    assert (meta.subject, meta.position) == (item.subject, "EVENTS/9")
    assert decode(memoryview(encode(item)), stream="EVENTS", seq=9) == recorded


@every_type
def test_the_bytes_are_a_cloud_event(kind: EventType) -> None:
    stored = json.loads(encode(draft(example(kind), cause=None, source="test", time=TIME)))
    assert stored["specversion"] == "1.0"
    assert stored["type"] == f"ringrift.{kind.name}.v{kind.version}"
    assert stored["subject"].split(".")[:2] == ["ringrift", kind.context]
    assert stored["time"] == "2026-01-02T03:04:05.678901Z"
    assert set(stored["data"]) == {field.name for field in msgspec.structs.fields(kind.fact_type)}


@every_type
def test_unknown_fields_are_named_and_missing_ones_refused(kind: EventType) -> None:
    stored = json.loads(encode(draft(example(kind), cause=None, source="test")))
    surplus = stored | {"data": stored["data"] | {"surplus": 1}}
    recorded = decode(json.dumps(surplus).encode(), stream="EVENTS", seq=3)
    assert (recorded.event, recorded.meta.unknown) == (example(kind), ("surplus",))
    with pytest.raises(UndecodableEvent, match="EVENTS/3"):
        decode(json.dumps(stored | {"data": 5}).encode(), stream="EVENTS", seq=3)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "EVENTS/5"),
        (b"\xff\xfe", "EVENTS/5"),
        (b"not json", "malformed"),
        (b"[]", "array"),
        (b"{}", "id"),
        (b'{"specversion":"0.3","id":"a","type":"ringrift.ModelPromoted.v1"}', "specversion|0.3"),
        (b'{"specversion":"1.0","id":"a","type":5}', "type"),
        (b'{"id":"\xff"}', "EVENTS/5"),
        (b'{"specversion":"1.0","deep":' + b"[" * 100_000, "recursion"),
    ],
)
def test_bytes_without_an_envelope_are_refused_with_their_position(
    body: bytes, reason: str
) -> None:
    with pytest.raises(UndecodableEvent, match=reason) as caught:
        decode(body, stream="EVENTS", seq=5)
    assert not isinstance(caught.value, UnknownEvent)
    assert str(caught.value).startswith("EVENTS/5: ")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ringrift.NoSuchThing.v1", "no such event type"),
        ("ringrift.ModelPromoted.v99", "up to version 1; update"),
        ("ringrift.ModelPromoted", "not of the form"),
        ("ringrift.ModelPromoted.vX", "not of the form"),
        ("ringrift.ModelPromoted.v0", "not of the form"),
        ("ringrift.ModelPromoted.v\N{SUPERSCRIPT TWO}", "not of the form"),
        ("com.example.Thing.v1", "not of the form"),
    ],
)
def test_unknown_types_and_versions_differ_from_damage(name: str, reason: str) -> None:
    stored = json.loads(
        encode(draft(example(REGISTRY["ModelPromoted"]), cause=None, source="test"))
    )
    with pytest.raises(UnknownEvent, match=reason):
        decode(json.dumps(stored | {"type": name}).encode(), stream="EVENTS", seq=1)


def stored(**changes: Any) -> bytes:
    event = PipelinePaused(scope="all", kind="all", why="w")
    item = draft(event, cause="EVENTS/7", source="test@node", time=TIME)
    return json.dumps(json.loads(encode(item)) | changes).encode()


PAUSED = "ringrift.pipeline.all.paused"


@pytest.mark.parametrize(
    ("subject", "stream", "named"),
    [
        ("ringrift.promotion.all.model-promoted", "EVENTS", PAUSED),
        ("ringrift.pipeline.hex8_2p.paused", "EVENTS", PAUSED),
        ("ringrift.pipeline.all.resumed", "EVENTS", PAUSED),
        (f"{PAUSED}.x", "EVENTS", PAUSED),
        ("", "EVENTS", PAUSED),
        (PAUSED, "GAMES", PAUSED),
        (PAUSED, "EVENTS", "ringrift.pipeline.all.resumed"),
        (PAUSED, "EVENTS", "ringrift.pipeline.hex8_2p.paused"),
        ("ringrift.pipeline.all.resumed", "EVENTS", "ringrift.pipeline.all.resumed"),
        (None, "EVENTS", "ringrift.pipeline.hex8_2p.paused"),
        (None, "EVENTS", "nowhere"),
    ],
)
def test_an_event_of_another_place_is_refused(subject: str | None, stream: str, named: str) -> None:
    body = stored(subject=named)
    with pytest.raises(UndecodableEvent, match="PipelinePaused belongs on"):
        decode(body, stream=stream, seq=5, subject=subject)


@every_type
def test_every_event_decodes_on_its_subject_and_on_no_other(kind: EventType) -> None:
    item = draft(example(kind), cause=None, source="test@node", time=TIME)
    place = {"stream": kind.stream, "seq": 9, "subject": item.subject}
    recorded = decode(encode(item), **place, stamp_ns=1_800_000_000_123_456_000)
    assert recorded.meta.time == datetime(2027, 1, 15, 8, 0, 0, 123456, tzinfo=UTC)
    assert recorded.meta.authored == TIME
    for other in {each.subject_filter.replace("*", "all") for each in REGISTRY.values()}:
        if other != item.subject:
            with pytest.raises(UndecodableEvent, match="belongs on"):
                decode(encode(item), **place | {"subject": other})


@pytest.mark.parametrize(
    "time",
    ["2026-01-02T03:04:05", "0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z"],
)
def test_a_time_without_a_zone_or_far_off_is_refused(time: str) -> None:
    with pytest.raises(UndecodableEvent, match="time"):
        decode(stored(time=time), stream="EVENTS", seq=5)


CAUSES = ["", "-", "EVENTS", "EVENTS/", "/5", "EVENTS/0", "EVENTS/05", "EVENTS/-1", "EVENTS/5\n"]
MORE_CAUSES = [
    "EVENTS/x",
    "EVENTS/5/6",
    "events/5",
    " EVENTS/5",
    "EVENTS/\u0665",
    "A/" + "9" * 5000,
]


@pytest.mark.parametrize("cause", CAUSES + MORE_CAUSES)
def test_a_cause_that_is_no_position_is_refused(cause: str) -> None:
    with pytest.raises(UndecodableEvent, match="no position"):
        decode(stored(cause=cause), stream="EVENTS", seq=5)


@given(st.binary(max_size=200))
def test_the_decoder_raises_no_other_error(body: bytes) -> None:
    with pytest.raises(UndecodableEvent):
        decode(body, stream="EVENTS", seq=1)


@given(st.sampled_from(sorted(REGISTRY)), st.data())
def test_damaged_events_decode_or_are_refused(name: str, data: st.DataObject) -> None:
    body = bytearray(encode(draft(example(REGISTRY[name]), cause=None, source="test", time=TIME)))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UndecodableEvent):
        decode(bytes(body), stream="EVENTS", seq=1)


def test_earlier_versions_are_upcast_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hypothetical `PipelinePaused`: version 1 had `reason`, version 2 had no `kind`."""
    kind = REGISTRY["PipelinePaused"]

    def second(data: dict[str, Any]) -> dict[str, Any]:
        return {("why" if name == "reason" else name): value for name, value in data.items()}

    def third(data: dict[str, Any]) -> dict[str, Any]:
        return data | {"kind": "all"}

    newer = msgspec.structs.replace(kind, version=3, upcasters={1: second, 2: third})
    monkeypatch.setitem(codec.REGISTRY, "PipelinePaused", newer)
    stored = json.loads(
        encode(draft(PipelinePaused(scope="all", why="w"), cause=None, source="test"))
    )
    for version, data in ((1, {"scope": "all", "reason": "w"}), (2, {"scope": "all", "why": "w"})):
        old = stored | {"type": f"ringrift.PipelinePaused.v{version}", "data": data}
        monkeypatch.setattr(codec, "_CURRENT", msgspec.json.Decoder(codec._typed_envelope(newer)))
        recorded = decode(json.dumps(old).encode(), stream="EVENTS", seq=1)
        assert recorded.event == PipelinePaused(scope="all", kind="all", why="w")
    with pytest.raises(UnknownEvent, match="up to version 3"):
        decode(
            json.dumps(stored | {"type": "ringrift.PipelinePaused.v4"}).encode(),
            stream="EVENTS",
            seq=1,
        )


@pytest.mark.parametrize(
    "upcaster",
    [lambda data: {"wrong": data}, lambda data: data["missing"], lambda data: data["why"].year],
)
def test_an_upcaster_that_fails_makes_the_event_undecodable(
    upcaster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = msgspec.structs.replace(REGISTRY["PipelinePaused"], version=2, upcasters={1: upcaster})
    monkeypatch.setitem(codec.REGISTRY, "PipelinePaused", newer)
    monkeypatch.setattr(codec, "_CURRENT", msgspec.json.Decoder(codec._typed_envelope(newer)))
    stored = json.loads(
        encode(draft(PipelinePaused(scope="all", why="w"), cause=None, source="test"))
    )
    with pytest.raises(UndecodableEvent, match="EVENTS/1"):
        decode(
            json.dumps(stored | {"type": "ringrift.PipelinePaused.v1"}).encode(),
            stream="EVENTS",
            seq=1,
        )


def test_ids_follow_from_cause_and_key() -> None:
    assert event_id(LeaseAcquired, "EVENTS/4", 1) == "LeaseAcquired:EVENTS/4:1"
    assert event_id(LeaseAcquired, None, "k") == "LeaseAcquired:-:k"
    first = draft(LeaseAcquired(role="r", holder="a"), cause="EVENTS/4", source="one", key=0)
    assert (
        first.id
        == draft(LeaseAcquired(role="r", holder="b"), cause="EVENTS/4", source="two", key=0).id
    )


def test_the_subject_follows_from_the_event() -> None:
    assert (
        draft(LeaseAcquired(role="planner", holder="a"), cause=None, source="t").subject
        == "ringrift.lease.planner.acquired"
    )
    settings = example(REGISTRY["SettingsChanged"])
    assert isinstance(settings, SettingsChanged)
    assert draft(settings, cause=None, source="t").subject == "ringrift.settings.all.changed"
    game = example(REGISTRY["GameCompleted"])
    assert isinstance(game, GameCompleted)
    assert type_of(game).stream == "GAMES"


def test_invalid_values_are_refused() -> None:
    stored = json.loads(
        encode(draft(LeaseAcquired(role="planner", holder="a"), cause=None, source="t"))
    )
    stored["data"]["role"] = "no.dots or blanks"
    with pytest.raises(UndecodableEvent, match="role"):
        decode(json.dumps(stored).encode(), stream="EVENTS", seq=1)
