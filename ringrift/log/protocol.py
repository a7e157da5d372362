"""The log as the other packages see it.

A log implements ten operations; everything else follows from them and is written once, here.
`ringrift.log.jetstream` is the log on a JetStream server, `ringrift.tools.memory_log` its twin for
tests and simulators.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from ringrift.events import Draft, draft, encode
from ringrift.events.facts import MessageIdTaken, PromotionAttested, TreeHeadRecorded
from ringrift.events.sealing import Signer, sealed_together
from ringrift.log.entry import Entry
from ringrift.log.errors import IdsTaken, LogUnavailable, PartlyStored
from ringrift.log.readable import Readable
from ringrift.log.recent import Recent
from ringrift.log.span import Progress as Progress
from ringrift.log.topology import WORK
from ringrift.log.work import WorkItem

TESTIMONY = (TreeHeadRecorded, PromotionAttested)
"""what an author says about the log as it was: false once the server has lost its end"""
ID_TRIES_MAX = 100
"""ids of one event, each of which another message has"""
BATCH_EVENTS_MAX = 1000
"""events of one atomic batch; the server's own limit"""
EACH_EVENTS_MAX = 100
"""independent events appended together: a batch costs the disk four syncs, single messages one
each"""


class Expect(Struct, frozen=True):
    """The newest message that matches `subject_filter` (wildcards allowed) must have sequence
    `last_seq`; 0 means that there is none."""

    subject_filter: str
    last_seq: int


