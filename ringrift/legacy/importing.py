"""Imports games: reads files, judges every game, and appends the accepted ones to the log.

A game is named by its content, its config and moves, because the old names do not identify it: so
importing twice, or two files with the same game, stores it once, and an import that was broken off
goes on when it is started again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from msgspec import Struct, field

from ringrift.errors import CommandError
from ringrift.events import Draft, Fact, draft, facts as f
from ringrift.events.tickets import import_ticket
from ringrift.learning import targets
from ringrift.legacy.databases import DAMAGE
from ringrift.legacy.elo import Match, import_matches, matches_in
from ringrift.legacy.files import ENDINGS, RatingsFound, files_of, games_of
from ringrift.legacy.replay import OldGame, Verdict, config_of, judge
from ringrift.log import read
from ringrift.log.protocol import Log, Progress
from ringrift.log.topology import EVENTS
from ringrift.rules import Config, Position
from ringrift.rules.version import RULES_VERSION
from ringrift.runtime.game_heads import game_heads

BATCH_GAMES: Final = 100
"""appended at once, while the next ones are read"""
NAME_DIGITS: Final = 24
"""of a game: 96 bits of the SHA-256 of its content"""
SEARCHED_MAX: Final = 20
"""games without counts whose possible readings are searched, for the report"""
EMPTY: Final = {seats: targets.encode(seats, []) for seats in (2, 3, 4)}
_HARNESSES: Final = (
    *(("random", "random"), ("human", "person"), ("person", "person"), ("gumbel", "gumbel")),
    *(("minimax", "minimax"), ("maxn", "maxn"), ("brs", "brs"), ("descent", "descent")),
    *(("policy", "policy"),),
)


class FileReport(Struct, kw_only=True):
    """What was found in a file: games by class, each judged as if there were no other file; and why
    the rest of the file, or all of it, could not be read."""

    file: str
    games: Counter[str] = field(default_factory=Counter)
    problem: str | None = None
    matches: int = 0
    """results of a database of ratings"""
    unrated: Counter[str] = field(default_factory=Counter)
    """results that cannot be rated, by the reason"""


class Summary(Struct, kw_only=True):
    """The result of an import.

    games      by class: `ok` and `ended_within_turn` are accepted
    stored     new games in the log by config; in a dry run those that would be
    others     by config and class
    conflicts  ids that several games with different moves have
    rated      new results of matches by config
    seconds    of this process's processor time, once the rules are compiled
    """

    source: str
    dry_run: bool
    files: list[FileReport] = []
    games: Counter[str] = field(default_factory=Counter)
    stored: Counter[str] = field(default_factory=Counter)
    others: dict[str, Counter[str]] = {}
    conflicts: int = 0
    rated: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def name_of(verdict: Verdict) -> str:
    """The name of a legal game, from its content."""
    config = config_of(verdict.game).key
    content = f"{config} {'pie ' if verdict.pie else ''}{verdict.moves}"
    return f"legacy-{hashlib.sha256(content.encode()).hexdigest()[:NAME_DIGITS]}"


def source_name(path: Path) -> str:
    """The name of a source, from that of its file or directory."""
    name = re.sub(r"[^a-z0-9_-]+", "-", path.resolve().stem.lower()).strip("-")
    return name[:50] or "games"


def seat(player: str) -> f.Seat:
    """A seat of an imported game: under the player's old name, with the nearest harness of ours,
    `heuristic` where the record does not say."""
    text = re.sub(r"[^!-~]+", "-", player.removeprefix("legacy:")).strip("-")[:100] or "unknown"
    known = (ours for old, ours in _HARNESSES if old in text.lower())
    harness: Any = next(known, "heuristic")
    return f.Seat(participant=f"legacy:{text}", harness=harness, evaluator="none")


def fact_of(verdict: Verdict, *, ticket: str, source: str, version: int) -> f.GameCompleted:
    """An accepted game as a fact; `version` is that of the settings."""
    game, config = verdict.game, config_of(verdict.game)
    players = (*game.players, *("unknown",) * config.seats)[: config.seats]
    return f.GameCompleted(
        **verdict.end,
        game=name_of(verdict),
        config=config.key,
        origin="import",
        ticket=ticket,
        seats=tuple(map(seat, players)),
        pie=verdict.pie,
        seed=0,
        moves=verdict.moves,
        targets=EMPTY[config.seats],
        rules_version=RULES_VERSION,
        play_seconds=min(game.seconds, f.VALUE_MAX),
        node=f"{f.IMPORTED_NODE}{source}",
        settings_version=version,
    )


class Importer:
    """Judges the games of files in their order, and knows which it has seen."""

    def __init__(
        self, summary: Summary, configs: frozenset[str], known: set[str], report: TextIO | None
    ) -> None:
        self.summary, self.configs, self.report = summary, configs, report
        self._known = known
        """names of the imported games in the log"""
        self._seen: dict[str, str | None] = {}
        """old ids of legal games by name"""
        self._here: set[tuple[str, str | None]] = set()
        """names and old ids in the file that is read"""
        self._ids: dict[str, str] = {}
        """names by old ids"""
        self._searched = 0
        self.matches: list[Match] = []

    def accepted(self, files: list[Path], progress: Progress | None) -> Iterator[Verdict]:
        """Yield the games to store; all others are counted and reported."""
        sizes = [path.stat().st_size for path in files]
        total, before = sum(sizes), 0
        for number, path in enumerate(files):
            found = FileReport(file=bytes(path).decode(errors="backslashreplace"))
            self.summary.files.append(found)
            self._here.clear()
            try:
                for game, at in games_of(path):
                    config = f"{game.board}_{game.seats}p"
                    if game.defect is None and self.configs and config not in self.configs:
                        continue
                    verdict = self._judge(game)
                    if self._is_new(verdict, found):
                        yield verdict
                    if progress:
                        progress(before + at, total)
            except CommandError as error:
                found.problem = str(error)
            except RatingsFound:
                self.ratings(path, found)
            before += sizes[number]

    def ratings(self, path: Path, found: FileReport) -> None:
        """Note the matches of a database of ratings."""
        try:
            matches, found.unrated = matches_in(path)
        except (CommandError, *DAMAGE) as error:
            found.problem = str(error)
            return
        found.matches = len(matches)
        self.matches += [one for one in matches if not self.configs or one.config in self.configs]

    def _judge(self, game: OldGame) -> Verdict:
        verdict = judge(game, thorough=self._searched < SEARCHED_MAX)
        self._searched += verdict.kind == "counts_not_recorded"
        return verdict

    def _is_new(self, verdict: Verdict, found: FileReport) -> bool:
        """Count a game, and say whether it is to be stored."""
        alone, conflict = verdict.kind, False
        if verdict.status in ("accepted", "open"):
            name, old = name_of(verdict), verdict.game.id
            first = self._seen.get(name)
            conflict = self._ids.setdefault(old or name, name) != name
            # an unfinished game is not stored, so it is another one if its id is another
            if name in self._seen and (verdict.status == "accepted" or first == old):
                verdict.kind = "duplicate_same"
                alone = verdict.kind if (name, old) in self._here else alone
            elif name in self._known:
                verdict.kind = "already_imported"
            self._seen.setdefault(name, old)
            self._here.add((name, old))
        new = verdict.status == "accepted"
        config = f"{verdict.game.board}_{verdict.game.seats}p"
        found.games[alone] += 1
        self.summary.games[verdict.kind] += 1
        self.summary.conflicts += conflict
        kinds = self.summary.stored if new else self.summary.others.setdefault(config, Counter())
        kinds[config if new else verdict.kind] += 1
        if not new or conflict:
            self._write(verdict, alone, found.file, conflict)
        return new

    def _write(self, verdict: Verdict, alone: str, file: str, conflict: bool) -> None:
        """Write a line of the report."""
        game = verdict.game
        row = {
            "file": file,
            "line": game.line,
            "game": game.id,
            "status": verdict.status,
            "class": verdict.kind,
            "alone": alone,
            "why": verdict.why,
            "at": verdict.at,
            "position": verdict.position,
            "instead": verdict.instead,
            "plies": verdict.plies,
            "conflict": conflict,
        }
        if self.report:
            self.report.write(json.dumps(row) + "\n")


async def import_games(
    log: Log | None,
    paths: Iterable[Path],
    *,
    source: str,
    author: str,
    configs: frozenset[str] = frozenset(),
    report: TextIO | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Import the games of files and directories (of all configs if none is given), without a log
    only judge them. Raises CommandError if there is no file."""
    files = files_of(paths)
    if not files:
        raise CommandError(f"there is no file to import; files end in {', '.join(ENDINGS)}")
    known, version = set[str](), 0
    if log is not None:
        heads = game_heads(log, *sorted(configs))
        known = {head.game async for _, _, head in heads if head.origin == "import"}
        _, version = await read.settings_in_force(log)
    summary = Summary(source=source, dry_run=log is None)
    importer = Importer(summary, configs, known, report)
    games = importer.accepted(files, progress)
    Position.start(Config("square8", 2))  # compiles the rules, or loads them
    began = time.process_time()
    start, appended = "", asyncio.ensure_future(asyncio.sleep(0, [0]))
    while batch := await asyncio.to_thread(lambda: list(islice(games, BATCH_GAMES))):
        await appended
        if log is None:
            continue
        if not start:
            started = f.ImportStarted(source=source, files=len(files))
            seq = (await log.append([_draft(started, None, author, time.time_ns())]))[0]
            start = f"{EVENTS}/{seq}"
        ticket = import_ticket(start)
        facts = [fact_of(one, ticket=ticket, source=source, version=version) for one in batch]
        drafts = [_draft(fact, start, author, fact.game) for fact in facts]
        appended = asyncio.ensure_future(log.append_each(drafts))
    await appended
    if log is not None and start:
        done = [
            f.GamesImported(
                config=config, source=source, games=count, others=summary.others.get(config, {})
            )
            for config, count in sorted(summary.stored.items())
        ]
        await log.append_each([_draft(fact, start, author, fact.config) for fact in done])
    summary.seconds = time.process_time() - began
    if log is None:
        summary.rated.update(match.config for match in importer.matches)
    else:
        matches = importer.matches
        summary.rated = await import_matches(log, matches, source=source, author=author)
    return summary


def _draft(fact: Fact, cause: str | None, author: str, key: str | int) -> Draft:
    return draft(fact, cause=cause, source=author, key=key)
