"""One running consumer process, as its work sees it: the log, its identity, its controls and its
reports.

`ringrift.runtime.run` starts and stops it; `ringrift.runtime.heartbeat` publishes its state."""

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import nats.errors
import structlog
from msgspec import Struct

from ringrift.events import Draft, EventMeta, Fact, Settings, draft
from ringrift.events.facts import (
    Attempt,
    BlobFetched,
    DeadLetterStored,
    ErrorReported,
    Resource,
    Tier,
)
from ringrift.events.unknown import PROGRAM
from ringrift.log.blobs import Blobs
from ringrift.log.dead_letters import store_dead_letter
from ringrift.log.entry import Entry
from ringrift.log.errors import StreamError
from ringrift.log.leases import Lease, hold
from ringrift.log.presence import Presence
from ringrift.log.protocol import Expect, Log
from ringrift.log.read import settings_in_force
from ringrift.log.retry import PATIENT
from ringrift.runtime.breakers import Breakers, SharedBreakers
from ringrift.runtime.condition import Condition
from ringrift.runtime.controls import Controls
from ringrift.runtime.folds import Folded
from ringrift.runtime.metrics import Metrics
from ringrift.runtime.notify import STOPPING, notify
from ringrift.runtime.unreadable import Unreadable

Item = TypeVar("Item")
Job = Callable[[], Awaitable[None]]
Key = str | int
ERROR_SECONDS = 60.0
"""between two facts about errors of one process"""
ERROR_CHARS_MAX = 1000