class Log(Readable):
    """Durable, ordered, deduplicated streams of messages.

    Operations survive reconnects and a restart of the server within their time limits; they raise
    LogUnavailable afterwards, and StreamMissing for a stream that does not exist."""

    recent: Recent
    """events that this process appended and that the server may still lose"""
    reconnected: asyncio.Event
    """set when the connection was lost and is restored; the reader clears it"""
    reconnects: int = 0
    """how often the connection was restored"""
    servers: Sequence[str] = ()
    """addresses; none for a log without a server"""
    signer: Signer | None = None
    """who signs the events that this process appends"""

    # the core

    @abstractmethod
    async def _append(
        self, stream: str, drafts: Sequence[Draft], bodies: Sequence[bytes], expect: Expect | None
    ) -> list[int]:
        """Do the same as `append`; `bodies` are the encoded drafts. Raises IdsTaken."""

    @abstractmethod
    async def publish(
        self,
        stream: str,
        subject: str,
        body: bytes,
        *,
        id: str | None = None,
        expect_last: int | None = None,
        kept_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Store one message that is no event, such as a key or a ticket; return its sequence.

        `expect_last` is the sequence that the newest message on this subject must have, 0 for none.
        The message expires after `kept_seconds`. Raises ConcurrencyError, PayloadTooLarge,
        QueueFull."""

    @abstractmethod
    async def next_ticket(self, kind: str, *, wait_seconds: float) -> WorkItem | None:
        """Return the oldest free ticket of `kind` with the highest priority (the lowest number), or
        None if there is none within `wait_seconds`."""

    @abstractmethod
    async def close(self) -> None:
        """Send what is buffered and disconnect."""

    # what follows from it

    async def append(
        self, drafts: Sequence[Draft], expect: Expect | None = None, *, republish: bool = False
    ) -> list[int]:
        """Store all of `drafts`, events of one stream, or none; return their sequences.

        Events that are stored already under the same ids are not stored again; their sequences are
        returned. Where another message has the id of an event, the event gets another id, and a
        fact names the message. Events appended without an expectation, or with `republish`, are
        republished should the server lose them, but for `TESTIMONY`; others are decided again by
        their decider.

        Raises ConcurrencyError, PartlyStored, PayloadTooLarge."""
        if not drafts:
            return []
        stream, named, taken = stream_of(drafts), list(drafts), dict[str, Entry]()
        for attempt in range(2, ID_TRIES_MAX + 2):
            bodies = [encode(item) for item in named]
            if self.signer is not None:
                together = self.ring.standing.signs_together(named[0].event)
                parts = [bodies] if together else [[body] for body in bodies]
                bodies = [one for part in parts for one in sealed_together(part, self.signer)]
            try:
                seqs = await self._append(stream, named, bodies, expect)
                break
            except IdsTaken as error:
                taken |= error.taken
                for index, item in enumerate(named):
                    if item.id in error.taken:
                        named[index] = replace(item, id=f"{drafts[index].id}~{attempt}")
        else:
            raise LogUnavailable(f"{stream}: {ID_TRIES_MAX} ids of one event are taken")
        if (expect is None or republish) and not isinstance(drafts[0].event, TESTIMONY):
            self.recent.add(named, seqs, [len(body) for body in bodies])
        if not isinstance(drafts[0].event, MessageIdTaken):
            await self.append_each(
                [_taken(stream, each, drafts[0].source) for each in taken.values()]
            )
        return seqs

    async def append_each(self, drafts: Sequence[Draft]) -> list[int]:
        """Store those of `drafts` that are not stored yet, each for itself; return all sequences.

        Raises PayloadTooLarge."""
        seqs: list[int] = []
        for start in range(0, len(drafts), EACH_EVENTS_MAX):
            part = drafts[start : start + EACH_EVENTS_MAX]
            try:
                seqs += await self.append(part)
            except PartlyStored:
                seqs += [(await self.append([item]))[0] for item in part]
        return seqs

    async def stored(
        self, stream: str, ids: Sequence[str], filters: Sequence[str], since: datetime
    ) -> dict[str, int]:
        """Return the sequences of those of `ids` that were stored after `since` under `filters`,
        without messages that are not the events which their ids promise.

        The server itself deduplicates only within a time window."""
        wanted, found = {_first_id(id): id for id in ids}, dict[str, int]()
        async for batch in self.read(stream, filters=filters, start_time=since):
            for entry in batch:
                id = _first_id(entry.id or "")
                if id in wanted and await self.is_genuine(entry, stream):
                    found[wanted[id]] = entry.seq
        return found

    async def purge(
        self, stream: str, subject: str, *, keep: int = 0, before: int | None = None
    ) -> None:
        """Delete the messages on a subject but the newest `keep`, or those before a sequence, if
        the stream allows it. Raises ServerRefused."""
        which = {"keep": keep} if before is None else {"seq": before}
        await self.call(f"STREAM.PURGE.{stream}", {"filter": subject} | which)

    async def publish_ticket(self, subject: str, body: bytes, ticket: str) -> int:
        """Put a ticket on the work queue, once per id; return its sequence. Raises QueueFull."""
        return await self.publish(WORK, subject, body, id=ticket)

    async def queued(self) -> list[Entry]:
        """Return all tickets on the work queue, oldest first, delivered ones included."""
        found: list[Entry] = []
        seq = 1
        while (entry := await self.get(WORK, seq, under=">")) is not None:
            found.append(entry)
            seq = entry.seq + 1
        return found


def _first_id(id: str) -> str:
    """The id that an event had before `append` found it taken."""
    first, mark, attempt = id.rpartition("~")
    return first if mark and attempt.isdigit() else id


def _taken(stream: str, entry: Entry, source: str) -> Draft:
    fact = MessageIdTaken(stream=stream, seq=entry.seq, id=entry.id or "", subject=entry.subject)
    return draft(fact, cause=f"{stream}/{entry.seq}", source=source)


def stream_of(drafts: Sequence[Draft]) -> str:
    """The stream that one append of these drafts goes to. Raises ValueError for drafts that cannot
    be appended together."""
    streams = {item.kind.stream for item in drafts}
    if len(streams) != 1:
        raise ValueError(f"events of one append must be of one stream; got {sorted(streams)}")
    if len({item.id for item in drafts}) != len(drafts):
        raise ValueError("two events of one append have the same id; give them different keys")
    if len(drafts) > BATCH_EVENTS_MAX:
        raise ValueError(f"one append takes at most {BATCH_EVENTS_MAX} events; got {len(drafts)}")
    return next(iter(streams))
