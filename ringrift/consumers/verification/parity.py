"""Has a second implementation of the rules judge recorded games (settings `parity`).

It is a program that takes files with one trace each and exits with 0 if it agrees with all of them,
with 1 if not, and then says why; `ringrift parity check` is one. Anything else is no verdict.

Before it judges, it must reject a trace whose end is wrong: a program that agrees with everything
proves nothing. The sample follows from a tree head that was stored after the games. This finds
rules that differ, not nodes that lie, so an auditor judges games of its own node too."""

import asyncio
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from ringrift.errors import RingRiftError
from ringrift.events import Draft, Recorded, facts as f
from ringrift.events.settings import ParitySettings
from ringrift.learning.shards import GameRejected
from ringrift.log import read
from ringrift.log.errors import ConcurrencyError
from ringrift.log.protocol import Expect, Log
from ringrift.log.topology import EVENTS, GAMES
from ringrift.runtime.process import Process
from ringrift.trust.auditing import is_known
from ringrift.trust.heads import leaf_of
from ringrift.trust.traces.writing import trace_of

ROUND_SECONDS = 30.0
BEHIND_MAX = 5_000
"""messages before the newest with which the first checks begin"""
MESSAGES_MAX = 256
"""of `GAMES` that one fact covers, so that the exporter waits for no large batch"""
PROGRAM_SECONDS_MAX = 600.0
REASON_CHARS_MAX = 2_000
VERDICTS = "ringrift.parity.>"
ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR")
"""variables that the program sees: not those with which this process logs in"""
AGREES, DIFFERS = 0, 1


class NoVerdict(RingRiftError):
    """The program gave no verdict, or one that cannot be right."""


async def keep_checking(process: Process) -> None:
    """Have new games judged while the setting `parity.command` names a program that this node has,
    until cancelled."""
    verdicts = Verdicts()
    while True:
        settings, _ = await process.settings()
        program = shutil.which(settings.parity.command) if settings.parity.command else None
        try:
            while program and await check(process, settings.parity, program, verdicts):
                pass
        except NoVerdict as error:
            process.logger.error("no parity verdict", program=program, error=str(error))
        except ConcurrencyError:
            process.logger.info("another node judged these games")
        await process.wait(ROUND_SECONDS)


async def check(
    process: Process, settings: ParitySettings, program: str, verdicts: "Verdicts"
) -> bool:
    """Have the next games judged, all of them if only judged ones are trained on; return whether
    there were any. Raises NoVerdict, ConcurrencyError, StreamError."""
    log = process.log
    newest = await log.last(EVENTS, VERDICTS)
    expect = Expect(VERDICTS, newest.seq if newest else 0)  # no other node judges the same games
    await verdicts.read(log)
    done = verdicts.last_seq if settings.pending else verdicts.whole_to
    first = max(done, await log.tail(GAMES) - BEHIND_MAX if not done else 0, 0) + 1
    head = await log.last(EVENTS, f.TreeHeadRecorded.event_type.subject_filter)
    if head is None:
        return False
    seed, last = leaf_of(head).hex(), first - 1
    share = settings.share if settings.pending else 1.0
    sample = list[Recorded[f.GameCompleted]]()
    games = read.facts(log, f.GameCompleted, after=first - 1, until=first - 1 + MESSAGES_MAX)
    async for item in games:
        if item.meta.stamp_ns >= head.stamp_ns:
            break
        last = item.meta.seq
        chosen = random.Random(f"{seed} {item.event.game} parity").random() < share
        if chosen and is_known(item.event):
            sample.append(item)
    if last < first:
        return False
    judged = await asyncio.to_thread(judge, program, [item.event for item in sample])
    about = {"node": process.node, "command": settings.command}
    rejected = [
        f.ParityRejected(
            **about,
            config=game.config,
            game=game.game,
            game_seq=meta.seq,
            reason=judged.rejected[game.game],
        )
        for game, meta in sample
        if game.game in judged.rejected
    ]
    confirmed = f.ParityConfirmed(
        **about, first_seq=first, last_seq=last, share=share, games=judged.games
    )
    cause = f"{EVENTS}/{head.seq}"
    drafts: list[Draft] = [
        process.draft(fact, cause=cause, key=f"{first}.{number}")
        for number, fact in enumerate((confirmed, *rejected))
    ]
    await log.append(drafts, expect)
    return True