class Clock(Struct, frozen=True):
    """Time as a process sees it: `monotonic` measures durations and leases, `wall` counts seconds
    since 1970. Tests and the simulator pass a clock of their own."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def now(self) -> datetime:
        """The wall clock as a datetime in UTC."""
        return datetime.fromtimestamp(self.wall(), UTC)


SYSTEM_CLOCK = Clock()
NEWER_MAX = 100
"""fields of newer programs that a process reports"""


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Drained(Exception):
    """The work in hand must be handed back, because the process stops or its node is needed for
    more urgent work."""


class Process:
    """The consumer `name` on `node`, with its connection."""

    def __init__(self, name: str, node: str, log: Log, clock: Clock = SYSTEM_CLOCK) -> None:
        self.name, self.node, self.log, self.clock = name, node, log, clock
        self.blobs = Blobs(log, self._fetched)
        self.presence = Presence(log, clock.wall)
        self.edge: Log | None = None
        """this node's own server, which accepts games while the link to the voters is down"""
        self.instance = uuid.uuid4().hex[:12]
        self.source = f"{name}@{node}"
        self.logger = structlog.get_logger().bind(consumer=name, node=node)
        self.data = Path(os.environ.get("RINGRIFT_DATA", "."))
        self.doing = "starting"
        self.standing_by = False
        self.errors = 0
        self._error_reported_at: float | None = None
        self.seq = 0
        """position up to which this process has folded the stream that it follows"""
        self.follows: tuple[str, str] | None = None
        """a stream and a subject filter: the newest such message is what it has to reach"""
        self.folds: Mapping[str, Folded] = {}
        """states by name, as they were at `seq`"""
        self.metrics = Metrics(consumer=name, node=node)
        self.condition = Condition()
        self.tiers: dict[Resource, Tier] = {}
        """the pressure on each resource, as measured last"""
        self.unrecorded_tiers: set[Resource] = set()
        """resources whose tier changed and is not in the log yet"""
        self.controls = Controls(log, node, self.logger)
        shared = SharedBreakers(log, clock.wall)
        self.breakers = Breakers(shared, self.append, lambda: self.controls.operation)
        self.newer: set[tuple[str, tuple[str, ...]]] = set()
        """programs with the fields of theirs that this one does not know"""
        self.unreadable = Unreadable(log, self.source, self.logger, clock.wall)
        self.health_address = ""
        self.why_stopped = "ended"
        self._stop = asyncio.Event()

    async def _fetched(self, bucket: str, digest: str, attempts: tuple[Attempt, ...]) -> None:
        """Record that a blob came from another source than its bucket."""
        source = attempts[-1].source
        self.metrics.add("ringrift_blobs_fetched_total", source)
        self.logger.info("blob fetched", bucket=bucket, digest=digest, source=source)
        fact = BlobFetched(node=self.node, bucket=bucket, digest=digest, attempts=attempts)
        await self.append(fact, key=f"{self.instance}.{digest}.{self.clock.wall():.3f}")

    @property
    def stopping(self) -> bool:
        """Whether the process is draining."""
        return self._stop.is_set()

    def stop(self, why: str = "stop requested") -> None:
        """Drain: finish or hand back the work in hand, then exit."""
        if not self._stop.is_set():
            self.why_stopped = why
            notify(STOPPING)
        self._stop.set()

    def check_stop(self) -> None:
        """Report progress on the work in hand. Raises Drained if it must be handed back. Long work
        calls this often, from any thread."""
        self.condition.ticket_progressed(self.clock.monotonic())
        if self.stopping or self.controls.preempted:
            raise Drained

    async def wait_for_stop(self) -> None:
        """Return when the process starts to drain."""
        await self._stop.wait()

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as the process starts to drain."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def until_stopped(self, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
        """Yield the items of an endless iterator until the process starts to drain, even while the
        next one is awaited."""
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            while not stopped.done():
                # on an idle log the next item may take hours, so the stop is awaited as well
                following = asyncio.ensure_future(anext(items))
                await asyncio.wait({stopped, following}, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    yield following.result()
        finally:
            await cancel(stopped, following)

    async def keep_running(self, name: str, job: Job) -> None:
        """Run a job until cancelled; log its failures and start it again. Any other error stops the
        process and is raised."""
        for pause in PATIENT.pauses():
            try:
                await job()
            except (StreamError, TimeoutError, OSError, nats.errors.Error) as error:
                text = str(error) or type(error).__name__
                self.logger.warning("background job failed, restarting", job=name, error=text)
            except Exception:
                self.stop(f"{name} crashed")
                raise
            await asyncio.sleep(pause)

    @contextlib.asynccontextmanager
    async def background(self, jobs: Mapping[str, Job]) -> AsyncIterator[None]:
        """Keep jobs running, by name, until the block ends. Raises what stopped one of them."""
        running = [asyncio.create_task(self.keep_running(name, job)) for name, job in jobs.items()]
        try:
            yield
        finally:
            await cancel(*running)
        for task in running:
            if not task.cancelled():
                task.result()

    def draft(
        self, fact: Fact, *, cause: str | None, key: Key = 0, program: str = PROGRAM
    ) -> Draft:
        """A draft written by this process. Its id is derived from `cause` and `key`, so retries are
        idempotent."""
        now = self.clock.now()
        return draft(fact, cause=cause, source=self.source, time=now, key=key, program=program)

    async def append(
        self, fact: Fact, *, cause: str | None = None, key: Key = 0, expect: Expect | None = None
    ) -> int:
        """Append a fact; its sequence. `key` distinguishes facts of one type and cause, and those
        without a cause from all others. Raises ConcurrencyError, LogUnavailable."""
        (seq,) = await self.log.append([self.draft(fact, cause=cause, key=key)], expect)
        return seq

    async def dead_letter(
        self,
        entry: Entry,
        stream: str,
        deliveries: int,
        reason: str,
        failure_recorded: bool = False,
    ) -> None:
        """Dead-letter an unusable entry. `failure_recorded`: a fact reports its failure already."""
        self.errors += 1
        cause = f"{stream}/{entry.seq}"
        self.logger.error("dead letter", cause=cause, reason=reason)
        fact = DeadLetterStored(
            consumer=self.name,
            stream=stream,
            seq=entry.seq,
            dead_seq=0,
            reason=reason,
            deliveries=deliveries,
            failure_recorded=failure_recorded,
        )
        await store_dead_letter(self.log, entry, fact, self.source)

    async def report_error(self, error: str, cause: str | None = None) -> None:
        """Record an error as a fact, at most one in `ERROR_SECONDS`; the heartbeat counts all."""
        now = self.clock.monotonic()
        if self._error_reported_at is not None and now - self._error_reported_at < ERROR_SECONDS:
            return
        self._error_reported_at = now
        text = error[:ERROR_CHARS_MAX]
        fact = ErrorReported(node=self.node, consumer=self.name, error=text, errors=self.errors)
        await self.append(fact, cause=cause, key=f"{self.source}.{self.instance}.{self.errors}")

    async def settings(self, version: int | None = None) -> tuple[Settings, int]:
        """See `settings_in_force`; settings that are known in part are an error."""
        return await settings_in_force(self.log, version, whole=True)

    @contextlib.asynccontextmanager
    async def lease(self, role: str) -> AsyncIterator[Lease]:
        """Stand by until the lease of `role` is free, and hold it for the length of the block."""
        self.doing, self.standing_by = f"standing by for {role}", True
        holder = f"{self.node}.{self.instance}"
        elections = partial(self.metrics.add, "ringrift_leader_elections_total", role)
        async with hold(
            self.log,
            role,
            holder,
            self.source,
            now=self.clock.monotonic,
            patience=lambda: self.controls.patience(role, self.clock.wall()),
            moved=partial(self.controls.moved, role),
            told=elections,
        ) as lease:
            self.standing_by = False
            name = "ringrift_leader_election_latency_seconds"
            self.metrics.observe(name, lease.election_seconds, role)
            self.logger.info("acting", role=role, token=lease.token)
            self.doing = f"acting as {role}"
            yield lease

    def folded(self, seq: int, folds: Mapping[str, Folded]) -> None:
        """Note the position up to which the log has been folded, and the states there."""
        self.seq, self.folds = seq, folds

    def note_newer(self, meta: EventMeta) -> None:
        """Log which program wrote fields that are unknown here: once for the same fields."""
        found = meta.program, meta.unknown
        if found not in self.newer and len(self.newer) < NEWER_MAX:
            self.newer.add(found)
            self.logger.warning("event known in part", why=meta.half_known)

    @property
    def fold_hashes(self) -> dict[str, str]:
        """Digest of every state, by name."""
        return {name: fold.fold_hash for name, fold in self.folds.items()}
