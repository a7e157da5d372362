"""Verification of streams: every message is there, once, and can be read."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator
from functools import partial

from ringrift.consumers.verification.report import Level, Problem
from ringrift.events import Recorded, UndecodableEvent, UnknownEvent
from ringrift.events.facts import TreeHeadRecorded
from ringrift.log.entry import Entry
from ringrift.log.errors import StreamError, StreamMissing
from ringrift.log.holdings import Held, blank, confirmed, holdings
from ringrift.log.marks import REMEDY, Mark
from ringrift.log.protocol import Log
from ringrift.log.session import Session, SessionLost, session
from ringrift.log.span import Progress, Span
from ringrift.log.topology import EVENTS, GAMES, MODEL_BUCKET, SHARD_BUCKET, STREAMS, WORK
from ringrift.log.wire import Wire
from ringrift.trust.heads import ABSENT, HeadCheck, leaf_of

HOLES_SHOWN_MAX = 100
COPIED = (GAMES, EVENTS, f"OBJ_{MODEL_BUCKET}", f"OBJ_{SHARD_BUCKET}")
TRIES_PER_COPY = 10
"""readers opened to meet each copy; one of three is missed by thirty in a row once in 190,000"""
COPY_REMEDY = "the monitor repairs it with the login `repairer`, else `ringrift cluster repair`"


class Reading:
    """Reads a stream once, in parts, and notes what is missing or cannot be decoded."""

    def __init__(self, log: Log, stream: str, mark: Mark) -> None:
        self.log, self.stream = log, stream
        self.seq = 0
        """The last sequence read."""
        self.count = 0
        """Messages read."""
        self.problems: list[Problem] = []
        self.heads = HeadCheck()
        self._digest = hashlib.sha256()
        self._mark, self._marked = mark, mark.verified.get(stream)
        self._holes = 0

    @property
    def digest(self) -> str:
        """Digest of the sequences, ids and times of the events read."""
        return self._digest.hexdigest()[:16]

    async def read(self, until: int, progress: Progress | None) -> AsyncIterator[list[Recorded]]:
        """Yield the events after the last one read, in batches."""
        span = Span(start_seq=self.seq + 1, until_seq=until, progress=progress)
        async for batch in self.log.read(self.stream, **span):
            await self.log.know(self.stream, batch[-1].seq)
            yield [item for entry in batch if (item := self._read(entry)) is not None]
        if until > self.seq:
            self._missing(self.seq + 1, until)
            self._absent(until)
            self.seq = until

    def _read(self, entry: Entry) -> Recorded | None:
        """Note a message, and return the event in it."""
        self._next(entry.seq)
        found = None
        try:
            found = self.log.ring.event(self.stream, entry)
            id, authored = found.meta.id, found.meta.authored.isoformat()
            self._digest.update(f"{entry.seq} {id} {authored}\n".encode())
        except UndecodableEvent as error:
            self._refuse(entry.seq, error)
        if self.stream == EVENTS:
            self._grow(entry, found)
        return found

    def _grow(self, entry: Entry, found: Recorded | None) -> None:
        """Compare a tree head with the messages before it, and give the tree its own leaf."""
        event = found.event if found and entry.seq > self._mark.accepted else None
        if isinstance(event, TreeHeadRecorded):
            for text in self.heads.compare(event, f"{EVENTS}/{entry.seq}"):
                self._fail(f"{text}; {REMEDY}")
        self.heads.take(leaf_of(entry))

    def _next(self, seq: int) -> None:
        """Note that a sequence was read, and compare with the mark that was passed."""
        if seq > self.seq + 1:
            self._missing(self.seq + 1, seq - 1)
            self._absent(seq - 1)
        if self._marked and self.seq <= self._marked[0] < seq:
            self._compare(*self._marked)
        self.seq = seq
        self.count += 1

    def _compare(self, seq: int, digest: str) -> None:
        self._marked = None
        if self.digest != digest:
            text = f"{self.stream}/1..{seq} are not the messages that were verified before"
            self._fail(f"{text}: some were replaced; {REMEDY}")

    def end(self) -> Iterator[Problem]:
        """Yield the problems since the last call."""
        if self._marked and self._marked[0] == self.seq:
            self._compare(*self._marked)
        yield from self.problems
        self.problems.clear()

    def _fail(self, text: str) -> None:
        self.problems.append(Problem("stream", self.stream, "fail", text))

    def _missing(self, first: int, last: int) -> None:
        self._holes += 1
        if self._holes <= HOLES_SHOWN_MAX:
            which = f"{self.stream}/{first}" if first == last else f"{self.stream}/{first}..{last}"
            lost = "1 message is" if first == last else f"{last - first + 1:,} messages are"
            text = f"{which}: {lost} missing; {REMEDY}"
            self._fail(text)

    def _absent(self, last: int) -> None:
        """Give the tree the leaves of sequences without a message."""
        for _ in range(last - self.seq if self.stream == EVENTS else 0):
            self.heads.take(ABSENT)

    def _refuse(self, seq: int, error: UndecodableEvent) -> None:
        # a newer program may know the event
        level: Level = "warn" if isinstance(error, UnknownEvent) else "fail"
        self._digest.update(f"{seq}\n".encode())
        text = f"cannot be decoded: {error}"
        self.problems.append(Problem("message", f"{self.stream}/{seq}", level, text))


async def claims_of_server(log: Log) -> AsyncIterator[Problem]:
    """Yield the streams of which fewer messages can be read than the server claims to have, and
    those that do not exist."""
    for config in STREAMS:
        try:
            before = await _state(log, config.name)
            count = await _count(log, config.name)
            after = await _state(log, config.name)
        except StreamError as error:
            yield Problem("stream", config.name, "fail", str(error))
            continue
        # streams in use change meanwhile; these are compared another time
        if before == after and count != after["messages"]:
            text = f"the server claims {after['messages']:,} messages, {count:,} can be read"
            yield Problem("stream", config.name, "fail", text)


async def differing_copies(log: Log) -> AsyncIterator[Problem]:
    """Yield the copies of games, events and blobs in a cluster that hold less than others: a server
    neither notices nor repairs damage in a block of its copy, and may lead."""
    for stream in COPIED:
        try:
            info = await log.call(f"STREAM.INFO.{stream}")
        except StreamMissing:
            continue  # `claims_of_server` reports it
        cluster, end = info.get("cluster", {}), info["state"]["last_seq"]
        copies = [copy["name"] for copy in cluster.get("replicas", ())]
        dial = partial(Wire.open, log.servers)
        voters = {str(cluster.get("leader")), *copies}
        counts: dict[str, int] = {}
        for _ in range(TRIES_PER_COPY * len(voters)):
            if len(voters) < 2 or counts.keys() >= voters:
                break
            with contextlib.suppress(SessionLost):  # a reader is put on a copy at random
                async with session(dial, stream, (), 1, True) as reader:
                    if reader.server not in counts:
                        counts[reader.server] = await _held(reader, end)
        if len(voters) > 1 and (unread := sorted(voters - counts.keys())):
            text = f"no copy could be read on voter {', '.join(unread)}"
            yield Problem("stream", stream, "warn", text)
        state, before = (await log.call(f"STREAM.INFO.{stream}"))["state"], info["state"]
        # else messages were deleted meanwhile: compared another time
        if all(state.get(name) == before.get(name) for name in ("first_seq", "num_deleted")):
            most = max(counts.values(), default=0)
            for voter in sorted(name for name, count in counts.items() if count < most):
                text = f"the copy on voter {voter} holds {counts[voter]:,} of {most:,} messages"
                yield Problem("stream", stream, "fail", f"{text}; {COPY_REMEDY}")


async def damaged_copies(log: Log) -> AsyncIterator[Problem]:
    """Yield the copies that hold less than others as the servers themselves say, and the servers
    that hold nothing; nothing if there is no login to ask them with."""
    held = await holdings(log.servers) if log.servers else None
    if held is None:
        return
    if text := blank(held):
        yield Problem("stream", EVENTS, "fail", text)
    for damage in await confirmed(lambda: _asked(log)):
        level: Level = "warn" if damage.idle else "fail"  # that voter may be starting
        yield Problem("stream", damage.stream, level, f"{damage}; {COPY_REMEDY}")


async def _asked(log: Log) -> list[Held]:
    return await holdings(log.servers) or []


async def _held(reader: Session, end: int) -> int:
    """Messages up to a sequence that the reader's server has."""
    count = 0
    while messages := await reader.receive():  # none are left after a heartbeat
        count += sum(int(words[1]) <= end for words, *_ in messages)
        if int(messages[-1][0][1]) >= end:
            break
    return count


async def _count(log: Log, stream: str) -> int:
    if stream == WORK:  # a work queue is no log: it is read ticket by ticket
        return len(await log.queued())
    return sum([len(batch) async for batch in log.read(stream, headers_only=True, archived=False)])


async def _state(log: Log, stream: str) -> dict[str, int]:
    state = (await log.call(f"STREAM.INFO.{stream}"))["state"]
    return {name: int(state.get(name, 0)) for name in ("messages", "last_seq")}
