"""What every consumer process gets without asking: the log, its name, a drain on SIGTERM, a
heartbeat, health and metrics over HTTP, pauses, pressure, breakers, logs, dead letters.

A consumer module says `run("name", main)`; `main` is a coroutine over a `Process`. From any
directory:

    python -m ringrift.consumers.planner --server nats://127.0.0.1:4222 [--node NAME]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import nats.errors
import structlog

import ringrift
from ringrift.deciders.pauses import Pauses
from ringrift.events import Draft, Fact, Recorded, Settings, event_id
from ringrift.events.facts import (
    ConsumerStarted,
    ConsumerStopped,
    LostEventsRepublished,
    NodeAssigned,
    PipelinePaused,
    PipelineResumed,
    SettingsChanged,
)
from ringrift.events.settings import OperationSettings
from ringrift.log import read
from ringrift.log.blobs import Blobs, ObjectBlobs
from ringrift.log.breakers import BreakerBucket
from ringrift.log.errors import LogRewound, StreamError
from ringrift.log.jetstream import JetStreamLog
from ringrift.log.leases import Lease, hold
from ringrift.log.presence import HEARTBEAT_SECONDS, Heartbeat, Presence
from ringrift.log.protocol import Entry, Log
from ringrift.log.retry import PATIENT
from ringrift.log.topology import EVENTS
from ringrift.runtime.breakers import Breakers
from ringrift.runtime.health import Condition, serve_health
from ringrift.runtime.metrics import Metrics
from ringrift.runtime.notify import READY, STOPPING, keep_alive, notify
from ringrift.runtime.pressure import Pressure

CONTROLS = (SettingsChanged, PipelinePaused, PipelineResumed, NodeAssigned)
FAREWELL_SECONDS_MAX = 5.0
"""a server that is gone for good is not told that we leave"""
Item = TypeVar("Item")


class Drained(Exception):
    """The process was told to stop in the middle of its work."""


class Folded(Protocol):
    """Something with a state whose digest is shown in the heartbeat."""

    @property
    def fold_hash(self) -> str:
        """Digest of the state."""


class Process:
    """One running consumer: `name` on `node`, its connection, and whether it has been told to
    stop."""

    def __init__(self, name: str, node: str, log: Log, blobs: Blobs, presence: Presence) -> None:
        self.name, self.node, self.log, self.blobs, self._presence = (
            name,
            node,
            log,
            blobs,
            presence,
        )
        self.edge: Log | None = None
        """this node's own server, which takes games also while the link to the voters is down"""
        self.instance = uuid.uuid4().hex[:12]
        self.source = f"{name}@{node}"
        self.logger = structlog.get_logger().bind(consumer=name, node=node)
        self.doing = "starting"
        self.seq = 0
        self.errors = 0
        self.standing_by = False
        self.clock: Callable[[], float] = time.monotonic
        """by which it knows how long it may believe that it holds a lease"""
        self.data = Path(os.environ.get("RINGRIFT_DATA", "."))
        self.metrics = Metrics(consumer=name, node=node)
        self.condition = Condition()
        self.breakers = Breakers(BreakerBucket(log), self.tell)
        self.pauses = Pauses()
        self.assigned: NodeAssigned | None = None
        self.preempted = False
        """the ticket in hand is to be handed back, for the node was taken for more urgent work"""
        self.operation = OperationSettings()
        self.pressure = Pressure(self)
        self.health_address = ""
        self.why_stopped = "ended"
        self._folds: Mapping[str, Folded] = {}
        self._stop = asyncio.Event()

    @property
    def stopping(self) -> bool:
        """Whether the process has been told to drain."""
        return self._stop.is_set()

    def check_stop(self) -> None:
        """Called often by long work, from any thread: it gets on. Raises Drained once it is to be
        handed back."""
        self.condition.worked(time.monotonic())
        if self.stopping or self.preempted:
            raise Drained

    def may_do(self, kind: str) -> bool:
        """Whether this node takes tickets of a kind: one that nobody assigned anything to takes
        all."""
        return self.assigned is None or kind in self.assigned.kinds

    def stop(self, why: str = "told to stop") -> None:
        """Drain: finish or hand back what is in hand, then leave."""
        if not self._stop.is_set():
            self.why_stopped = why
            notify(STOPPING)
        self._stop.set()

    def draft(self, fact: Fact, *, cause: str | None, key: str | int = 0) -> Draft:
        """A draft written by this consumer; its id follows from `cause` and `key`."""
        return Draft(
            event=fact,
            id=event_id(type(fact), cause, key),
            cause=cause,
            source=self.source,
            time=datetime.now(UTC),
        )

    @contextlib.asynccontextmanager
    async def lease(self, role: str) -> AsyncIterator[Lease]:
        """The lease of `role`, once it is free; released when the block ends."""
        self.doing, self.standing_by = f"standing by for {role}", True
        async with hold(
            self.log, role, f"{self.node}.{self.instance}", self.source, now=self.clock
        ) as lease:
            self.standing_by = False
            self.metrics.observe(
                "ringrift_leader_election_latency_seconds", lease.election_seconds, role
            )
            self.logger.info("acting", role=role, token=lease.token)
            self.doing = f"acting as {role}"
            yield lease

    async def tell(self, fact: Fact, key: str) -> None:
        """Append an observation of this process, one that no event caused; `key` tells it from all
        others."""
        await self.log.append([self.draft(fact, cause=None, key=key)])

    def folded(self, seq: int, folds: Mapping[str, Folded]) -> None:
        """Note how far the log has been folded, for the heartbeat."""
        self.seq, self._folds = seq, folds

    @property
    def fold_hashes(self) -> dict[str, str]:
        """Digest of every state this process folds, by name."""
        return {name: fold.fold_hash for name, fold in self._folds.items()}

    @property
    def decides(self) -> bool:
        """Whether this process folds every event, so that it can be behind."""
        return bool(self._folds)

    async def load_controls(self) -> int:
        """Read the pauses and settings in force; the sequence from which on to follow them."""
        tail = await self.log.tail(EVENTS)
        async for item in read.facts(self.log, *CONTROLS, until=tail):
            self._control(item)
        return tail

    async def follow_controls(self, after: int) -> None:
        """Obey pauses and settings as they come, for ever."""
        while True:
            try:
                async for item in read.follow(self.log, *CONTROLS, after=after):
                    self._control(item)
            except LogRewound:
                after = await self.load_controls()

    async def mend(self) -> None:
        """Whenever the connection comes back: write again what was acknowledged and is gone, and
        say so, for ever."""
        while True:
            await self.log.returned.wait()
            self.log.returned.clear()
            try:
                await self._mend_once()
            except Exception:
                self.log.returned.set()  # another look, when it is begun again
                raise

    async def _mend_once(self) -> None:
        for found in await self.log.ledger.mend(self.log):
            self.logger.error("acknowledged and lost", **msgspec.structs.asdict(found))
            fact = LostEventsRepublished(
                node=self.node, consumer=self.name, **msgspec.structs.asdict(found)
            )
            await self.tell(
                fact, f"{self.instance}.{found.stream}.{found.first_seq}.{time.time_ns()}"
            )

    def _control(self, item: Recorded) -> None:
        event = item.event
        if isinstance(event, SettingsChanged):
            self.operation = event.settings.operation
        elif isinstance(event, NodeAssigned):
            self._assign(event)
        elif isinstance(event, (PipelinePaused, PipelineResumed)):
            self.pauses = self.pauses.after(event)
            self.logger.info(
                type(event).__name__,
                scope=event.scope,
                kind=event.kind,
                why=event.why,
                id=item.meta.id,
            )

    def _assign(self, event: NodeAssigned) -> None:
        if event.node == self.node:
            self.assigned, self.preempted = event, event.preempts
            self.logger.info("assigned", kinds=event.kinds, why=event.why)

    async def settings(self, version: int | None = None) -> tuple[Settings, int]:
        """Settings of a version, by default those in force, and their version; the defaults,
        version 0, before there are any.

        Work that a fact asked for is done under the settings that the fact cites. Raises
        SettingsError for an unknown version."""
        return await read.settings_in_force(self.log, version)

    async def bury(
        self, entry: Entry, *, stream: str, deliveries: int, reason: str, answered: bool = False
    ) -> None:
        """Dead-letter an entry that cannot be used; the consumer goes on. `answered`: a fact tells
        of its failure already."""
        self.errors += 1
        self.logger.error(
            "dead letter",
            stream=stream,
            seq=entry.seq,
            cause=f"{stream}/{entry.seq}",
            reason=reason,
        )
        await self.log.dead_letter(
            body=entry.body,
            subject=entry.subject,
            stream=stream,
            seq=entry.seq,
            consumer=self.name,
            deliveries=deliveries,
            reason=reason,
            source=self.source,
            answered=answered,
        )

    async def until_stopped(self, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
        """The items, until the process is told to stop, even while the next one is awaited."""
        stopped = asyncio.ensure_future(self._stop.wait())
        following: asyncio.Future[Item] | None = None
        try:
            while not stopped.done():
                following = asyncio.ensure_future(anext(items))
                await asyncio.wait({stopped, following}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    return
                try:
                    yield following.result()
                except StopAsyncIteration:
                    return
        finally:
            stopped.cancel()
            if following is not None and not following.done():
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    async def nodes(self) -> set[str]:
        """Nodes with a process that runs."""
        return {beat.node for beat in await self._presence.all()}

    async def wait_for_stop(self) -> None:
        """Return when told to stop."""
        await self._stop.wait()

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`, at once when told to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def persist(self, what: str, follow: Callable[[], Awaitable[None]]) -> None:
        """Keep something followed, for ever: when it fails it is told and begun again."""
        for pause in PATIENT.pauses():
            try:
                await follow()
            except (StreamError, TimeoutError, OSError, nats.errors.Error) as error:
                self.logger.warning(
                    "follows again in a moment", what=what, error=str(error) or type(error).__name__
                )
            await asyncio.sleep(pause)

    async def beat(self) -> None:
        """Tell the cluster every `HEARTBEAT_SECONDS` that and where this process is, until
        cancelled."""
        while True:
            try:
                await self.pressure.look()
                await self.beat_once()
                tail = await self.log.tail(EVENTS)
                self.condition.saw(self.seq if self.decides else None, tail, time.monotonic())
            except (StreamError, TimeoutError, nats.errors.Error) as error:
                self.logger.warning("heartbeat not written", error=str(error))
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def beat_once(self, *, left: bool = False) -> None:
        """Write one heartbeat; the last one says that the process has `left`."""
        await self._presence.beat(
            Heartbeat(
                consumer=self.name,
                node=self.node,
                instance=self.instance,
                pid=os.getpid(),
                doing=self.doing,
                seq=self.seq,
                errors=self.errors,
                folds=self.fold_hashes,
                left=left,
                health=self.health_address,
                tier=self.pressure.worst[1],
            )
        )


Main = Callable[[Process], Awaitable[None]]


def run(name: str, main: Main, arguments: Sequence[str] | None = None) -> None:
    """Run a consumer as this process until SIGTERM or SIGINT; exits with 1 and one line if it
    cannot."""
    parser = argparse.ArgumentParser(prog=f"python -m ringrift.consumers.{name}")
    parser.add_argument(
        "--server",
        default=os.environ.get("RINGRIFT_SERVER", "nats://127.0.0.1:4222"),
        help="URL of a NATS server",
    )
    parser.add_argument(
        "--node",
        default=os.environ.get("RINGRIFT_NODE", node_name()),
        help="name of this machine in facts",
    )
    options = parser.parse_args(arguments)
    configure_logs()
    try:
        asyncio.run(_live(name, options.node, options.server, main))
    except StreamError as error:
        sys.exit(f"{name}: {error}")


async def _live(name: str, node: str, server: str, main: Main) -> None:
    log = await JetStreamLog.open(server, name=f"{name}@{node}")
    process = Process(name, node, log, ObjectBlobs(log), Presence(log))
    edge = os.environ.get("RINGRIFT_EDGE")
    process.edge = edge_log = await JetStreamLog.open(edge, name=f"{name}@{node}") if edge else None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop)
    try:
        health_server, process.health_address = await serve_health(process)
    except OSError as error:
        await log.close()
        raise StreamError(str(error)) from error
    watchdog = keep_alive(lambda: process.condition.alive(time.monotonic()))
    background = [asyncio.create_task(process.beat()), asyncio.create_task(watchdog)]
    started = ConsumerStarted(
        node=node, consumer=name, instance=process.instance, version=ringrift.__version__
    )
    await log.append([process.draft(started, cause=None, key=process.instance)])
    why = "failed"
    try:
        start = await process.load_controls()
        background.append(
            asyncio.create_task(process.persist("controls", lambda: process.follow_controls(start)))
        )
        background.append(asyncio.create_task(process.persist("acknowledged", process.mend)))
        notify(READY)
        await _until_done(process, main)
        why = process.why_stopped
    finally:
        health_server.close()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        stopped = ConsumerStopped(node=node, consumer=name, instance=process.instance, why=why)
        with contextlib.suppress(
            StreamError, TimeoutError, nats.errors.Error
        ):  # a server that is gone cannot be told
            async with asyncio.timeout(FAREWELL_SECONDS_MAX):
                await log.append([process.draft(stopped, cause=None, key=process.instance)])
                await process.beat_once(left=True)
        for each in (log, edge_log):
            if each is not None:
                await each.close()


async def _until_done(process: Process, main: Main) -> None:
    """Run `main` to its end; one that only stands by when told to stop has nothing to finish."""
    running = asyncio.ensure_future(main(process))
    stopped = asyncio.ensure_future(process.wait_for_stop())
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if process.stopping and process.standing_by:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return
    await running


def node_name() -> str:
    """This machine's name as a subject token."""
    return re.sub(r"[^a-z0-9_-]", "-", socket.gethostname().lower())[:64] or "node"


def threads() -> int:
    """Threads this process may use: `RINGRIFT_THREADS`, by default one for every core it may run
    on."""
    given = os.environ.get("RINGRIFT_THREADS")
    if given is None:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if not given.isdigit() or int(given) < 1:
        sys.exit(f"RINGRIFT_THREADS={given!r}: give a number of threads, at least 1")
    return int(given)


def configure_logs() -> None:
    """Structured logs on standard error: for people, or JSON lines with `RINGRIFT_LOG=json`."""
    chosen = os.environ.get("RINGRIFT_LOG", "console")
    renderers: list[Any]
    if chosen == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    elif chosen == "console":
        renderers = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    else:
        sys.exit(f"RINGRIFT_LOG={chosen!r}: give console or json")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
