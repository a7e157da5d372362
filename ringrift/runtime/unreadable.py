"""Messages that cannot be read, or that a decider cannot use: one dead letter each for all readers,
stored in the background and at a bounded rate.

Every reader of a stream meets the same messages. The name of the letter does not depend on the
reader, so the first one stores it. Which messages are stored depends on the messages alone, so that
all readers choose the same: a flood of garbage neither delays decisions nor displaces other letters
in `DEAD`. The rest is counted, in one fact for each minute."""

import asyncio
import traceback
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from msgspec import Struct

from ringrift.events import Draft, EventMeta, draft, type_of
from ringrift.events.facts import DeadLettersOmitted, DeadLetterStored, FactSkipped
from ringrift.log.dead_letters import READER, REASON_CHARS_MAX, store_dead_letter
from ringrift.log.entry import Entry, matches
from ringrift.log.errors import StreamError
from ringrift.log.protocol import Log
from ringrift.log.retry import PATIENT
from ringrift.log.topology import EVENTS
from ringrift.runtime.processes import ABOUT_ITSELF

LETTERS_PER_MINUTE = 10
LETTERS_PER_SOURCE = 20
"""of one kind of subject in an hour"""
COUNTERS_MAX = 10_000
MINUTE_NS = 60 * 10**9
OWN = [type_of(kind).subject_filter for kind in ABOUT_ITSELF if type_of(kind).scope == "node"]
"""where the servers of a cluster with keys let a node write under its own name only"""
Job = Callable[[], Awaitable[None]]


class Omitted(Struct):
    """Messages of one minute without a letter."""

    first_seq: int
    last_seq: int
    messages: int = 0


class Unreadable:
    """The messages that one process could not read, until they are reported."""

    def __init__(self, log: Log, source: str, logger: Any, now: Callable[[], float]) -> None:
        self._log, self._source, self._logger, self._now = log, source, logger, now
        self._waiting: deque[Job] = deque()
        self._omitted: dict[tuple[str, int], Omitted] = {}
        self._chosen: Counter[tuple[str, ...]] = Counter()
        self._task: asyncio.Task[None] | None = None

    def report(self, entry: Entry, stream: str, reason: str) -> None:
        """Have a dead letter stored for a message, or the message counted. Returns at once."""
        if any(matches(one, entry.subject) for one in OWN):
            reason += f"; only node {entry.subject.split('.')[2]}, or a person, may write there"
        record = partial(self._bury, entry, stream, reason)
        self._report(stream, entry.seq, entry.subject, entry.stamp_ns // MINUTE_NS, record)

    def skipped(self, meta: EventMeta, decider: str, error: Exception) -> None:
        """Have a dead letter stored for a fact that a decider skipped, with the traceback as its
        reason, and the skip recorded. Returns at once."""
        fact = FactSkipped(
            decider=decider,
            stream=meta.stream,
            seq=meta.seq,
            error=f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX],
        )
        reason = "".join(traceback.format_exception(error))[-REASON_CHARS_MAX:]

        async def record() -> None:
            entry = await self._log.get(meta.stream, meta.seq)
            if entry is not None:
                await self._bury(entry, meta.stream, reason, failure_recorded=True)
            item = draft(fact, cause=meta.position, source=self._source, key=decider)
            await append_once(self._log, item, meta.time)

        self._report(meta.stream, meta.seq, meta.subject, int(meta.time.timestamp()) // 60, record)

    def _report(self, stream: str, seq: int, subject: str, minute: int, record: Job) -> None:
        if self._is_chosen(stream, subject, minute):
            self._waiting.append(record)
        else:
            omitted = self._omitted.setdefault((stream, minute), Omitted(seq, seq))
            omitted.last_seq, omitted.messages = seq, omitted.messages + 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._record())

    async def _bury(
        self, entry: Entry, stream: str, reason: str, *, failure_recorded: bool = False
    ) -> None:
        self._logger.error("dead letter", cause=f"{stream}/{entry.seq}", reason=reason)
        fact = DeadLetterStored(
            consumer=READER,
            stream=stream,
            seq=entry.seq,
            dead_seq=0,
            reason=reason,
            deliveries=1,
            failure_recorded=failure_recorded,
        )
        await store_dead_letter(self._log, entry, fact, self._source)

    def _is_chosen(self, stream: str, subject: str, minute: int) -> bool:
        """Whether a message of a minute gets a letter; if so, it is counted."""
        kind = ".".join(subject.split(".")[:2])
        by_minute, by_source = (stream, str(minute)), (stream, kind, str(minute // 60))
        if self._chosen[by_minute] >= LETTERS_PER_MINUTE:
            return False
        if self._chosen[by_source] >= LETTERS_PER_SOURCE:
            return False
        self._chosen.update((by_minute, by_source))
        while len(self._chosen) > COUNTERS_MAX:
            del self._chosen[next(iter(self._chosen))]
        return True

    async def _record(self) -> None:
        """Store what waits, however long the log is unavailable."""
        for pause in PATIENT.pauses():
            try:
                while self._waiting:
                    await self._waiting[0]()
                    self._waiting.popleft()
                if not self._omitted:
                    return
                await self._record_omitted(*next(iter(self._omitted)))
            except StreamError as error:
                self._logger.warning("dead letter not stored yet", error=str(error))
                await asyncio.sleep(pause)

    async def _record_omitted(self, stream: str, minute: int) -> None:
        """Record the omitted messages of a minute once it is over."""
        await asyncio.sleep(max(0.0, (minute + 1) * 60 - self._now()))
        omitted = self._omitted[stream, minute]
        fact = DeadLettersOmitted(
            stream=stream,
            first_seq=omitted.first_seq,
            last_seq=omitted.last_seq,
            messages=omitted.messages,
        )
        item = draft(fact, cause=None, source=self._source, key=f"{stream}.{minute}")
        await append_once(self._log, item, datetime.fromtimestamp(minute * 60, UTC))
        del self._omitted[stream, minute]


async def append_once(log: Log, item: Draft, since: datetime) -> None:
    """Append an event unless it was stored since then, even if the server has forgotten its id."""
    if not await log.stored(EVENTS, [item.id], [item.subject], since):
        await log.append([item])
