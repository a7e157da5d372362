"""Reading, replaying and following a log, and looking up single messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from support.log_subject import Subject

from ringrift.events import Fact, UndecodableEvent, draft, type_of
from ringrift.events.facts import LeaseAcquired, NodeAdmitted, NodeRevoked
from ringrift.log import reader
from ringrift.log.entry import Entry
from ringrift.log.errors import StreamMissing
from ringrift.log.protocol import Log
from ringrift.log.topology import EVENTS, GAMES
from ringrift.log.wire import RawMessage

pytestmark = pytest.mark.asyncio(loop_scope="module")

Connect = Callable[[], Awaitable[Log]]


async def test_read_between_sequences_and_from_a_time(log: Log, subject: Subject) -> None:
    before = await log.append([subject.draft(0), subject.draft(1)])
    first = await log.get(EVENTS, before[1])
    assert first is not None
    await asyncio.sleep(0.005)
    after = await log.append([subject.draft(2), subject.draft(3)])

    async def read(**options: object) -> list[int]:
        return [
            entry.seq
            async for batch in log.read(EVENTS, filters=[subject.name], **options)
            for entry in batch
        ]

    assert await read() == before + after
    assert await read(start_seq=before[1]) == [before[1], *after]
    assert await read(until_seq=after[0]) == [*before, after[0]]
    assert await read(start_seq=before[1], until_seq=after[0] - 1) == [before[1]]
    assert await read(start_time=first.time + timedelta(milliseconds=2)) == after
    assert await read(start_time=datetime.now(UTC) + timedelta(seconds=1)) == []
    assert await read(start_seq=after[1] + 1) == []
    assert await read(until_seq=before[0] - 1) == []


async def test_read_ends_before_a_match_beyond_the_end(log: Log, subject: Subject) -> None:
    other = Subject()
    (seq,) = await log.append([subject.draft(0)])
    (between,) = await log.append([other.draft(0)])
    await log.append([subject.draft(1)])
    assert [
        e.seq async for b in log.read(EVENTS, filters=[subject.name], until_seq=between) for e in b
    ] == [seq]


async def test_read_with_several_filters_and_progress(log: Log, subject: Subject) -> None:
    other, steps = Subject(), []
    seqs = [
        (await log.append([each.draft(number)]))[0]
        for number in range(3)
        for each in (subject, other, Subject())
    ]
    wanted = [seq for place, seq in enumerate(seqs) if place % 3 < 2]
    filters = [subject.name, other.name]
    assert [
        e.seq
        async for b in log.read(EVENTS, filters=filters, progress=lambda *at: steps.append(at))
        for e in b
    ] == wanted
    assert steps[-1] == (wanted[-1], wanted[-1])


async def test_read_of_an_empty_and_of_a_missing_stream(log: Log) -> None:
    assert [batch async for batch in log.read(GAMES)] == []
    assert await log.tail(GAMES) == 0
    with pytest.raises(StreamMissing):
        [batch async for batch in log.read("NOWHERE")]
    with pytest.raises(StreamMissing):
        await log.tail("NOWHERE")


async def test_read_of_many_messages_is_ordered_and_complete(log: Log, subject: Subject) -> None:
    for start in range(0, 6000, 1000):
        await log.append([subject.draft(number) for number in range(start, start + 1000)])
    batches = [batch async for batch in log.read(EVENTS, filters=[subject.name])]
    seqs = [entry.seq for batch in batches for entry in batch]
    assert len(seqs) == 6000
    assert seqs == sorted(set(seqs))


async def test_read_of_messages_larger_than_a_pull(log: Log, subject: Subject) -> None:
    """More bytes than the reader ever requests at once."""
    body = b"x" * 3_000_000
    seqs = [await log.publish(EVENTS, subject.name, body) for _ in range(20)]
    entries = [entry async for batch in log.read(EVENTS, filters=[subject.name]) for entry in batch]
    assert [entry.seq for entry in entries] == seqs
    assert {entry.body for entry in entries} == {body}


async def test_replay_decodes_events_and_passes_on_other_messages(
    log: Log, subject: Subject
) -> None:
    (seq,) = await log.append([subject.draft(0)])
    bad = await log.publish(EVENTS, subject.name, b"\xff no event")
    odd: list[tuple[int, str]] = []

    def note(entry: Entry, error: UndecodableEvent) -> None:
        odd.append((entry.seq, str(error)))

    recorded = [
        each
        async for batch in log.replay(EVENTS, filters=[subject.name], refuse=note)
        for each in batch
    ]
    assert [(each.meta.seq, each.event) for each in recorded] == [(seq, subject.draft(0).event)]
    assert [place for place, _ in odd] == [bad]
    assert odd[0][1].startswith(f"EVENTS/{bad}: ")


async def take(entries: AsyncIterator[Entry], count: int) -> list[int]:
    """Sequences of the next entries; the time limit is only reached in a failing test."""
    async with asyncio.timeout(10):
        return [(await anext(entries)).seq for _ in range(count)]


async def test_follow_yields_stored_and_new_messages(
    connect: Connect, log: Log, subject: Subject
) -> None:
    before = await log.append([subject.draft(0), subject.draft(1)])
    all_of_it = (await connect()).follow(EVENTS, filters=[subject.name])
    from_second = (await connect()).follow(EVENTS, filters=[subject.name], start_seq=before[1])
    assert await take(all_of_it, 2) == before
    after = await log.append([subject.draft(2), subject.draft(3)])
    assert await take(all_of_it, 2) == after
    assert await take(from_second, 3) == [before[1], *after]
    await all_of_it.aclose()
    await from_second.aclose()


async def test_last_get_and_tail(log: Log, subject: Subject) -> None:
    assert await log.last(EVENTS, subject.name) is None
    seqs = await log.append([subject.draft(0), subject.draft(1)])
    newest = await log.last(EVENTS, f"ringrift.consumer.{subject.node}.>")
    assert newest is not None
    assert (newest.seq, newest.subject, newest.id) == (seqs[1], subject.name, subject.draft(1).id)
    assert abs(newest.time - datetime.now(UTC)) < timedelta(seconds=30)
    assert newest == await log.get(EVENTS, seqs[1])
    assert await log.tail(EVENTS) == seqs[1]
    assert await log.get(EVENTS, seqs[1] + 1000) is None


async def test_stored_finds_ids_since_a_time(log: Log, subject: Subject) -> None:
    since = datetime.now(UTC) - timedelta(seconds=1)
    (seq,) = await log.append([subject.draft(0)])
    ids = [subject.draft(0).id, subject.draft(1).id]
    assert await log.stored(EVENTS, ids, [subject.name], since) == {ids[0]: seq}
    assert (
        await log.stored(EVENTS, ids, [subject.name], datetime.now(UTC) + timedelta(seconds=1))
        == {}
    )


async def test_a_read_from_a_time_survives_a_lost_session(
    log: Log, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = datetime.now(UTC) - timedelta(seconds=1)
    seqs = await log.append([subject.draft(0), subject.draft(1)])
    receive, lost = reader.Session.receive, [reader.SessionLost("503")]

    async def receive_second_time(session: reader.Session) -> list[RawMessage]:
        if lost:
            raise lost.pop()
        return await receive(session)

    monkeypatch.setattr(reader.Session, "receive", receive_second_time)
    found = [
        entry.seq
        async for batch in log.read(EVENTS, filters=[subject.name], start_time=since)
        for entry in batch
    ]
    assert found == seqs


@pytest.mark.parametrize(
    "kinds", [(), (LeaseAcquired,), (NodeAdmitted,), (LeaseAcquired, NodeAdmitted, NodeRevoked)]
)
async def test_a_follower_also_receives_facts_about_keys(
    log: Log, kinds: tuple[type[Fact], ...]
) -> None:
    """Filters that overlap with that of these facts are refused by the server."""
    fact = LeaseAcquired(role="test", holder=str(kinds))
    if kinds == (NodeAdmitted,):
        fact = NodeAdmitted(node="test", key="U" + "A" * 55, roles=("worker",), why="test")
    start = await log.tail(EVENTS)
    (seq,) = await log.append([draft(fact, cause=None, source="test", key=f"follow {kinds}")])
    filters = [type_of(kind).subject_filter for kind in kinds] or [">"]
    entries = log.follow_events(EVENTS, filters=filters, start_seq=start + 1)
    async with contextlib.aclosing(entries), asyncio.timeout(20):
        async for entry in entries:
            if entry.seq == seq:
                break
    assert log.ring.seq >= seq
