"""Messages that cannot be read: one dead letter for all readers, bounded in number."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from msgspec import Struct
from support.system import PLAN, System, running, until

from ringrift.deciders.kit import Context, Decider
from ringrift.deciders.loop import promotion, rating as elo
from ringrift.events.facts import (
    DeadLettersOmitted,
    DeadLetterStored,
    FactSkipped,
    PipelinePaused,
    TickRecorded,
)
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


class Sum(Struct, frozen=True):
    total: int = 0


def brittle() -> Decider[Any]:
    """A decider that cannot fold a pause for no reason, and not decide on one for `pie`."""
    decider = Decider("brittle", Sum)

    @decider.evolves
    def add(state: Sum, fact: PipelinePaused) -> Sum:
        return Sum(state.total + 10 // len(fact.why))

    @decider.decides
    def answer(state: Sum, fact: PipelinePaused, context: Context) -> Iterator[TickRecorded]:
        if fact.why == "pie":
            raise KeyError(fact.why)
        yield TickRecorded(minute=state.total)

    return decider


async def test_a_fact_that_a_decider_cannot_use_is_skipped_and_told_once(system: System) -> None:
    whys = ("one", "", "pie", "three")
    facts = [PipelinePaused(scope="all", kind="all", why=why) for why in whys]
    for _ in range(2):
        if not await system.log.tail("EVENTS"):
            await system.write(*facts)
        readers = [system.process(f"p{number}") for number in range(2)]
        decider = brittle()
        async with running(*(act(reader, (decider,), None) for reader in readers)):
            await asyncio.sleep(30.0)
            assert len({reader.fold_hashes["brittle"] for reader in readers}) == 1
        system.loop.clock.seconds += LATER_SECONDS
    skipped = await system.facts(FactSkipped)
    assert [(item.decider, item.stream, item.seq) for item in skipped] == [
        ("brittle", "EVENTS", 2),
        ("brittle", "EVENTS", 3),
    ]
    assert "ZeroDivisionError" in skipped[0].error
    letters = await system.facts(DeadLetterStored)
    assert [letter.seq for letter in letters] == [2, 3]
    assert all("Traceback" in letter.reason for letter in letters)
    assert [tick.minute for tick in await system.facts(TickRecorded)] == [3, 8]
