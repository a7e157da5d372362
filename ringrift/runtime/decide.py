"""Running deciders: rebuild their states from the log, then follow it and publish decisions.

1. Acquire the lease of the role. Deciders without a role may run anywhere; optimistic concurrency
   control resolves conflicts.
2. Load each decider's newest usable snapshot, read its own decisions since then and index them by
   cause.
3. Rebuild: fold the rest of the log, every own decision right after its cause. Events up to the
   last decided cause are folded only.
4. Follow: fold, decide, append the decisions as one atomic batch under the expectation that no
   other instance wrote, and fold them. Write a snapshot every `SNAPSHOT_EVENTS` events.

A crash after the append of step 4 repeats nothing: the next start finds the decision in step 2."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from structlog.contextvars import bind_contextvars

from ringrift.deciders.kit import STEERING, Context, Decider
from ringrift.events import EventMeta, Fact, Recorded, UndecodableEvent, type_of
from ringrift.events.facts import SettingsChanged
from ringrift.log import read
from ringrift.log.entry import Entry
from ringrift.log.errors import ConcurrencyError, LeaseLost, LogRewound, StreamError
from ringrift.log.protocol import Expect, Log
from ringrift.runtime import folds
from ringrift.runtime.folds import Folded
from ringrift.runtime.process import Job, Process

STREAM = "EVENTS"
Skipped = Callable[[EventMeta, str, Exception], None]
"""receives the place of a fact that a decider of this name skipped, and what it raised"""


class DeciderRun:
    """A decider with its state and the settings and pauses in force, after its newest event."""

    def __init__(
        self,
        decider: Decider[Any],
        own: dict[int, list[Recorded]],
        start: Folded | None = None,
        skipped: Skipped = lambda *_: None,
    ) -> None:
        start = start or Folded(0, decider.initial())
        self.decider, self.skipped = decider, skipped
        self.state, self.newest, self.in_force = start.state, start.newest, start.in_force
        self.half_known = ""
        """what it does not know of the settings in force; it folds on, but decides nothing by the
        rest of them"""
        self.skipped_seq = 0
        """sequence of the newest event that it could not fold, or not decide on"""
        self.own = own
        """its decisions by the sequence of their cause, until they are folded"""
        self.start_seq = self.saved_seq = start.seq
        """sequence that it starts after, and that of its newest snapshot"""
        self.decided_to = max(own, default=start.seq)
        self.types = frozenset((*decider.reads, *decider.writes, *STEERING))

    def take(self, event: Fact, meta: EventMeta) -> tuple[Fact, ...]:
        """Fold an event of the log and return the decisions on it, unless it was decided before."""
        if meta.seq <= self.start_seq or type(event) not in self.types or self.is_own(event, meta):
            return ()
        context, self.newest = self.fold(event, meta), meta
        failed = self.skipped_seq == meta.seq
        for decision, its_meta in self.own.pop(meta.seq, ()):
            self.fold(decision, its_meta, meta)
        # all causes up to the last decided one were considered before
        if meta.seq <= self.decided_to or self.half_known or failed:
            return ()
        return self.decider.decide(self.state, event, context, self._failed(meta))

    def fold(self, event: Fact, meta: EventMeta, cause: EventMeta | None = None) -> Context:
        """Fold an event, or a decision right after its cause and at the time of that, since the
        server's time of a decision is not known when it is taken; return the context."""
        if type(event) in STEERING:
            self.in_force = self.in_force.after(event)
        if isinstance(event, SettingsChanged):
            self.half_known = meta.half_known if meta.unknown else ""
        context = Context.of(meta, self.in_force, cause)
        self.state = self.decider.evolve(self.state, event, context, self._failed(meta))
        return context

    def _failed(self, meta: EventMeta) -> Callable[[Exception], None]:
        def failed(error: Exception) -> None:
            self.skipped_seq = meta.seq
            self.skipped(meta, self.decider.name, error)

        return failed

    def is_own(self, event: Fact, meta: EventMeta) -> bool:
        """Whether the event is a decision of this decider, which is folded at its cause rather than
        at its place in the log."""
        return type(event) in self.decider.writes and meta.cause is not None

    def folded(self, seq: int) -> Folded:
        """The state once everything up to `seq` was taken and the decisions on it were folded."""
        return Folded(seq, self.state, self.newest, self.in_force)

    @property
    def fold_hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the state: equal folds have equal hashes."""
        return folds.fold_hash(self.state)


async def own_decisions(
    log: Log, decider: Decider[Any], after: int = 0
) -> dict[int, list[Recorded]]:
    """The decider's decisions on causes after a sequence, by the sequence of their cause."""
    written = [recorded async for recorded in read.facts(log, *decider.writes, after=after)]
    return by_cause(decider, written, after)


