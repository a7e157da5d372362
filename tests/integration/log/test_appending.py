"""Appending to the log: atomic, ordered, deduplicated, under expectations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from support.log_subject import Subject

from ringrift.events import Draft, draft, encode
from ringrift.events.facts import GameReanalysed, LeaseAcquired, MessageIdTaken, SelfplayFinished
from ringrift.log import read
from ringrift.log.errors import ConcurrencyError, PartlyStored, PayloadTooLarge
from ringrift.log.protocol import Expect, Log
from ringrift.log.topology import EVENTS, GAMES

pytestmark = pytest.mark.asyncio(loop_scope="module")

Connect = Callable[[], Awaitable[Log]]


async def test_append_returns_increasing_sequences(log: Log, subject: Subject) -> None:
    first = await log.append([subject.draft(0)])
    rest = await log.append([subject.draft(1), subject.draft(2)])
    assert first + rest == sorted(first + rest) == await subject.stored(log)
    assert rest[1] == rest[0] + 1
    assert await log.append([]) == []


async def test_two_writers_of_the_same_events_store_them_once(connect: Connect) -> None:
    logs = [await connect() for _ in range(4)]
    # on a cluster, the first is in flight to the replicas when the others arrive
    for number in range(20):
        ticket = f"at-once-{uuid4().hex}"
        seqs = await asyncio.gather(
            *(
                log.publish("KV_control", f"$KV.control.at-once.{number}", b"x", id=ticket)
                for log in logs
            )
        )
        assert len(set(seqs)) == 1, seqs


async def test_append_is_idempotent(log: Log, subject: Subject) -> None:
    one, batch = [subject.draft(0)], [subject.draft(1), subject.draft(2)]
    first = [await log.append(one), await log.append(batch)]
    again = [await log.append(one), await log.append(batch)]
    assert first == again
    assert len(await subject.stored(log)) == 3


async def test_a_partly_stored_batch_is_refused(log: Log, subject: Subject) -> None:
    await log.append([subject.draft(0)])
    with pytest.raises(PartlyStored) as caught:
        await log.append([subject.draft(0), subject.draft(1)])
    assert caught.value.stored == (subject.draft(0).id,)
    assert len(await subject.stored(log)) == 1


async def test_an_append_whose_expectation_holds_is_stored(log: Log, subject: Subject) -> None:
    first = await log.append([subject.draft(0)], Expect(subject.name, 0))
    second = await log.append([subject.draft(1), subject.draft(2)], Expect(subject.name, first[-1]))
    await log.append([subject.draft(3)], Expect(f"ringrift.consumer.{subject.node}.*", second[-1]))
    assert len(await subject.stored(log)) == 4


async def test_a_conflict_names_both_sequences_and_stores_nothing(
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
    """The writer repeats the append under an expectation that its own message has outdated."""
    one = await log.append([subject.draft(0)], Expect(subject.name, 0))
    assert await log.append([subject.draft(0)], Expect(subject.name, 0)) == one
    batch = [subject.draft(1), subject.draft(2)]
    both = await log.append(batch, Expect(subject.name, one[0]))
    await log.append([subject.draft(3)])  # another append in between
    assert await log.append(batch, Expect(subject.name, one[0])) == both


async def test_one_of_many_appends_under_the_same_expectation_is_stored(
    connect: Connect, subject: Subject
) -> None:
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


async def test_writers_under_one_fence_all_succeed(connect: Connect, subject: Subject) -> None:
    epoch, logs = Subject(), [await connect() for _ in range(2)]
    fence = Expect(epoch.name, (await logs[0].append([epoch.draft(0)]))[0])
    await asyncio.gather(
        *(logs[number % 2].append([subject.draft(number)], fence) for number in range(20))
    )
    assert len(await subject.stored(logs[0])) == 20


async def test_append_each_stores_each_event_once(log: Log, subject: Subject) -> None:
    drafts = [subject.draft(number) for number in range(150)]
    some = await log.append_each(drafts[100:120])
    seqs = await log.append_each(drafts)
    assert seqs[100:120] == some
    assert await log.append_each(drafts) == seqs
    assert sorted(seqs) == await subject.stored(log)


async def test_events_of_two_streams_are_refused(log: Log, subject: Subject) -> None:
    with pytest.raises(ValueError, match="same id"):
        await log.append([subject.draft(0), subject.draft(0)])
    with pytest.raises(ValueError, match="at most 1000"):
        await log.append([subject.draft(number) for number in range(1001)])


def reanalysed(subject: Subject, bytes_of_targets: int) -> Draft:
    """An event of `GAMES` with four thirds of these bytes, since they are in base64."""
    fact = GameReanalysed(
        config="hex8_2p",
        ticket=subject.node,
        node=subject.node,
        game=subject.node,
        game_seq=1,
        model="a" * 64,
        simulations=1,
        targets=b"x" * bytes_of_targets,
        search_seconds=1.0,
        settings_version=1,
    )
    return draft(fact, cause=None, source="test", key=f"{subject.node}:{bytes_of_targets}")


async def test_too_large_events_are_refused_before_sending(log: Log, subject: Subject) -> None:
    (seq,) = await log.append([reanalysed(subject, 5_300_000)])
    with pytest.raises(PayloadTooLarge) as caught:
        await log.append([reanalysed(subject, 1), reanalysed(subject, 6_300_000)])
    assert caught.value.size_bytes > caught.value.limit_bytes > 7_000_000
    assert await log.tail(GAMES) == seq


async def test_facts_are_stored_under_their_subjects(log: Log, subject: Subject) -> None:
    role = f"r-{subject.node}"
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


@pytest.mark.parametrize("where", ["its subject", "another subject"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("expecting", [False, True])
async def test_a_message_that_takes_an_id_suppresses_nothing(
    log: Log, subject: Subject, where: str, count: int, expecting: bool
) -> None:
    drafts = [subject.draft(number) for number in range(count)]
    taken = drafts[-1].id
    place = subject.name if where == "its subject" else f"ringrift.node.{subject.node}.joined"
    taker = await log.publish(EVENTS, place, b"anything", id=taken)
    expect = None
    if expecting:
        newest = await log.last(EVENTS, subject.name)
        expect = Expect(subject.name, newest.seq if newest else 0)
    seqs = await log.append(drafts, expect)
    assert await log.append(drafts, expect) == seqs, "the second time, they are found"
    entries = [await log.get(EVENTS, seq) for seq in seqs]
    found = [entry.recorded(EVENTS) for entry in entries if entry is not None]
    assert [event for event, _ in found] == [item.event for item in drafts]
    assert found[-1].meta.id == f"{taken}~2"
    (fact,) = [
        item.event
        async for item in read.facts(log, MessageIdTaken, after=taker)
        if item.event.id == taken
    ]
    assert (fact.seq, fact.stream, fact.subject) == (taker, EVENTS, place)


async def test_a_message_that_takes_an_id_is_not_stored_as_the_event(
    log: Log, subject: Subject
) -> None:
    item, since = subject.draft(0), datetime.now(UTC) - timedelta(minutes=1)
    await log.publish(EVENTS, subject.name, b"anything", id=item.id)
    assert await log.stored(EVENTS, [item.id], [subject.name], since) == {}
    other = subject.draft(1)
    await log.publish(EVENTS, subject.name, encode(other), id="other")
    assert await log.stored(EVENTS, ["other", other.id], [subject.name], since) == {}
