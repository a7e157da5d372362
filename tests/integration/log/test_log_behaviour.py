"""What every log does, in memory and on one server and on three: they differ inside, not here."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from stream_cluster import ACK_SECONDS, TICKETS_MAX

from ringrift.events import Draft, UndecodableEvent, draft
from ringrift.events.facts import ConsumerStarted, LeaseAcquired, SelfplayFinished
from ringrift.events.tickets import PRIORITIES, SPARE, URGENT, USUAL
from ringrift.log import reader
from ringrift.log.dead_letters import DeadLetter, store_dead_letter
from ringrift.log.entry import Entry
from ringrift.log.errors import (
    ConcurrencyError,
    PartlyStored,
    PayloadTooLarge,
    QueueFull,
    StreamMissing,
)
from ringrift.log.protocol import Expect, Log, WorkItem
from ringrift.log.topology import DEAD, EVENTS, GAMES, WORK
from ringrift.log.wire import RawMessage

pytestmark = pytest.mark.asyncio(loop_scope="module")

Connect = Callable[[], Awaitable[Log]]
_numbers = itertools.count()


class Subject:
    """A subject of `EVENTS` that no other test uses."""

    def __init__(self) -> None:
        self.node = f"n{next(_numbers)}"
        self.name = f"ringrift.consumer.{self.node}.started"

    def draft(self, key: str | int, size: int = 1) -> Draft:
        event = ConsumerStarted(
            node=self.node, consumer="test", instance=str(key), version="x" * size
        )
        return draft(event, cause=None, source="test", key=f"{self.node}:{key}")

    async def stored(self, log: Log) -> list[int]:
        return [
            entry.seq async for batch in log.read(EVENTS, filters=[self.name]) for entry in batch
        ]


@pytest.fixture
def subject() -> Subject:
    return Subject()


# append


async def test_append_gives_growing_sequences_and_keeps_the_order(
    log: Log, subject: Subject
) -> None:
    first = await log.append([subject.draft(0)])
    rest = await log.append([subject.draft(1), subject.draft(2)])
    assert first + rest == sorted(first + rest) == await subject.stored(log)
    assert rest[1] == rest[0] + 1
    assert await log.append([]) == []


async def test_two_who_write_the_same_at_once_write_it_once(connect: Connect) -> None:
    logs = [await connect() for _ in range(4)]
    for number in range(
        20
    ):  # on a cluster the first is still on its way to the replicas when the others come
        ticket = f"at-once-{uuid4().hex}"
        seqs = await asyncio.gather(
            *(
                log.publish("KV_control", f"$KV.control.at-once.{number}", b"x", id=ticket)
                for log in logs
            )
        )
        assert len(set(seqs)) == 1, seqs


async def test_writing_twice_is_writing_once(log: Log, subject: Subject) -> None:
    one, batch = [subject.draft(0)], [subject.draft(1), subject.draft(2)]
    first = [await log.append(one), await log.append(batch)]
    again = [await log.append(one), await log.append(batch)]
    assert first == again
    assert len(await subject.stored(log)) == 3


async def test_a_batch_of_which_some_is_stored_is_refused_whole(log: Log, subject: Subject) -> None:
    await log.append([subject.draft(0)])
    with pytest.raises(PartlyStored) as caught:
        await log.append([subject.draft(0), subject.draft(1)])
    assert caught.value.stored == (subject.draft(0).id,)
    assert len(await subject.stored(log)) == 1


async def test_an_expectation_that_holds_lets_the_append_pass(log: Log, subject: Subject) -> None:
    first = await log.append([subject.draft(0)], Expect(subject.name, 0))
    second = await log.append([subject.draft(1), subject.draft(2)], Expect(subject.name, first[-1]))
    await log.append([subject.draft(3)], Expect(f"ringrift.consumer.{subject.node}.*", second[-1]))
    assert len(await subject.stored(log)) == 4


async def test_a_conflict_names_expected_and_actual_and_stores_nothing(
    log: Log, subject: Subject
) -> None:
    (seq,) = await log.append([subject.draft(0)])
    for drafts in ([subject.draft(1)], [subject.draft(1), subject.draft(2)]):
        with pytest.raises(ConcurrencyError) as caught:
            await log.append(drafts, Expect(subject.name, seq - 1))
        assert (caught.value.subject, caught.value.expected, caught.value.actual) == (
            subject.name,
            seq - 1,
            seq,
        )
    assert await subject.stored(log) == [seq]


async def test_a_conflict_on_an_empty_subject_has_actual_zero(log: Log, subject: Subject) -> None:
    with pytest.raises(ConcurrencyError) as caught:
        await log.append([subject.draft(0)], Expect(subject.name, 7))
    assert caught.value.actual == 0


async def test_a_batch_can_be_fenced_by_another_subject(log: Log, subject: Subject) -> None:
    epoch = Subject()
    fence = Expect(epoch.name, (await log.append([epoch.draft(0)]))[0])
    await log.append([subject.draft(0), subject.draft(1)], fence)
    await log.append([subject.draft(2)], fence)
    (newer,) = await log.append([epoch.draft(1)])
    with pytest.raises(ConcurrencyError) as caught:
        await log.append([subject.draft(3), subject.draft(4)], fence)
    assert caught.value.actual == newer
    assert len(await subject.stored(log)) == 3


async def test_a_lost_acknowledgement_is_no_conflict(log: Log, subject: Subject) -> None:
    """The writer that heard nothing sends the same again, under the expectation that its own
    message has outdated."""
    one = await log.append([subject.draft(0)], Expect(subject.name, 0))
    assert await log.append([subject.draft(0)], Expect(subject.name, 0)) == one
    batch = [subject.draft(1), subject.draft(2)]
    both = await log.append(batch, Expect(subject.name, one[0]))
    await log.append([subject.draft(3)])  # and others have written since
    assert await log.append(batch, Expect(subject.name, one[0])) == both


async def test_of_many_that_expect_the_same_one_wins(connect: Connect, subject: Subject) -> None:
    logs = [await connect() for _ in range(4)]
    racers = [
        asyncio.create_task(
            logs[number % len(logs)].append([subject.draft(number)], Expect(subject.name, 0))
        )
        for number in range(12)
    ]
    results = await asyncio.gather(*racers, return_exceptions=True)
    won = [result for result in results if isinstance(result, list)]
    lost = [result for result in results if isinstance(result, ConcurrencyError)]
    assert (len(won), len(lost)) == (1, 11), results
    assert {error.actual for error in lost} == {won[0][0]}


async def test_writers_under_one_fence_do_not_hinder_each_other(
    connect: Connect, subject: Subject
) -> None:
    epoch, logs = Subject(), [await connect() for _ in range(2)]
    fence = Expect(epoch.name, (await logs[0].append([epoch.draft(0)]))[0])
    await asyncio.gather(
        *(logs[number % 2].append([subject.draft(number)], fence) for number in range(20))
    )
    assert len(await subject.stored(logs[0])) == 20


async def test_append_each_stores_all_once(log: Log, subject: Subject) -> None:
    drafts = [subject.draft(number) for number in range(150)]
    some = await log.append_each(drafts[100:120])
    seqs = await log.append_each(drafts)
    assert seqs[100:120] == some
    assert await log.append_each(drafts) == seqs
    assert sorted(seqs) == await subject.stored(log)


async def test_what_cannot_be_one_append_is_refused(log: Log, subject: Subject) -> None:
    with pytest.raises(ValueError, match="same id"):
        await log.append([subject.draft(0), subject.draft(0)])
    with pytest.raises(ValueError, match="at most 1000"):
        await log.append([subject.draft(number) for number in range(1001)])


async def test_large_events_fit_and_too_large_ones_are_refused_before_sending(
    log: Log, subject: Subject
) -> None:
    await log.append([subject.draft(0, size=7_000_000)])
    with pytest.raises(PayloadTooLarge) as caught:
        await log.append([subject.draft(1), subject.draft(2, size=8 * 1024 * 1024)])
    assert caught.value.size_bytes > caught.value.limit_bytes > 7_000_000
    assert len(await subject.stored(log)) == 1


# read, follow, look up


async def test_read_from_to_and_from_a_time(log: Log, subject: Subject) -> None:
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


async def test_read_ends_where_the_next_match_lies_behind_the_end(
    log: Log, subject: Subject
) -> None:
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


async def test_read_of_an_empty_stream_and_of_none(log: Log) -> None:
    assert [batch async for batch in log.read(GAMES)] == []
    assert await log.tail(GAMES) == 0
    with pytest.raises(StreamMissing):
        [batch async for batch in log.read("NOWHERE")]
    with pytest.raises(StreamMissing):
        await log.tail("NOWHERE")


async def test_read_of_many_comes_in_order_and_whole(log: Log, subject: Subject) -> None:
    for start in range(0, 6000, 1000):
        await log.append([subject.draft(number) for number in range(start, start + 1000)])
    batches = [batch async for batch in log.read(EVENTS, filters=[subject.name])]
    seqs = [entry.seq for batch in batches for entry in batch]
    assert len(seqs) == 6000
    assert seqs == sorted(set(seqs))


async def test_read_of_messages_larger_than_a_pull(log: Log, subject: Subject) -> None:
    """More bytes than the reader has asked for at any time."""
    seqs = [(await log.append([subject.draft(number, size=3_000_000)]))[0] for number in range(20)]
    entries = [entry async for batch in log.read(EVENTS, filters=[subject.name]) for entry in batch]
    assert [entry.seq for entry in entries] == seqs
    assert {len(entry.body) // 3_000_000 for entry in entries} == {1}


async def test_replay_decodes_and_hands_over_what_it_cannot(log: Log, subject: Subject) -> None:
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
    """Sequences of the next entries; the time limit only ends a test that has failed."""
    async with asyncio.timeout(10):
        return [(await anext(entries)).seq for _ in range(count)]


async def test_follow_gives_what_was_and_what_comes(
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


async def test_a_lost_session_ends_no_reading_by_time(
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


# keys and other messages


async def test_publish_once_by_id_and_under_an_expectation(log: Log, subject: Subject) -> None:
    key = f"$KV.control.{subject.node}"
    first = await log.publish("KV_control", key, b"a", expect_last=0, id=f"{key}-1")
    assert await log.publish("KV_control", key, b"a", expect_last=0, id=f"{key}-1") == first
    second = await log.publish("KV_control", key, b"b", expect_last=first)
    with pytest.raises(ConcurrencyError) as caught:
        await log.publish("KV_control", key, b"c", expect_last=first)
    assert caught.value.actual == second
    assert [
        entry.body async for batch in log.read("KV_control", filters=[key]) for entry in batch
    ] == [b"a", b"b"]
    assert await log.subjects("KV_control", f"$KV.control.{subject.node}") == [key]
    await log.publish("KV_control", key, b"d", rollup=True)
    assert [
        entry.body async for batch in log.read("KV_control", filters=[key]) for entry in batch
    ] == [b"d"]
    await log.purge("KV_control", key)
    assert await log.last("KV_control", key) is None
    assert await log.subjects("KV_control", f"$KV.control.{subject.node}") == []


async def test_an_expired_key_leaves_a_marker(log: Log, subject: Subject) -> None:
    key = f"$KV.leases.{subject.node}"
    seq = await log.publish("KV_leases", key, b"mine", kept_seconds=1)
    changes = log.follow("KV_leases", filters=[key], start_seq=seq + 1)
    async with asyncio.timeout(10):
        marker = await anext(changes)
    await changes.aclose()
    assert (marker.body, marker.headers["Nats-Marker-Reason"]) == (b"", "MaxAge")
    retaken = await log.publish(
        "KV_leases", key, b"mine now", expect_last=marker.seq, kept_seconds=1
    )
    assert retaken == marker.seq + 1


# work


@pytest_asyncio.fixture(loop_scope="module")
async def queue(log: Log) -> AsyncIterator[Log]:
    """A log with an empty work queue."""
    yield log
    for kind in ("selfplay", "training", "evaluation"):
        for priority in PRIORITIES:
            await log.purge(WORK, f"ringrift.work.{kind}.{priority}.hex8_2p")


async def until_gone(log: Log, seq: int) -> None:
    """Returns when the queue has forgotten a ticket: a cluster acknowledges an ack a moment before
    it deletes."""
    async with asyncio.timeout(10):
        while any(entry.seq == seq for entry in await log.queued()):  # noqa: ASYNC110  nothing tells when
            await asyncio.sleep(0.005)


async def ticket(log: Log, kind: str, wait_seconds: float = 10.0) -> WorkItem:
    item = await log.next_ticket(kind, wait_seconds=wait_seconds)
    assert item is not None
    return item


async def test_a_ticket_goes_to_one_worker_and_is_gone_when_done(
    queue: Log, connect: Connect, subject: Subject
) -> None:
    other = await connect()
    where = "ringrift.work.selfplay.5.hex8_2p"
    seq = await queue.publish_ticket(where, b"one", f"{subject.node}-1")
    assert await queue.publish_ticket(where, b"one", f"{subject.node}-1") == seq
    await queue.publish_ticket(where, b"two", f"{subject.node}-2")
    assert [entry.body for entry in await queue.queued()] == [b"one", b"two"]
    items = [await ticket(queue, "selfplay"), await ticket(other, "selfplay")]
    assert [(item.body, item.deliveries, item.subject) for item in items] == [
        (b"one", 1, where),
        (b"two", 1, where),
    ]
    assert await other.next_ticket("training", wait_seconds=0.05) is None
    for item in items:
        await item.ack()
        await until_gone(queue, item.seq)
    assert await queue.next_ticket("selfplay", wait_seconds=0.05) is None
    assert await queue.publish_ticket(where, b"one", f"{subject.node}-1") == seq, (
        "known even after it was done"
    )
    assert await queue.queued() == []


async def test_an_urgent_ticket_goes_first_and_a_spare_one_last(
    queue: Log, subject: Subject
) -> None:
    for priority in (SPARE, USUAL, URGENT):
        where = f"ringrift.work.selfplay.{priority}.hex8_2p"
        await queue.publish_ticket(where, str(priority).encode(), f"{subject.node}-{priority}")
    async with asyncio.timeout(20):
        while (
            True
        ):  # a cluster's consumers learn of a ticket a moment after it was stored, each for itself
            items = [await ticket(queue, "selfplay") for _ in PRIORITIES]
            if [int(item.body) for item in items] == list(PRIORITIES):
                break
            for item in items:
                await item.nak()
    waiting = asyncio.create_task(ticket(queue, "selfplay"))
    await items[-1].nak()
    again = await waiting
    assert int(again.body) == SPARE, "one that waits is woken by a ticket of any priority"
    for item in (*items[:-1], again):
        await item.ack()


async def test_a_ticket_comes_again_after_nak_and_when_its_worker_is_silent(
    queue: Log, subject: Subject
) -> None:
    await queue.publish_ticket("ringrift.work.training.5.hex8_2p", b"job", f"{subject.node}-1")
    item = await ticket(queue, "training")
    await item.nak()
    item = await ticket(queue, "training")
    assert item.deliveries == 2
    await item.nak(0.2)
    assert await queue.next_ticket("training", wait_seconds=0.05) is None
    item = await ticket(queue, "training")
    assert item.deliveries == 3
    item = await ticket(queue, "training")  # nothing was said for ACK_SECONDS
    assert item.deliveries == 4
    for _ in range(3):
        assert await queue.next_ticket("training", wait_seconds=ACK_SECONDS * 0.6) is None
        await item.in_progress()
    await item.term("not wanted")
    await until_gone(queue, item.seq)


async def test_a_waiting_worker_wakes_up_and_one_that_left_loses_nothing(
    queue: Log, subject: Subject
) -> None:
    where = "ringrift.work.evaluation.5.hex8_2p"
    gone = asyncio.create_task(queue.next_ticket("evaluation", wait_seconds=30))
    waiting = asyncio.create_task(ticket(queue, "evaluation", 30))
    await asyncio.sleep(0.1)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await queue.publish_ticket(where, b"job", f"{subject.node}-1")
    async with asyncio.timeout(10):
        item = await waiting
    assert item.body == b"job"
    await item.ack()


async def test_a_full_queue_refuses_until_there_is_room(queue: Log, subject: Subject) -> None:
    where = "ringrift.work.selfplay.5.hex8_2p"
    for number in range(TICKETS_MAX):
        await queue.publish_ticket(where, b"job", f"{subject.node}-{number}")
    with pytest.raises(QueueFull):
        await queue.publish_ticket(where, b"job", f"{subject.node}-more")
    item = await ticket(queue, "selfplay")
    await item.ack()
    await until_gone(queue, item.seq)
    await queue.publish_ticket(where, b"job", f"{subject.node}-more")


async def test_a_dead_letter_keeps_the_bytes_once_and_becomes_a_fact(
    log: Log, subject: Subject
) -> None:
    number = 1000 + next(_numbers)
    letter = {
        "body": b"\xff\x00bytes",
        "subject": "ringrift.x",
        "stream": "EVENTS",
        "seq": number,
        "consumer": "rater",
        "deliveries": 2,
        "reason": "line one\nline tw\N{LATIN SMALL LETTER O WITH DIAERESIS}",
        "source": "test",
    }
    seq = await store_dead_letter(log, DeadLetter(**letter))
    assert await store_dead_letter(log, DeadLetter(**letter)) == seq
    kept = await log.get(DEAD, seq)
    assert kept is not None
    assert kept.body == b"\xff\x00bytes"
    assert (
        kept.headers | {"Reason": "line one line tw?", "Deliveries": "2", "Sequence": str(number)}
        == kept.headers
    )
    facts = [
        each.event
        async for batch in log.replay(
            EVENTS, filters=["ringrift.dead-letter.rater.stored"], refuse=lambda *_: None
        )
        for each in batch
        if each.event.seq == number
    ]
    assert [(fact.dead_seq, fact.reason) for fact in facts] == [(seq, letter["reason"])]


async def test_facts_keep_their_own_subjects(log: Log) -> None:
    role = f"r{next(_numbers)}"
    lease = draft(LeaseAcquired(role=role, holder="h"), cause=None, source="test", key=role)
    done = draft(
        SelfplayFinished(
            config="hex8_2p",
            generation=0,
            ticket=role,
            games=1,
            plies=1,
            play_seconds=1.0,
            node="n",
        ),
        cause=None,
        source="test",
        key=role,
    )
    seqs = await log.append([lease, done])
    entries = [await log.get(EVENTS, seq) for seq in seqs]
    assert [e.subject for e in entries if e] == [
        f"ringrift.lease.{role}.acquired",
        "ringrift.selfplay.hex8_2p.finished",
    ]
