"""Messages that cannot be read: one dead letter for all readers, bounded in number."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from support.system import PLAN, System, running, until

from ringrift.deciders.loop import promotion
from ringrift.deciders.loop import rating as elo
from ringrift.events.facts import DeadLettersOmitted, DeadLetterStored
from ringrift.runtime.decide import act
from ringrift.runtime.unreadable import LETTERS_PER_MINUTE, LETTERS_PER_SOURCE

SUBJECTS = ("ringrift.settings.all.changed", "ringrift.pipeline.all.paused", "ringrift.node.a.lost")
LATER_SECONDS = 86_400.0


async def garbage(system: System, messages: int, subject: str = SUBJECTS[0]) -> int:
    """Store messages that are no events; the sequence of the last one."""
    seq = 0
    for _ in range(messages):
        seq = await system.log.publish("EVENTS", subject, b"garbage")
    return seq


@contextlib.asynccontextmanager
async def readers(system: System) -> AsyncIterator[None]:
    """Three processes that read all of `EVENTS`."""
    deciders = (elo.DECIDER, elo.DECIDER, promotion.DECIDER)
    jobs = [act(system.process(f"p{number}"), (one,), None) for number, one in enumerate(deciders)]
    async with running(*jobs):
        yield


async def test_a_message_that_no_reader_can_use_has_one_letter(system: System) -> None:
    seq = await garbage(system, 1)
    async with readers(system):
        await asyncio.sleep(5.0)
    (letter,) = await system.facts(DeadLetterStored)
    assert (letter.consumer, letter.stream, letter.seq) == ("reader", "EVENTS", seq)
    assert await system.log.subjects("DEAD", ">") == [f"ringrift.dead.reader.EVENTS.{seq}"]


async def test_a_flood_is_counted_and_delays_nothing(system: System) -> None:
    await garbage(system, 1000)
    last = await system.write(PLAN)
    reader = system.process("rater")
    async with readers(system), running(act(reader, (elo.DECIDER,), None)):
        await until(lambda: reader.seq >= last)
        assert system.loop.time() < 1.0
        await asyncio.sleep(90.0)
    letters = await system.facts(DeadLetterStored)
    assert [letter.seq for letter in letters] == [*range(1, LETTERS_PER_MINUTE + 1)]
    (omitted,) = await system.facts(DeadLettersOmitted)
    assert (omitted.first_seq, omitted.last_seq) == (LETTERS_PER_MINUTE + 1, 1000)
    assert omitted.messages == 1000 - LETTERS_PER_MINUTE


async def test_one_source_cannot_fill_the_letters_of_an_hour(system: System) -> None:
    async with readers(system):
        for _ in range(LETTERS_PER_SOURCE + 5):
            await garbage(system, 1)
            await asyncio.sleep(60.0)
        for subject in SUBJECTS[1:]:
            await garbage(system, 1, subject)
        await asyncio.sleep(120.0)
    assert len(await system.facts(DeadLetterStored)) <= 2 * LETTERS_PER_SOURCE + 2
    assert len(await system.facts(DeadLetterStored)) >= LETTERS_PER_SOURCE + 2


async def test_nothing_is_reported_again_after_a_restart(system: System) -> None:
    await garbage(system, LETTERS_PER_MINUTE + 5)
    for _ in range(2):
        async with readers(system):
            await asyncio.sleep(90.0)
        system.loop.clock.seconds += LATER_SECONDS  # the server has forgotten the ids of messages
    assert len(await system.facts(DeadLetterStored)) == LETTERS_PER_MINUTE
    assert len(await system.facts(DeadLettersOmitted)) == 1
