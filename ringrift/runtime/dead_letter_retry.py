"""Unresolved dead letters and their retry, shared by the monitor and `ringrift dlq`."""

from typing import Literal

from ringrift.deciders.fleet import dead_letters
from ringrift.deciders.fleet.dead_letters import DeadLetter, DeadLetters, identity
from ringrift.deciders.kit import Context
from ringrift.events import UndecodableEvent, facts as f
from ringrift.events.tickets import REQUESTS, decode_ticket, encode_ticket, subject_of, tickets_of
from ringrift.log import read
from ringrift.log.entry import Entry
from ringrift.log.errors import QueueFull
from ringrift.log.protocol import Log
from ringrift.log.topology import DEAD, WORK

FACTS = (
    f.DeadLetterStored,
    f.DeadLetterRetryRequested,
    f.DeadLetterRetryFailed,
    f.DeadLetterResolved,
    f.DeadLetterEscalated,
)


class Unusable(Exception):
    """The dead letter cannot be used; the message says why."""


async def unresolved(log: Log) -> DeadLetters:
    """The unresolved dead letters according to the facts."""
    state = dead_letters.DECIDER.initial()
    async for event, meta in read.facts(log, *FACTS):
        state = dead_letters.DECIDER.evolve(state, event, Context.of(meta))
    return state


async def retry(
    log: Log, letter: DeadLetter | f.DeadLetterRetryRequested
) -> f.DeadLetterResolved | f.DeadLetterRetryFailed:
    """Try a dead letter with this build and its upcasters; the fact that reports the outcome, not
    appended yet.

    A ticket returns to the queue if the log holds the request that asks for it: the bytes in `DEAD`
    are anybody's. An event stays in its stream, where consumers read it once their build can decode
    it."""
    try:
        why = await (_requeued if letter.stream == WORK else _decodes)(log, letter)
    except (UndecodableEvent, QueueFull, Unusable) as error:
        return f.DeadLetterRetryFailed(**identity(letter), reason=str(error))
    outcome: Literal["requeued", "decodes"] = "requeued" if letter.stream == WORK else "decodes"
    return f.DeadLetterResolved(**identity(letter), outcome=outcome, why=why)


async def _requeued(log: Log, letter: DeadLetter | f.DeadLetterRetryRequested) -> str:
    entry = await log.get(DEAD, letter.dead_seq)
    if entry is None:
        where = f"{DEAD}/{letter.dead_seq}"
        raise Unusable(f"its bytes are gone: newer dead letters displaced {where}")
    ticket = decode_ticket(entry.body)
    request = await read.fact_at(log, ticket.cause)
    if request is None or not isinstance(request.event, REQUESTS):
        raise Unusable(f"{ticket.ticket}: {ticket.cause} is no request")
    if ticket not in tickets_of(request.event, ticket.cause):
        raise Unusable(f"{ticket.ticket} is no ticket of the request {ticket.cause}")
    id = f"{ticket.ticket}.dead.{letter.dead_seq}"
    await log.publish_ticket(subject_of(ticket), encode_ticket(ticket), id)
    return f"{ticket.ticket} is on the queue again"


async def _decodes(log: Log, letter: DeadLetter | f.DeadLetterRetryRequested) -> str:
    found = await read.fact_at(log, f"{letter.stream}/{letter.seq}")
    if found is None:
        raise Unusable(f"{letter.stream} has no message {letter.seq}")
    name = type(found.event).__name__
    return f"this build decodes it as {name}; so do consumers once they run it"


async def original(log: Log, letter: DeadLetter | f.DeadLetterFact) -> Entry | None:
    """The bytes of a dead letter, from `DEAD` or from the stream they came from."""
    entry = await log.get(DEAD, letter.dead_seq)
    return entry or (await log.get(letter.stream, letter.seq) if letter.stream != WORK else None)


def dropped(letter: DeadLetter, why: str) -> f.DeadLetterResolved:
    """The fact that an operator dropped a dead letter."""
    return f.DeadLetterResolved(**identity(letter), outcome="dropped", why=why)
