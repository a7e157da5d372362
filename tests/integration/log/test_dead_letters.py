"""Dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from support.log_subject import Subject

from ringrift.events.facts import DeadLetterStored
from ringrift.log.dead_letters import store_dead_letter
from ringrift.log.entry import Entry
from ringrift.log.protocol import Log
from ringrift.log.topology import DEAD, EVENTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

Connect = Callable[[], Awaitable[Log]]


async def test_a_dead_letter_is_stored_once_and_recorded(log: Log, subject: Subject) -> None:
    number = 1000 + int(subject.node.removeprefix("n"))
    entry = Entry(number, "ringrift.x", 0, b"\xff\x00bytes")
    letter = DeadLetterStored(
        stream="EVENTS",
        seq=number,
        dead_seq=0,
        consumer="rater",
        deliveries=2,
        reason="line one\nline tw\N{LATIN SMALL LETTER O WITH DIAERESIS}",
    )
    seq = await store_dead_letter(log, entry, letter, "test")
    assert await store_dead_letter(log, entry, letter, "test") == seq
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
    assert [(fact.dead_seq, fact.reason) for fact in facts] == [(seq, letter.reason)]
