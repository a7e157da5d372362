"""Verification of the whole log: streams, messages, decisions, folds, games, scores, shards, blobs.

`EVENTS` is read before `GAMES`, since games are stored before the facts about them; games of later
requests wait. A `Verification` may be advanced as the log grows, and then compares only what is
new."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from ringrift.consumers.verification import stores, streams
from ringrift.consumers.verification.decisions import Audit, claims_of
from ringrift.consumers.verification.games import GameLedger, replayed
from ringrift.consumers.verification.history import History
from ringrift.consumers.verification.report import Kind, Problem, VerifyReport
from ringrift.consumers.verification.streams import Reading
from ringrift.events import Recorded, facts
from ringrift.log import marks, read
from ringrift.log.blobs import Blobs
from ringrift.log.errors import Forbidden, LogUnavailable
from ringrift.log.marks import Mark
from ringrift.log.presence import Presence
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS, GAMES, STREAMS
from ringrift.runtime.authorship import deciders
from ringrift.runtime.folds import code_version

GAMES_AT_ONCE = 64
"""Games that are replayed between two pauses."""
Pace = Callable[[], Awaitable[None]]
"""Awaited after each part of the work; it may wait."""


async def at_once() -> None:
    """Go on after other tasks."""
    await asyncio.sleep(0)


class Verification:
    """What was verified, and the problems found."""

    def __init__(self, log: Log, presence: Presence, mark: Mark, pace: Pace = at_once) -> None:
        self.log, self.presence, self.pace = log, presence, pace
        self.problems: list[Problem] = []
        self.checked: Counter[Kind] = Counter()
        self.history = History()
        self.ledger = GameLedger(self.history)
        self.audits = [Audit(decider) for decider in deciders().values()]
        self.events, self.games = (Reading(log, stream, mark) for stream in (EVENTS, GAMES))
        self._learned, self._accepted = 0, mark.accepted

    async def advance(self, until: int | None = None, progress: Progress | None = None) -> None:
        """Verify the events and games that are new, up to a sequence of `EVENTS`."""
        tail = await self.log.tail(EVENTS)
        until = tail if until is None else min(until, tail)
        await self._expect_folds()
        # after the heartbeats: what a process had decided by then is in the log
        decided = await self.log.tail(EVENTS)
        written = read.facts(self.log, *_decisions(), after=self._learned, until=decided)
        found = [item async for item in written]
        self._learned = decided
        for audit in self.audits:
            audit.learn(found)
        async for batch in self.events.read(until, progress):
            for recorded in batch:
                self.problems += self.history.take(*recorded)
                for audit in self.audits:
                    self.problems += self._audited(audit, recorded)
            await self.pace()
        for audit in self.audits:
            self.problems += audit.end(until)
        self.problems += self.events.end()
        await self._read_games(progress)
        await self._make_shards()
        self.problems += await self._named_in_vain()

    def _audited(self, audit: Audit, recorded: Recorded) -> Iterable[Problem]:
        try:
            return list(audit.audit(*recorded))
        except Exception as error:  # noqa: BLE001  the other events are verified
            text = f"{recorded.meta.position} raises {type(error).__name__}: {error}"
            return [Problem("decision", audit.decider.name, "fail", text)]

    async def _expect_folds(self) -> None:
        """Read the folds that heartbeats and snapshots report."""
        blobs, beats = Blobs(self.log), await self.presence.all()
        for audit in self.audits:
            claims = await claims_of(blobs, audit.decider.name, beats)
            audit.expect(claims, self.events.seq)
        for name in sorted({name for beat in beats for name in beat.folds} - deciders().keys()):
            text = "a consumer folds this decider, which this build does not have"
            self.problems.append(Problem("fold", name, "warn", text))
        for beat in beats:
            if beat.code not in ("", code_version()):
                text = f"folds with other deciders ({beat.code}), not compared"
                name = f"{beat.consumer} {beat.instance} on {beat.node}"
                self.problems.append(Problem("fold", name, "warn", text))

    async def _read_games(self, progress: Progress | None) -> None:
        tail = await self.log.tail(GAMES)
        self.problems += self.ledger.resume()
        async for batch in self.games.read(tail, progress):
            completed: list[Recorded[facts.GameCompleted]] = []
            for event, meta in batch:
                self.problems += self.history.author(event, meta)
                if isinstance(event, facts.GameCompleted):
                    self.problems += self.ledger.take(event, meta.seq, meta.cause)
                    completed.append(Recorded(event, meta))
            for first in range(0, len(completed), GAMES_AT_ONCE):
                part = completed[first : first + GAMES_AT_ONCE]
                self.problems += await asyncio.to_thread(replayed, part)
                self.checked["game"] += len(part)
                await self.pace()
        self.problems += self.games.end()
        self.checked["score"] += len(self.history.scores)
        self.problems += self.ledger.compare()

    async def _make_shards(self) -> None:
        for shard, position in self.history.shards:
            self.checked["shard"] += 1
            try:
                problem = await stores.shard_problem(self.log, shard, position)
            except (LogUnavailable, TimeoutError):
                raise
            except Exception as error:  # noqa: BLE001  the other shards are made
                text = f"cannot be made again: {type(error).__name__}: {error}"
                problem = Problem("shard", position, "fail", text)
            self.problems += [problem] if problem else []
            await self.pace()
        self.history.shards.clear()

    async def _named_in_vain(self) -> list[Problem]:
        """Return the problem of a stream that ends before a message that a fact names."""
        found = []
        for stream in (EVENTS, GAMES):
            end = await self.log.tail(stream)
            seq, position = self.history.named.pop(stream, (0, ""))
            if seq > end:
                text = f"{position} names {stream}/{seq}, but {stream} ends with {end}"
                found.append(Problem("stream", stream, "fail", f"{text}; {marks.REMEDY}"))
        return found

    async def stores(self) -> None:
        """Verify what the server claims, what the log once held, and every blob."""
        for text in await marks.losses(self.log):
            self.problems.append(Problem("stream", text.partition(" ")[0], "fail", text))
        found = [streams.claims_of_server(self.log), streams.differing_copies(self.log)]
        found.append(streams.damaged_copies(self.log))
        counts: list[int] = []
        found.append(stores.blob_problems(self.log, self.history.blobs, counts))
        for problems in found:
            async for problem in problems:
                self.problems.append(problem)
                await self.pace()
        self.checked["stream"] = len(STREAMS)
        self.checked["blob"] = sum(counts)

    def take_problems(self) -> list[Problem]:
        """Return the problems found since the last call, without those that an operator excused."""
        excused = {f"{stream}/{seq}" for stream, seq in self.history.excused}
        found = [item for item in self.problems if item.name not in excused]
        self.problems.clear()
        return found

    def report(self) -> VerifyReport:
        """Return what was verified so far, with the problems since the last report."""
        others: Counter[str] = Counter()
        for audit in self.audits:
            others += audit.others
            audit.others.clear()
        for program, count in others.items():
            text = f"{count:,} decisions by another program, not derived again here"
            self.problems.append(Problem("decision", program, "warn", text))
        problems = self.take_problems()
        self.checked["message"] = self.events.count + self.games.count
        self.checked["head"] = self.events.heads.heads
        self.checked["decision"] = sum(audit.decisions for audit in self.audits)
        for kind in ("fold", "snapshot"):
            self.checked[kind] = sum(audit.compared[kind] for audit in self.audits)
        return VerifyReport(
            sound=all(item.level != "fail" for item in problems),
            seq=self.events.seq,
            games_seq=self.games.seq,
            checked=dict(self.checked),
            by_others=dict(others),
            problems=problems,
            covered=self.events.heads.covered,
        )

    def mark(self, *, accept: bool = False) -> Mark:
        """Return the mark of what was read; with `accept`, earlier tree heads no longer count."""
        readings = (self.events, self.games)
        return Mark(
            time=datetime.now(UTC),
            tails={item.stream: item.seq for item in readings},
            accepted=self.events.seq if accept else self._accepted,
            verified={item.stream: (item.seq, item.digest) for item in readings},
        )


def _decisions() -> tuple[type[facts.Fact], ...]:
    kinds = {kind for decider in deciders().values() for kind in decider.writes}
    return tuple(sorted(kinds, key=lambda kind: kind.__name__))


async def verify(
    log: Log, progress: Progress | None = None, *, accept: bool = False
) -> VerifyReport:
    """Verify everything, and note how far the log goes if nothing failed; with `accept` in any
    case. Consumers may continue while it runs."""
    whole = Verification(log, Presence(log), await marks.newest(log))
    await whole.advance(progress=progress)
    await whole.stores()
    whole.problems += [item async for item in stores.archive_problems(log)]
    report = whole.report()
    if report.sound or accept:
        # a viewer may verify, but not write the mark
        with contextlib.suppress(*() if accept else (Forbidden,)):
            await marks.store(log, whole.mark(accept=accept))
    return report
