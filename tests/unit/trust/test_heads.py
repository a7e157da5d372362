"""Tree heads name every message that was changed, removed or moved, also in a store that is
consistent in itself, and nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from support.system import System, running

from ringrift.consumers import verifier
from ringrift.events.facts import HEAD_EVENTS_MAX, TickRecorded, TreeHeadRecorded
from ringrift.log.entry import Entry
from ringrift.log.errors import LogRewound
from ringrift.log.keyring import Keyring
from ringrift.log.topology import EVENTS
from ringrift.tools.memory_broker import MemoryStream
from ringrift.trust.heads import ABSENT, HEAD_SECONDS, HeadCheck, HeadWriter, head_in, leaf_of

Tamper = Callable[[dict[int, Entry], int], None]


def changed(entries: dict[int, Entry], seq: int) -> None:
    """Change one byte."""
    body = entries[seq].body
    entries[seq] = replace(entries[seq], body=body[:-3] + bytes([body[-3] ^ 1]) + body[-2:])


def restamped(entries: dict[int, Entry], seq: int) -> None:
    """Change the time of storage, which deciders go by."""
    entries[seq] = replace(entries[seq], stamp_ns=entries[seq].stamp_ns + 1)


def removed(entries: dict[int, Entry], seq: int) -> None:
    """Remove a message and give all later ones the sequence before."""
    del entries[seq]
    later = [entries.pop(other) for other in sorted(entries) if other > seq]
    for entry in later:
        entries[entry.seq - 1] = replace(entry, seq=entry.seq - 1)


def inserted(entries: dict[int, Entry], seq: int) -> None:
    """Put a message before another and give all later ones the next sequence."""
    later = [entries.pop(other) for other in sorted(entries) if other >= seq]
    entries[seq] = replace(later[0], body=later[0].body + b" ")
    for entry in later:
        entries[entry.seq + 1] = replace(entry, seq=entry.seq + 1)


def swapped(entries: dict[int, Entry], seq: int) -> None:
    """Swap a message with the next one."""
    one, other = entries[seq], entries[seq + 1]
    entries[seq], entries[seq + 1] = replace(other, seq=seq), replace(one, seq=seq + 1)


def missing(entries: dict[int, Entry], seq: int) -> None:
    """Remove a message, and leave its sequence empty."""
    del entries[seq]


def found(entries: dict[int, Entry]) -> list[str]:
    """What a reader of the whole store finds."""
    check, texts = HeadCheck(), []
    for seq in range(1, max(entries) + 1):
        entry = entries.get(seq)
        if entry and (head := head_in(entry, Keyring())):
            texts += check.compare(head, f"{EVENTS}/{seq}")
        check.take(leaf_of(entry) if entry else ABSENT)
    return texts


async def ticks(system: System, count: int, first: int = 0) -> None:
    await system.write(*(TickRecorded(minute=first + number) for number in range(count)))


async def record(system: System, writer: HeadWriter) -> int:
    """Record the heads that are due; return how many."""
    heads = await writer.round()
    for item in heads:
        await writer.process.log.append([item])
    return len(heads)


async def recorded(system: System) -> MemoryStream:
    """A log of 100 ticks with two coordinators that recorded heads after every twenty."""
    writers = [HeadWriter(system.process("verifier", node)) for node in ("a", "b")]
    for part in range(5):
        await ticks(system, 20, part * 20)
        for writer in writers:
            await record(system, writer)
    return system.broker.stream(EVENTS)


async def test_a_whole_log_agrees_with_its_heads(system: System) -> None:
    stream = await recorded(system)
    assert len(stream.entries) == 110
    assert found(stream.entries) == []


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (changed, "EVENTS/30 was changed"),
        (restamped, "EVENTS/30 was changed"),
        (removed, "EVENTS/30 was removed"),
        (inserted, "EVENTS/30 was inserted"),
        (swapped, "EVENTS/30 was swapped with another, EVENTS/31 was swapped with another"),
        (missing, "EVENTS/30 is missing"),
    ],
)
async def test_one_message_is_named_once(system: System, tamper: Tamper, what: str) -> None:
    stream = await recorded(system)
    tamper(stream.entries, 30)
    (text,) = found(stream.entries)
    assert text.endswith(f"is of other messages: {what}")
    assert text.startswith("the tree head of a at EVENTS/4")


@pytest.mark.parametrize("tamper", [changed, removed, inserted, swapped, missing])
async def test_every_message_under_a_head_counts(system: System, tamper: Tamper) -> None:
    stream = await recorded(system)
    whole, chance = dict(stream.entries), random.Random(1)
    for seq in chance.sample(range(1, 105), 40):
        entries = dict(whole)
        tamper(entries, seq)
        assert any(f"EVENTS/{seq} " in text or f"EVENTS/{seq}: " in text for text in found(entries))


async def test_each_of_several_changes_is_named(system: System) -> None:
    stream = await recorded(system)
    for seq in (5, 30, 33, 70):
        changed(stream.entries, seq)
    text = " ".join(found(stream.entries))
    assert [seq for seq in range(1, 111) if f"EVENTS/{seq} was" in text] == [5, 30, 33, 70]


async def test_a_store_that_lost_its_beginning_is_found(system: System) -> None:
    stream = await recorded(system)
    for seq in range(1, 11):
        del stream.entries[seq]
    (text,) = found(stream.entries)
    assert "EVENTS/1 is missing" in text
    assert "EVENTS/10 is missing" in text


async def test_a_head_of_other_messages_names_its_author(system: System) -> None:
    stream = await recorded(system)
    lie = TreeHeadRecorded(node="liar", size=50, root="ab" * 32, after=50, marks="")
    await system.write(lie, replace(lie, size=5000, after=5000))
    assert len(stream.entries) == 112
    assert found(stream.entries) == [
        "the tree head of liar at EVENTS/111 is of other messages: EVENTS/1..50",
        "the tree head of liar at EVENTS/112 is of 5,000 messages, more than there were",
    ]


async def test_no_head_is_recorded_after_heads_only(system: System) -> None:
    await ticks(system, 3)
    one, other = (HeadWriter(system.process("verifier", node)) for node in ("a", "b"))
    assert [await record(system, one), await record(system, other)] == [1, 1]
    assert [await record(system, one), await record(system, other)] == [0, 0]
    await ticks(system, 1, 3)
    assert await record(system, one) == 1


async def test_a_coordinator_that_starts_again_repeats_nothing(system: System) -> None:
    await recorded(system)
    again = HeadWriter(system.process("verifier", "a"))
    assert await record(system, again) == 0
    await ticks(system, 5, 100)
    assert await record(system, again) == 1
    (*_, head) = await system.facts(TreeHeadRecorded)
    assert (head.size, head.after) == (115, 109)
    assert found(system.broker.stream(EVENTS).entries) == []


async def test_a_long_log_without_heads_gets_several(system: System) -> None:
    await ticks(system, 2 * HEAD_EVENTS_MAX + 10)
    assert await record(system, HeadWriter(system.process("verifier", "a"))) == 3
    sizes = [head.size for head in await system.facts(TreeHeadRecorded)]
    assert sizes == [HEAD_EVENTS_MAX, 2 * HEAD_EVENTS_MAX, 2 * HEAD_EVENTS_MAX + 10]
    entries = system.broker.stream(EVENTS).entries
    assert found(entries) == []
    changed(entries, HEAD_EVENTS_MAX + 7)
    assert f"EVENTS/{HEAD_EVENTS_MAX + 7} was changed" in " ".join(found(entries))


async def test_a_log_that_was_rewound_is_read_again(system: System) -> None:
    await ticks(system, 5)
    writer = HeadWriter(system.process("verifier", "a"))
    await record(system, writer)
    await record(system, writer)
    changed(system.broker.stream(EVENTS).entries, 6)
    with pytest.raises(LogRewound):
        await writer.round()


async def test_a_head_follows_within_a_minute_of_an_event(system: System) -> None:
    process = system.process("verifier", "a")
    async with running(verifier.main(process)):
        await ticks(system, 1)
        await asyncio.sleep(HEAD_SECONDS + 1.0)
        (head, *_) = await system.facts(TreeHeadRecorded)
        assert head.size >= 1
