"""Unresolved dead letters and their retry, shared by the monitor and `ringrift dlq`."""

from ringrift.deciders.fleet import dead_letters
from ringrift.deciders.fleet.dead_letters import DeadLetter, DeadLetters, identity
from ringrift.deciders.kit import Context
from ringrift.events import UndecodableEvent, decode
from ringrift.events import facts as f
from ringrift.events.tickets import decode_ticket, encode_ticket, subject_of
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


async def unresolved(log: Log) -> DeadLetters:
    """The unresolved dead letters according to the facts."""
    state = dead_letters.DECIDER.initial()
    async for event, meta in read.facts(log, *FACTS):
        state = dead_letters.DECIDER.evolve(state, event, Context.of(meta))
    return state


async def retry(
    log: Log, letter: DeadLetter | f.DeadLetterRetryRequested
) -> f.DeadLetterResolved | f.DeadLetterRetryFailed:
    """Try the bytes of a dead letter with this build and its upcasters; the fact that reports the
    outcome, not appended yet.

    A ticket returns to the queue. An event stays in its stream, where consumers read it once their
    build can decode it."""
    entry = await original(log, letter)
    if entry is None:
        reason = f"its bytes are gone: newer dead letters displaced {DEAD}/{letter.dead_seq}"
        return f.DeadLetterRetryFailed(**identity(letter), reason=reason)
    try:
        if letter.stream == WORK:
            ticket = decode_ticket(entry.body)
            id = f"{ticket.ticket}.dead.{letter.dead_seq}"
            await log.publish_ticket(subject_of(ticket), encode_ticket(ticket), id)
            why = f"{ticket.ticket} is on the queue again"
            return f.DeadLetterResolved(**identity(letter), outcome="requeued", why=why)
        # decoded here, because the error is the outcome of the retry
        event = decode(entry.body, stream=letter.stream, seq=letter.seq).event
    except (UndecodableEvent, QueueFull) as error:
        return f.DeadLetterRetryFailed(**identity(letter), reason=str(error))
    why = f"this build decodes it as {type(event).__name__}; so do consumers once they run it"
    return f.DeadLetterResolved(**identity(letter), outcome="decodes", why=why)


async def original(log: Log, letter: DeadLetter | f.DeadLetterFact) -> Entry | None:
    """The bytes of a dead letter, from `DEAD` or from the stream they came from."""
    entry = await log.get(DEAD, letter.dead_seq)
    return entry or (await log.get(letter.stream, letter.seq) if letter.stream != WORK else None)


def dropped(letter: DeadLetter, why: str) -> f.DeadLetterResolved:
    """The fact that an operator dropped a dead letter."""
    return f.DeadLetterResolved(**identity(letter), outcome="dropped", why=why)
