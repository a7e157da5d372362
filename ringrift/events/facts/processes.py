"""Processes: leases, starts and stops, lost events and streams, dead letters."""

from typing import Annotated, Literal

from msgspec import Meta

from ringrift.events.facts.vocabulary import *


class LeaseAcquired(Fact, subject="lease.{role}.acquired"):
    """`holder` acts for `role`; the sequence of this fact is its fencing token.

    It was found free `election_seconds` before, None in facts of older programs."""

    role: Token
    holder: Text
    election_seconds: NonNegative | None = None


class RoleMoveRequested(Fact, subject="lease.{role}.role-move-requested"):
    """A node is to act for `role`: its holder elsewhere releases the lease, and processes of other
    nodes leave it to `node` for a while."""

    role: Token
    node: Token
    why: Text


class ConsumerStarted(NodeFact, subject="consumer.{node}.started"):
    """A process started on a node."""

    consumer: Token
    instance: Text
    version: Text


class ConsumerStopped(NodeFact, subject="consumer.{node}.stopped"):
    """A process drained and stopped; a killed process leaves no such fact."""

    consumer: Token
    instance: Text
    why: Text


class ProcessRestarted(NodeFact, subject="consumer.{node}.process-restarted", for_people=True):
    """A process of a node ended without being asked to, and its supervisor started it again, for
    the `restarts`th time since the node started. `ended` says how it ended."""

    consumer: Token
    ended: Text
    restarts: Positive


class ErrorReported(NodeFact, subject="consumer.{node}.error-reported", for_people=True):
    """An error of a process, the newest of `errors` since it started. At most one a minute is
    recorded."""

    consumer: Token
    error: Text
    errors: Positive


class LostEventsRepublished(
    NodeFact, subject="consumer.{node}.lost-events-republished", for_people=True
):
    """After a restart the server lacked events of `first_seq` to `last_seq` that it had
    acknowledged.

    `republished` of them are in the log again, under their ids; `orphaned` ones are not, because
    their cause is lost too."""

    consumer: Token
    stream: Name
    first_seq: Count
    last_seq: Count
    republished: Count
    orphaned: Count


class StreamRecreated(Fact, subject="stream.all.recreated"):
    """A stream whose content follows from facts was unavailable for `unavailable_seconds` and was
    recreated, empty; or a durable consumer of the queue (`WORK.<name>`) was missing and was
    recreated."""

    stream: Name
    reason: Literal["leaderless", "missing"]
    unavailable_seconds: Annotated[float, Meta(ge=0)]


class MessageIdTaken(Fact, subject="stream.all.message-id-taken"):
    """Message `seq` of a stream, on `subject`, has the id of an event of others, which was stored
    under another id instead. Its author wants to suppress that event, or has a bug."""

    stream: Name
    seq: Positive
    id: Text
    subject: Text


class FactSkipped(Fact, subject="decider.{decider}.fact-skipped"):
    """`decider` cannot fold message `seq` of `stream`, or cannot decide on it, and goes on without:
    every reader of the log skips it alike. `error` is what was raised."""

    decider: Token
    stream: Name
    seq: Positive
    error: Text


class DeadLetterStored(DeadLetterFact, subject="dead-letter.{consumer}.stored"):
    """A consumer could not use a message; its bytes are in `DEAD`.

    `failure_recorded`: the message is a ticket whose failure is a fact, so the loop continues
    without it and only a person retries it."""

    reason: Text
    deliveries: Count
    failure_recorded: bool = False


class DeadLettersOmitted(Fact, subject="dead-letter.all.dead-letters-omitted", for_people=True):
    """`messages` unreadable messages of `stream`, between these sequences, have no dead letter: too
    many came within one minute, or under one kind of subject."""

    stream: Name
    first_seq: Positive
    last_seq: Positive
    messages: Positive


class DeadLetterRetryRequested(DeadLetterFact, subject="dead-letter.{consumer}.retry-requested"):
    """A dead letter is due for a retry; `attempt` counts from 1."""

    attempt: Positive


class DeadLetterRetryFailed(DeadLetterFact, subject="dead-letter.{consumer}.retry-failed"):
    """A dead letter was retried and still cannot be used."""

    reason: Text


class DeadLetterResolved(DeadLetterFact, subject="dead-letter.{consumer}.resolved"):
    """A dead letter needs no further action; its bytes stay in `DEAD`.

    `decodes`: this build, with its upcasters, decodes the event in its stream, and so does every
    consumer that starts with it. `requeued`: the ticket is on the queue again. `dropped`: an
    operator discarded it."""

    outcome: Literal["decodes", "requeued", "dropped"]
    why: Text


class DeadLetterEscalated(DeadLetterFact, subject="dead-letter.{consumer}.escalated"):
    """A dead letter will not be retried automatically and needs an operator (`ringrift dlq show
    DEAD_SEQ`)."""

    attempts: Count
    reason: Text
