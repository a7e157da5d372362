"""Trying dead letters again, and what is left of them: shared by the monitor and `ringrift dlq`."""

from __future__ import annotations

from typing import Literal

from ringrift.deciders.fleet import dead_letters as letters
from ringrift.deciders.fleet.dead_letters import AnyLetter, Letter, LettersState
from ringrift.deciders.kit import Context
from ringrift.events import UndecodableEvent, decode
from ringrift.events.facts import (
    DeadLetterEscalated,
    DeadLetterResolved,
    DeadLetterRetryFailed,
    DeadLetterRetryRequested,
    DeadLetterStored,
)
from ringrift.events.tickets import decode_ticket, encode_ticket, subject_of
from ringrift.log import read
from ringrift.log.errors import QueueFull
from ringrift.log.protocol import Entry, Log
from ringrift.log.topology import DEAD, WORK

FACTS = (
    DeadLetterStored,
    DeadLetterRetryRequested,
    DeadLetterRetryFailed,
    DeadLetterResolved,
    DeadLetterEscalated,
)
Outcome = Literal["decodes", "requeued"]


async def unresolved(log: Log) -> LettersState:
    """The letters nobody has resolved, as the facts say, those of deciders that have not been told
    yet included."""
    state = letters.DECIDER.initial()
    async for event, meta in read.facts(log, *FACTS):
        state = letters.DECIDER.evolve(state, event, Context.of(meta))
    return state


async def retry(
    log: Log, letter: Letter | DeadLetterRetryRequested
) -> DeadLetterResolved | DeadLetterRetryFailed:
    """Try the letter's bytes with this build, upcasters included; the fact that says what came of
    it, not written yet.

    A ticket goes on the queue again. An event stays where it lies in the log: its readers take it
    in once their build knows it."""
    entry = await original(log, letter)
    if entry is None:
        return _failed(
            letter, f"its bytes are gone: {DEAD}/{letter.dead_seq} was pushed out by newer ones"
        )
    try:
        if letter.stream == WORK:
            ticket = decode_ticket(entry.body)
            await log.publish_ticket(
                subject_of(ticket), encode_ticket(ticket), f"{ticket.ticket}.dead.{letter.dead_seq}"
            )
            return _resolved(letter, "requeued", f"{ticket.ticket} is on the queue again")
        # by hand, because the error is the outcome of the retry
        event = decode(entry.body, stream=letter.stream, seq=letter.seq).event
    except (UndecodableEvent, QueueFull) as error:
        return _failed(letter, str(error))
    return _resolved(
        letter,
        "decodes",
        f"this build reads it as {type(event).__name__}; consumers do once they have started on it",
    )


async def original(log: Log, letter: AnyLetter | Letter) -> Entry | None:
    """The letter's bytes: of `DEAD`, or of the stream they came from."""
    entry = await log.get(DEAD, letter.dead_seq)
    return entry or (await log.get(letter.stream, letter.seq) if letter.stream != WORK else None)


def dropped(letter: Letter, why: str) -> DeadLetterResolved:
    """The fact that a person wants to see no more of a letter."""
    return DeadLetterResolved(
        consumer=letter.consumer,
        stream=letter.stream,
        seq=letter.seq,
        dead_seq=letter.dead_seq,
        outcome="dropped",
        why=why,
    )


def _resolved(
    letter: Letter | DeadLetterRetryRequested, outcome: Outcome, why: str
) -> DeadLetterResolved:
    return DeadLetterResolved(
        consumer=letter.consumer,
        stream=letter.stream,
        seq=letter.seq,
        dead_seq=letter.dead_seq,
        outcome=outcome,
        why=why,
    )


def _failed(letter: Letter | DeadLetterRetryRequested, reason: str) -> DeadLetterRetryFailed:
    return DeadLetterRetryFailed(
        consumer=letter.consumer,
        stream=letter.stream,
        seq=letter.seq,
        dead_seq=letter.dead_seq,
        reason=reason,
    )
