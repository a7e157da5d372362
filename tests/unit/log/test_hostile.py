"""Hostile bytes in the log and its buckets are rejected or skipped, in bounded time."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from ringrift.events import REGISTRY, Settings, UndecodableEvent, decode, draft
from ringrift.events.facts import SettingsChanged
from ringrift.events.registry import EventType
from ringrift.events.tickets import decode_ticket
from ringrift.log.presence import Heartbeat, Presence
from ringrift.runtime.process import Process
from ringrift.tools.memory_log import PAYLOAD_BYTES_MAX, MemoryBroker, MemoryLog

DEEP = 100_000
VALUES = {
    "deep list": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "unclosed": b"[" * DEEP,
    "huge integer": b"9" * 5000,
    "huge negative": b"-" + b"9" * 400,
    "huge float": b"1e999999",
    "invalid UTF-8": b'"\xff\xfe\xc0\x80"',
    "half a surrogate": b'"\\ud800"',
    "null byte": b'"\\u0000"',
    "wrong type": b'{"type":"ringrift.Nothing.v1"}',
    "long text": b'"' + b"x" * 1_000_000 + b'"',
}


def envelope(kind: EventType, data: bytes, /, **changes: bytes) -> bytes:
    fields = {
        "specversion": b'"1.0"',
        "id": b'"x"',
        "type": f'"{kind.wire_name}"'.encode(),
        "source": b'"s"',
        "subject": b'"ringrift.a.b.c"',
        "time": b'"2026-11-21T00:00:00Z"',
        "data": data,
    } | changes
    return (
        b"{"
        + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in fields.items())
        + b"}"
    )


def rejected_or_decoded(body: bytes) -> None:
    reason = ""
    try:
        decode(body, stream="EVENTS", seq=1)
    except UndecodableEvent as error:
        reason = str(error)
    assert len(reason) < 2000  # it goes into a log line and a dead letter


@pytest.mark.parametrize("value", VALUES)
def test_bad_values_in_events_are_rejected(value: str) -> None:
    bad = VALUES[value]
    kinds = list(REGISTRY.values())
    for name in ("id", "type", "source", "time", "cause", "data", "specversion"):
        rejected_or_decoded(envelope(kinds[0], b"{}", **{name: bad}))
    for kind in kinds:
        rejected_or_decoded(envelope(kind, bad))
        for field in kind.fact_type.__struct_fields__[:4]:
            rejected_or_decoded(envelope(kind, b'{"%s":%s}' % (field.encode(), bad)))


@pytest.mark.parametrize("value", VALUES)
def test_bad_values_in_tickets_are_rejected(value: str) -> None:
    for body in (
        VALUES[value],
        b'{"type":"selfplay","ticket":%s}' % VALUES[value],
        b'{"type":%s}' % VALUES[value],
    ):
        with pytest.raises(UndecodableEvent):
            decode_ticket(body)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(REGISTRY)), st.binary(max_size=200))
def test_random_bytes_as_data_are_rejected(name: str, noise: bytes) -> None:
    rejected_or_decoded(envelope(REGISTRY[name], noise))


async def test_an_invalid_heartbeat_hides_no_other() -> None:
    log = MemoryLog(MemoryBroker())
    presence = Presence(log)
    for number, body in enumerate((*VALUES.values(), b"{}", b"\xff", b"null")):
        await log.publish("KV_nodes", f"$KV.nodes.bad{number}", body)
    beat = Heartbeat(
        consumer="rater", node="n", instance="1", pid=1, doing="x", seq=1, errors=0, folds={}
    )
    await presence.beat(beat)
    assert await presence.all() == [beat]
    assert list(await presence.nodes()) == ["n"]


async def test_the_largest_message_can_be_dead_lettered() -> None:
    log = MemoryLog(MemoryBroker())
    size = PAYLOAD_BYTES_MAX + 1000  # a message with few headers may be as large
    seq = log.broker.stream("EVENTS").store(
        "ringrift.model.hex8_2p.registered", b"x" * size, {}, None
    )
    process = Process("rater", "n", log)
    entry = await log.get("EVENTS", seq)
    assert entry is not None
    await process.dead_letter(entry, stream="EVENTS", deliveries=1, reason="y" * size)
    kept, fact = await log.last("DEAD", ">"), await log.last("EVENTS", "ringrift.dead-letter.>")
    assert kept is not None
    assert fact is not None
    assert len(kept.body) == PAYLOAD_BYTES_MAX
    assert len(fact.body) < 10_000


async def test_invalid_settings_hide_no_others() -> None:
    log = MemoryLog(MemoryBroker())
    process = Process("selfplay", "n", log)
    wanted = Settings()
    await log.append(
        [draft(SettingsChanged(version=1, settings=wanted, why="test"), cause=None, source="t")]
    )
    for body in (b"\xff{", envelope(REGISTRY["SettingsChanged"], VALUES["deep list"])):
        await log.publish("EVENTS", "ringrift.settings.all.changed", body)
    assert await process.settings() == (wanted, 1)
    assert msgspec.json.encode(await process.settings(1))
