"""Consumers, their leases, and messages nobody could use."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ringrift.events.facts.vocabulary import Count, Fact, Token


class LeaseAcquired(Fact, subject="lease.{role}.acquired"):
    """`holder` acts for `role`; this fact's sequence is the fencing token of all it writes."""

    role: Token
    holder: str


class ConsumerStarted(Fact, subject="consumer.{node}.started"):
    """A consumer process is up on a node."""

    node: Token
    consumer: Token
    instance: str
    version: str


class ConsumerStopped(Fact, subject="consumer.{node}.stopped"):
    """A consumer process drained and left; a killed one leaves no such fact."""

    node: Token
    consumer: Token
    instance: str
    why: str


class LostEventsRepublished(Fact, subject="consumer.{node}.lost-events-republished"):
    """The server had acknowledged what it did not have any more after it came back, between two
    sequences of that time.

    `written` of these events are in the log again, under their ids; `orphaned` are not, because
    their cause is gone too."""

    node: Token
    consumer: Token
    stream: str
    first_seq: Count
    last_seq: Count
    republished: Count
    orphaned: Count


class StreamRecreated(Fact, subject="stream.all.recreated"):
    """A stream that holds nothing but what facts give had no leader, or was not there, for so long,
    and was made anew, empty."""

    stream: str
    reason: Literal["leaderless", "missing"]
    unavailable_seconds: Annotated[float, Meta(ge=0)]


class DeadLetterStored(Fact, subject="dead-letter.{consumer}.stored"):
    """A message could not be used; its bytes are in `DEAD` under the sequence `dead_seq`.

    `answered`: a ticket whose failure is a fact already, so that the loop goes on without it and
    only a person tries it again."""

    consumer: Token
    stream: str
    seq: Count
    dead_seq: Count
    reason: str
    deliveries: Count
    failure_recorded: bool = False


class DeadLetterRetryRequested(Fact, subject="dead-letter.{consumer}.retry-requested"):
    """A dead letter is due to be tried again; `attempt` counts from 1."""

    consumer: Token
    stream: str
    seq: Count
    dead_seq: Count
    attempt: Annotated[int, Meta(ge=1)]


class DeadLetterRetryFailed(Fact, subject="dead-letter.{consumer}.retry-failed"):
    """A dead letter was tried again and still cannot be used."""

    consumer: Token
    stream: str
    seq: Count
    dead_seq: Count
    reason: str


class DeadLetterResolved(Fact, subject="dead-letter.{consumer}.resolved"):
    """A dead letter needs nobody any more; its bytes stay in `DEAD`.

    `decodes`: this build, with its upcasters, reads the event where it lies, and so does every
    consumer of it that starts; `requeued`: the ticket is on the queue once more; `dropped`: a
    person decided that it is of no use."""

    consumer: Token
    stream: str
    seq: Count
    dead_seq: Count
    outcome: Literal["decodes", "requeued", "dropped"]
    why: str


class DeadLetterEscalated(Fact, subject="dead-letter.{consumer}.escalated"):
    """No automatic retry is left or none makes sense: a person has to look (`ringrift dlq show
    DEAD_SEQ`)."""

    consumer: Token
    stream: str
    seq: Count
    dead_seq: Count
    attempts: Count
    reason: str
