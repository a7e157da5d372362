"""Giving deciders life: rebuild from the log, then follow it and publish what they decide.

1. Become the one that acts for the role (deciders without a role may run anywhere; the log lets one
   win).
2. Take each decider's newest usable snapshot, read its own decisions since then and index them by
   cause.
3. Rebuild: fold the rest of the log, every own decision right after its cause. Events up to the
   last decided cause are folded only.
4. Go on: fold, decide, append the decisions as one atomic batch under the expectation that nobody
   else wrote, fold them. Every
   `SNAPSHOT_EVENTS` events write a snapshot.

A crash between 4's append and anything after it repeats nothing: the next start finds the decision
in step 2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ringrift.deciders.kit import Decider
from ringrift.events import EventMeta, Fact, Recorded, UndecodableEvent, decode, type_of
from ringrift.log.errors import ConcurrencyError, LeaseLost, LogRewound, StreamError
from ringrift.log.protocol import Entry, Expect, Log
from ringrift.runtime import folds
from ringrift.runtime.folds import Folded
from ringrift.runtime.process import Process

STREAM = "EVENTS"


class DeciderRun:
    """One decider with its state, as it was right after the newest event it has folded."""

    def __init__(
        self, decider: Decider[Any], own: dict[int, list[Recorded]], start: Folded | None = None
    ) -> None:
        start = start or Folded(0, decider.initial())
        self.decider = decider
        self.state, self.newest = start.state, start.newest
        self.own = own
        self.start_seq = self.saved_seq = start.seq
        """sequences that it starts after, and of its newest snapshot"""
        self.decided_to = max(own, default=start.seq)
        self.types = frozenset((*decider.reads, *decider.writes))

    def take(self, event: Fact, meta: EventMeta) -> tuple[Fact, ...]:
        """Fold an event of the log and, if it was not decided on before, decide."""
        if meta.seq <= self.start_seq or type(event) not in self.types or self.is_own(event, meta):
            return ()
        self.state, self.newest = self.decider.evolve(self.state, event, meta), meta
        for decision, its_meta in self.own.pop(meta.seq, ()):
            self.state = self.decider.evolve(self.state, decision, its_meta)
        return self.decider.decide(self.state, event, meta) if meta.seq > self.decided_to else ()

    def adopt(self, decision: Fact, meta: EventMeta) -> None:
        """Fold a decision that was just written."""
        self.state = self.decider.evolve(self.state, decision, meta)

    def is_own(self, event: Fact, meta: EventMeta) -> bool:
        """Whether the event is a decision of this decider, folded at its cause and not where it
        lies in the log."""
        return type(event) in self.decider.writes and meta.cause is not None

    def folded(self, seq: int) -> Folded:
        """The state now that everything up to `seq` has been taken and its decisions adopted."""
        return Folded(seq, self.state, self.newest)

    @property
    def fold_hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the state: equal folds, equal hashes."""
        return folds.fold_hash(self.state)


async def own_decisions(
    log: Log, decider: Decider[Any], after: int = 0
) -> dict[int, list[Recorded]]:
    """The decider's decisions on causes after a sequence, by the sequence of their cause."""
    filters = [type_of(kind).subject_filter for kind in decider.writes]
    found: dict[int, list[Recorded]] = {}
    async for batch in log.read(STREAM, filters=filters, start_seq=after + 1):
        for entry in batch:
            try:
                recorded = decode(entry.body, stream=STREAM, seq=entry.seq)
            except UndecodableEvent:
                continue  # met again, and dead-lettered, when the log is folded
            cause = recorded.meta.cause
            if (
                cause is not None
                and cause.startswith(f"{STREAM}/")
                and (seq := int(cause.partition("/")[2])) > after
            ):
                found.setdefault(seq, []).append(recorded)
    return found


Beside = Callable[[Process, Expect], Awaitable[None]]
"""What the holder of a role does besides deciding, until it stops acting. What it writes, it writes
under the expectation."""


async def act(
    process: Process,
    deciders: Sequence[Decider[Any]],
    role: str | None,
    *,
    beside: Beside | None = None,
) -> None:
    """Run `deciders` until the process is told to stop; under the lease of `role` if one is given.

    A decision that meets another writer's is given up, and all is rebuilt from the log, as it is
    when the server lost some."""
    while not process.stopping:
        try:
            if role is None:
                process.doing = "deciding"
                await _act_once(process, deciders, role, None)
            else:
                async with process.lease(role) as lease:
                    await _with(
                        beside,
                        process,
                        lease.expect,
                        _act_once(process, deciders, role, lease.expect),
                    )
        except (ConcurrencyError, LeaseLost, LogRewound) as error:
            process.logger.warning("overtaken", role=role, error=str(error))