class Judgement(NamedTuple):
    """Number of games that the program judged, and why it rejects some, by their ids."""

    games: int
    rejected: dict[str, str]


def judge(program: str, games: list[f.GameCompleted]) -> Judgement:
    """Have a program judge games; those that do not replay by our rules are left out, as others
    refuse them. Raises NoVerdict."""
    with tempfile.TemporaryDirectory(prefix="ringrift-parity-") as folder:
        traces = dict[str, Path]()
        for number, game in enumerate(games):
            path = Path(folder, f"{number}.jsonl")
            try:
                path.write_bytes(trace_of(game))
            except GameRejected:
                continue
            traces[game.game] = path
        if not traces:
            return Judgement(0, {})
        _probe(program, next(iter(traces.values())), Path(folder, "wrong.jsonl"))
        if _run(program, [*traces.values()])[0] == AGREES:
            return Judgement(len(traces), {})
        verdicts = {game: _run(program, [path]) for game, path in traces.items()}
    rejected = {game: said for game, (code, said) in verdicts.items() if code == DIFFERS}
    return Judgement(len(traces), rejected)


def _probe(program: str, good: Path, wrong: Path) -> None:
    """Raise NoVerdict unless the program rejects a game that ends before its last move."""
    lines = good.read_bytes().splitlines(keepends=True)
    wrong.write_bytes(b"".join((*lines[:-2], lines[-1])))
    if _run(program, [wrong])[0] == AGREES:
        raise NoVerdict(f"{program} agrees with a game that lacks its last move: repair it")


def _run(program: str, files: list[Path]) -> tuple[int, str]:
    """Exit status, 0 or 1, and the end of what the program printed. Raises NoVerdict."""
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    try:
        done = subprocess.run(
            [program, *map(str, files)],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=PROGRAM_SECONDS_MAX,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoVerdict(f"{program}: {error}") from error
    said = done.stdout.decode(errors="replace")[-REASON_CHARS_MAX:].strip()
    if done.returncode not in (AGREES, DIFFERS):
        raise NoVerdict(f"{program} ended with status {done.returncode}: {said}")
    return done.returncode, said


class Verdicts:
    """What the second implementation says of games."""

    def __init__(self) -> None:
        self.last_seq = 0
        """of `GAMES` up to which it judged a sample at least"""
        self.rejected: set[int] = set()
        self._whole: list[tuple[int, int]] = []
        self._known_to = 0

    @property
    def whole_to(self) -> int:
        """The end of the newest range of `GAMES` of which it judged every game; 0 without one."""
        return self._whole[-1][1] if self._whole else 0

    async def read(self, log: Log) -> None:
        """Fold what is new."""
        tail, kinds = await log.tail(EVENTS), (f.ParityConfirmed, f.ParityRejected)
        async for fact, _ in read.facts(log, *kinds, after=self._known_to, until=tail):
            if isinstance(fact, f.ParityRejected):
                self.rejected.add(fact.game_seq)
            elif isinstance(fact, f.ParityConfirmed):
                self.last_seq = max(self.last_seq, fact.last_seq)
                if fact.share == 1.0:
                    self._extend(fact.first_seq, fact.last_seq)
        self._known_to = tail

    def _extend(self, first: int, last: int) -> None:
        if self._whole and first <= self.whole_to + 1:
            first, before = self._whole.pop()
            last = max(last, before)
        self._whole.append((first, last))

    def refusal(self, seq: int, *, pending: bool) -> f.Refusal | None:
        """Why a game is no training data; `pending`: unjudged ones are."""
        if seq in self.rejected:
            return "parity"
        if pending or any(first <= seq <= last for first, last in self._whole):
            return None
        return "pending"