def by_cause(
    decider: Decider[Any], events: Iterable[Recorded], after: int = 0
) -> dict[int, list[Recorded]]:
    """The decider's decisions among events, by the sequence of their cause after `after`; each
    once, though it may be stored twice."""
    found: dict[int, list[Recorded]] = {}
    for recorded in events:
        stream, _, seq = (recorded.meta.cause or "").partition("/")
        if type(recorded.event) in decider.writes and stream == STREAM and int(seq) > after:
            same = found.setdefault(int(seq), [])
            if all(item.meta.id != recorded.meta.id for item in same):
                same.append(recorded)
    return found


Deciders = Sequence[Decider[Any]]
Jobs = Callable[[Process, Expect], Mapping[str, Job]]
"""What the holder of a role runs besides deciding, by name; it appends under the expectation."""


async def act(
    process: Process, deciders: Deciders, role: str | None, jobs: Jobs = lambda *_: {}
) -> None:
    """Run `deciders` until the process stops, under the lease of `role` if one is given.

    After a conflict with another writer, or after the server lost events, the states are rebuilt
    from the log."""
    while not process.stopping:
        try:
            if role is None:
                process.doing = "deciding"
                await _act_once(process, deciders, None)
                continue
            async with process.lease(role) as held, process.background(jobs(process, held.expect)):
                await _act_once(process, deciders, held.expect)
        except (ConcurrencyError, LeaseLost, LogRewound) as error:
            process.logger.warning("overtaken", role=role, error=str(error))


async def _act_once(process: Process, deciders: Deciders, fence: Expect | None) -> None:
    log = process.log
    runs = [await _resumed(process, decider) for decider in deciders]
    rebuilt = await log.tail(STREAM)
    starts = {run.decider.name: run.start_seq for run in runs}
    process.logger.info("rebuilding", deciders=starts, to=rebuilt)
    expects = {run.decider.name: fence or await _expect_own(log, run.decider) for run in runs}
    start = min(starts.values())
    process.follows = STREAM, ">"
    _note(process, runs, start)
    usual = process.doing
    async for event, meta in _events(process, start + 1):
        for run in runs:
            decisions = run.take(event, meta)
            if decisions:
                name = run.decider.name
                expects[name] = await _publish(process, run, decisions, meta, expects[name])
        if isinstance(event, SettingsChanged):
            why = next((run.half_known for run in runs if run.half_known), "")
            process.doing = f"not deciding: {why}" if why else usual
        _note(process, runs, meta.seq)
        for run in runs:
            # not while rebuilding, so that the process catches up first
            due = meta.seq >= rebuilt and meta.seq - run.saved_seq >= folds.SNAPSHOT_EVENTS
            # a newer program would take what was not decided for decided
            if due and not run.half_known:
                await _save(process, run, meta.seq)


def _note(process: Process, runs: Sequence[DeciderRun], seq: int) -> None:
    """Give the heartbeat a sequence and the states that belong to it."""
    # a run with a newer snapshot has no state at this sequence
    process.folded(seq, {run.decider.name: run.folded(seq) for run in runs if run.start_seq <= seq})


async def _resumed(process: Process, decider: Decider[Any]) -> DeciderRun:
    """A decider at its newest usable snapshot, with its decisions since then."""
    start = await folds.newest(process.blobs, process.log, decider)
    own = await own_decisions(process.log, decider, start.seq)
    return DeciderRun(decider, own, start, process.unreadable.skipped)