async def _with(
    beside: Beside | None, process: Process, fence: Expect, acting: Coroutine[Any, Any, None]
) -> None:
    """Act, with what is done beside it; the end or failure of one ends the other."""
    if beside is None:
        await acting
        return
    tasks = [asyncio.ensure_future(acting), asyncio.ensure_future(beside(process, fence))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _act_once(
    process: Process, deciders: Sequence[Decider[Any]], role: str | None, fence: Expect | None
) -> None:
    log = process.log
    runs = [await _resumed(process, decider) for decider in deciders]
    rebuilt = await log.tail(STREAM)
    process.logger.info(
        "rebuilding", deciders={run.decider.name: run.start_seq for run in runs}, to=rebuilt
    )
    expects = {run.decider.name: fence or await _expect_own(log, run.decider) for run in runs}
    start = min(run.start_seq for run in runs)
    _note(process, runs, start)
    async for event, meta in _events(process, start + 1):
        for run in runs:
            decisions = run.take(event, meta)
            if decisions:
                await _publish(process, run, decisions, meta, expects)
        _note(process, runs, meta.seq)
        for run in runs:
            if meta.seq >= rebuilt and meta.seq - run.saved_seq >= folds.SNAPSHOT_EVENTS:
                await _save(process, run, meta.seq)


def _note(process: Process, runs: Sequence[DeciderRun], seq: int) -> None:
    """Let the heartbeat tell sequence and states that belong together, whenever it comes."""
    process.folded(seq, {run.decider.name: run.folded(seq) for run in runs if run.start_seq <= seq})


async def _resumed(process: Process, decider: Decider[Any]) -> DeciderRun:
    """A decider at its newest usable snapshot, with what it has decided since."""
    start = await folds.newest(process.blobs, process.log, decider)
    return DeciderRun(decider, await own_decisions(process.log, decider, start.seq), start)


async def _save(process: Process, run: DeciderRun, seq: int) -> None:
    """Write a snapshot. If that fails the fold goes on: a snapshot only saves time."""
    run.saved_seq = seq
    try:
        await folds.save(process.blobs, run.decider, run.folded(seq))
    except StreamError as error:
        process.logger.warning("snapshot not written", decider=run.decider.name, error=str(error))


async def _publish(
    process: Process,
    run: DeciderRun,
    decisions: tuple[Fact, ...],
    cause: EventMeta,
    expects: dict[str, Expect],
) -> None:
    drafts = [
        process.draft(fact, cause=cause.position, key=f"{run.decider.name}.{i}")
        for i, fact in enumerate(decisions)
    ]
    expect = expects[run.decider.name]
    seqs = await process.log.append(drafts, expect)
    if not expect.subject_filter.startswith("ringrift.lease."):
        expects[run.decider.name] = Expect(expect.subject_filter, seqs[-1])
    for item, seq in zip(drafts, seqs, strict=True):
        process.metrics.add("ringrift_decisions_total", type(item.event).__name__)
        run.adopt(
            item.event,
            EventMeta(STREAM, seq, item.subject, item.id, item.source, item.time, item.cause),
        )
        process.logger.info(
            "decided", fact=type(item.event).__name__, id=item.id, seq=seq, cause=item.cause
        )


async def _expect_own(log: Log, decider: Decider[Any]) -> Expect:
    """Nobody else may have written to the decider's own context since it last looked."""
    (context,) = {type_of(kind).context for kind in decider.writes}
    subject_filter = f"ringrift.{context}.>"
    last = await log.last(STREAM, subject_filter)
    return Expect(subject_filter, last.seq if last else 0)


async def _events(process: Process, start: int) -> AsyncIterator[Recorded]:
    """Every event from a sequence on, for ever; what cannot be decoded is dead-lettered once."""
    log = process.log
    async for batch in log.read(STREAM, start_seq=start):
        for entry in batch:
            start = entry.seq + 1
            if (recorded := await decoded(process, STREAM, entry)) is not None:
                yield recorded
    async for entry in process.until_stopped(log.follow(STREAM, start_seq=start)):
        if (recorded := await decoded(process, STREAM, entry)) is not None:
            yield recorded
        process.seq = entry.seq  # what could not be read is not waited for either


async def decoded(process: Process, stream: str, entry: Entry) -> Recorded | None:
    """The event of an entry; None, after a dead letter, if the bytes are none."""
    try:
        return decode(entry.body, stream=stream, seq=entry.seq)
    except UndecodableEvent as error:
        await process.bury(entry, stream=stream, deliveries=1, reason=str(error))
        return None


def replayed(decider: Decider[Any], events: Sequence[Recorded]) -> DeciderRun:
    """A decider folded over recorded events, its own decisions at their causes; nothing is decided
    anew."""
    own: dict[int, list[Recorded]] = {}
    for event, meta in events:
        if type(event) in decider.writes and meta.cause is not None:
            own.setdefault(int(meta.cause.partition("/")[2]), []).append(Recorded(event, meta))
    run = DeciderRun(decider, own)
    run.decided_to = max((meta.seq for _, meta in events), default=0)
    for event, meta in events:
        run.take(event, meta)
    return run
