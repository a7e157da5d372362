"""Dead letters: stored once, retried, resolved, dropped."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec.structs import replace
from support.system import PLAN, System

from ringrift.deciders.fleet.dead_letters import DeadLetter
from ringrift.events import REGISTRY, codec, draft, encode
from ringrift.events.facts import (
    DeadLetterResolved,
    DeadLetterRetryFailed,
    DeadLetterStored,
    PipelinePaused,
)
from ringrift.events.tickets import (
    SelfplayTicket,
    decode_ticket,
    encode_ticket,
    subject_of,
    tickets_of,
)
from ringrift.log.entry import Entry
from ringrift.runtime.dead_letter_retry import dropped, retry, unresolved

SUBJECT = "ringrift.settings.all.changed"


async def dead_letter_event(
    system: System, body: bytes = b"poison", subject: str = SUBJECT
) -> None:
    """Store bytes in EVENTS that are no event, and dead-letter them."""
    seq = await system.log.publish("EVENTS", subject, body)
    entry = Entry(seq, subject, 0, body)
    process = system.process("rater")
    await process.dead_letter(entry, stream="EVENTS", deliveries=1, reason="undecodable")


async def only_letter(system: System) -> DeadLetter:
    (letter,) = (await unresolved(system.log)).unresolved.values()
    return letter


async def test_an_entry_is_dead_lettered_once_however_late_it_is_met_again(system: System) -> None:
    await dead_letter_event(system)
    letter = await only_letter(system)
    system.loop.clock.seconds += 86_400  # the server has forgotten the ids of messages
    entry = Entry(letter.seq, SUBJECT, 0, b"poison")
    process = system.process("rater")
    await process.dead_letter(entry, stream="EVENTS", deliveries=1, reason="again")
    assert len(await system.facts(DeadLetterStored)) == 1


async def test_a_crash_between_dead_letter_and_fact_is_repaired(system: System) -> None:
    await dead_letter_event(system)
    letter = await only_letter(system)
    system.broker.stream("EVENTS").purge("ringrift.dead-letter.rater.stored")
    system.loop.clock.seconds += 86_400  # the server has forgotten the ids of messages
    assert await system.facts(DeadLetterStored) == []
    entry = Entry(letter.seq, SUBJECT, 0, b"poison")
    process = system.process("rater")
    await process.dead_letter(entry, stream="EVENTS", deliveries=1, reason="again")
    assert len(await system.facts(DeadLetterStored)) == 1


async def test_an_event_that_this_build_cannot_decode_stays_unresolved(system: System) -> None:
    await dead_letter_event(system)
    outcome = await retry(system.log, await only_letter(system))
    assert isinstance(outcome, DeadLetterRetryFailed)


async def test_an_event_of_an_older_version_is_resolved_by_an_upcaster(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = PipelinePaused(scope="all", kind="selfplay", why="test")
    stored = json.loads(encode(draft(pause, cause=None, source="test")))
    stored["data"]["reason"] = stored["data"].pop("why")
    await dead_letter_event(system, json.dumps(stored).encode(), stored["subject"])

    def upcast(data: dict[str, object]) -> dict[str, object]:
        return {("why" if name == "reason" else name): value for name, value in data.items()}

    current = REGISTRY["PipelinePaused"]
    newer = msgspec.structs.replace(current, version=2, upcasters={1: upcast})
    monkeypatch.setitem(codec.REGISTRY, "PipelinePaused", newer)
    monkeypatch.setattr(codec, "_CURRENT", msgspec.json.Decoder(codec._typed_envelope(newer)))
    outcome = await retry(system.log, await only_letter(system))
    assert isinstance(outcome, DeadLetterResolved)
    assert outcome.outcome == "decodes"
    assert "PipelinePaused" in outcome.why


async def test_a_ticket_returns_to_the_queue(system: System) -> None:
    (ticket, *_) = tickets_of(PLAN, f"EVENTS/{await system.write(PLAN)}")
    entry = Entry(7, subject_of(ticket), 0, encode_ticket(ticket))
    process = system.process()
    await process.dead_letter(
        entry, stream="WORK", deliveries=4, reason="no luck", failure_recorded=True
    )
    outcome = await retry(system.log, await only_letter(system))
    assert isinstance(outcome, DeadLetterResolved)
    queued = [decode_ticket(item.body) for item in await system.log.queued()]
    assert queued == [ticket]
    await system.write(outcome)
    assert (await unresolved(system.log)).unresolved == {}


@pytest.mark.parametrize("forge", ["cause", "games", "ticket", "no request"])
async def test_a_ticket_that_no_request_asks_for_is_not_queued(system: System, forge: str) -> None:
    """The bytes of a dead letter are anybody's who may write to `DEAD`."""
    seq = await system.write(PLAN, PipelinePaused(scope="all", kind="selfplay", why="test"))
    (ticket, *_) = tickets_of(PLAN, f"EVENTS/{seq - 1}")
    assert isinstance(ticket, SelfplayTicket)
    forged = {
        "cause": replace(ticket, cause="EVENTS/77"),
        "games": replace(ticket, first_game=1),
        "ticket": replace(ticket, ticket="selfplay-events-1-99"),
        "no request": replace(ticket, cause=f"EVENTS/{seq}"),
    }[forge]
    entry = Entry(7, subject_of(ticket), 0, encode_ticket(forged))
    await system.process().dead_letter(entry, stream="WORK", deliveries=4, reason="forged")
    assert isinstance(await retry(system.log, await only_letter(system)), DeadLetterRetryFailed)
    assert await system.log.queued() == []


async def test_only_what_the_stream_holds_is_resolved(system: System) -> None:
    pause = PipelinePaused(scope="all", kind="selfplay", why="test")
    await dead_letter_event(system)
    letter = await only_letter(system)
    await system.log.publish(
        "DEAD", "ringrift.dead.rater.EVENTS.1", encode(draft(pause, cause=None, source="x"))
    )
    forged = replace(letter, dead_seq=letter.dead_seq + 1)
    assert isinstance(await retry(system.log, forged), DeadLetterRetryFailed)


async def test_a_dropped_dead_letter_is_resolved_and_its_bytes_are_kept(system: System) -> None:
    await dead_letter_event(system)
    letter = await only_letter(system)
    await system.write(dropped(letter, "of no use"))
    assert (await unresolved(system.log)).unresolved == {}
    kept = await system.log.get("DEAD", letter.dead_seq)
    assert kept is not None
    assert kept.body == b"poison"