async def _save(process: Process, run: DeciderRun, seq: int) -> None:
    """Write a snapshot. Errors are logged only: a snapshot just saves time."""
    run.saved_seq = seq
    try:
        await folds.save(process.blobs, run.decider, run.folded(seq), process.source)
    except StreamError as error:
        process.logger.warning("snapshot not written", decider=run.decider.name, error=str(error))


async def _publish(
    process: Process, run: DeciderRun, decisions: Sequence[Fact], cause: EventMeta, expect: Expect
) -> Expect:
    """Append the decisions and fold them; the expectation for the next ones."""
    drafts = [
        process.draft(
            fact, cause=cause.position, key=f"{run.decider.name}.{number}", program=folds.program()
        )
        for number, fact in enumerate(decisions)
    ]
    seqs = await process.log.append(drafts, expect)
    for item, seq in zip(drafts, seqs, strict=True):
        fact = type(item.event).__name__
        process.metrics.add("ringrift_decisions_total", fact)
        run.fold(item.event, item.stored(STREAM, seq), cause)
        process.logger.info("decided", fact=fact, id=item.id, seq=seq, cause=item.cause)
    if expect.subject_filter.startswith("ringrift.lease."):
        return expect  # the fencing token stays the newest fact of its subject
    return Expect(expect.subject_filter, seqs[-1])


async def _expect_own(log: Log, decider: Decider[Any]) -> Expect:
    """The expectation that no other instance has written to the decider's subjects."""
    (context,) = {type_of(kind).context for kind in decider.writes}
    subject_filter = f"ringrift.{context}.>"
    last = await log.last(STREAM, subject_filter)
    return Expect(subject_filter, last.seq if last else 0)


async def _events(process: Process, start: int) -> AsyncIterator[Recorded]:
    """Every event from a sequence on, until the process stops; undecodable ones are
    reported."""
    log = process.log
    async for batch in log.read(STREAM, start_seq=start):
        await log.know(STREAM, batch[-1].seq)
        for entry in batch:
            start = entry.seq + 1
            if (recorded := decoded(process, STREAM, entry)) is not None:
                yield recorded
    async for recorded in followed(process, STREAM, start):
        yield recorded


async def followed(
    process: Process, stream: str, start: int, filters: Sequence[str] = (">",)
) -> AsyncIterator[Recorded]:
    """The events of a stream as they are written, from a sequence on, until the process stops;
    undecodable ones are reported. The newest event under the last filter tells how far the process
    lags."""
    process.follows, process.seq = (stream, filters[-1]), start - 1
    entries = process.log.follow_events(stream, filters=filters, start_seq=start)
    async for entry in process.until_stopped(entries):
        # whatever is logged until the next event is asked for was caused by this one
        bind_contextvars(cause=f"{stream}/{entry.seq}")
        if (recorded := decoded(process, stream, entry)) is not None:
            yield recorded
        process.seq = entry.seq  # an undecodable event does not count as lag


def decoded(process: Process, stream: str, entry: Entry) -> Recorded | None:
    """The event of an entry; None, after reporting it, if it is none or does not count."""
    assert stream != STREAM or entry.seq <= process.log.ring.seq, "see `Log.know`"
    try:
        # decoded here, because the error is the reason of the dead letter
        recorded = process.log.ring.event(stream, entry)
        if recorded.meta.unknown:
            process.note_newer(recorded.meta)
        return recorded
    except UndecodableEvent as error:
        process.errors += 1
        process.unreadable.report(entry, stream, str(error))
        return None


def replayed(decider: Decider[Any], events: Sequence[Recorded]) -> DeciderRun:
    """A decider folded over recorded events, its own decisions at their causes; it decides
    nothing."""
    run = DeciderRun(decider, by_cause(decider, events))
    run.decided_to = max((meta.seq for _, meta in events), default=0)
    for event, meta in events:
        run.take(event, meta)
    return run
