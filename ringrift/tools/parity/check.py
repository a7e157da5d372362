"""The check of trace files: every state, legal move and end must be that of the reference
engine."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.config import Config
from ringrift.rules.errors import ConfigError, RulesError
from ringrift.rules.layout import END_CAUSES, END_REASONS, STATE_DTYPE, init_state
from ringrift.rules.legal import legal_moves
from ringrift.rules.position import PHASES, warm_up
from ringrift.rules.victory import victory
from ringrift.trust.traces.lines import End, EndPosition, Header, Line, Step, TraceError, read_lines
from ringrift.trust.traces.text import FORMAT, Tracer, canonical_text
from ringrift.trust.traces.writing import hash16

SHOWN_MAX = 20
"""Moves of each kind shown for a mismatch."""
CANONICAL_CACHE_MAX = 1_000_000
"""Entries."""


@dataclass(frozen=True)
class Mismatch:
    """The first difference: its place, and lines that show the expected and the found value."""

    file: str
    game: str
    step: int
    what: str
    details: tuple[str, ...]

    def __str__(self) -> str:
        head = f"mismatch: {self.what}\n  file {self.file}\n  game {self.game}\n  step {self.step}"
        return "\n".join((head, *("  " + line for line in self.details)))


@dataclass
class Report:
    """The result of a check. `positions` counts synthetic end positions."""

    games: int = 0
    steps: int = 0
    positions: int = 0
    mismatches: int = 0
    first: Mismatch | None = None

    @property
    def passed(self) -> bool:
        """Whether something was checked and nothing differs."""
        return self.mismatches == 0 and self.counted > 0

    @property
    def counted(self) -> int:
        """The number of games; of end positions if there are no games."""
        return self.games or self.positions

    def __str__(self) -> str:
        return f"games={self.counted} steps={self.steps} mismatches={self.mismatches}"


def check(
    paths: Sequence[str | Path], progress: Callable[[int, int], None] | None = None
) -> Report:
    """Check all files. After a mismatch the rest of that game is skipped.

    `progress` is called with the number of files checked and of all files. Raises TraceError for a
    file that cannot be read."""
    warm_up()
    report = Report()
    for number, path in enumerate(paths):
        if progress is not None:
            progress(number, len(paths))
        _FileCheck(Path(path), report).run()
    return report


class _DiffersError(Exception):
    """A difference in the current game."""

    def __init__(self, what: str, details: Iterable[str]) -> None:
        super().__init__(what)
        self.what, self.details = what, tuple(details)


@dataclass
class _FileCheck:
    """The check of one file; the results are added to `report`."""

    path: Path
    report: Report
    game: str = ""
    step: int = 0
    line: int = 0
    skipping: bool = False
    """After a mismatch, until the next header."""
    open: bool = False
    """After a header, until its end line."""
    tracer: Tracer | None = None
    state: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, STATE_DTYPE))
    buffer: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    tracers: dict[Config, Tracer] = field(default_factory=dict)
    canonical: dict[bytes, str] = field(default_factory=dict)

    def run(self) -> None:
        for number, line in read_lines(self.path):
            self.line = number
            try:
                self._take(line)
            except _DiffersError as found:
                self.report.mismatches += 1
                self.skipping = True
                self.report.first = self.report.first or Mismatch(
                    str(self.path), self.game, self.step, found.what, found.details
                )
        if self.open:
            end = f"game {self.game} stops after {self.step} steps without an end line"
            raise TraceError(f"{self.path}: {end}")

    def _take(self, line: Line) -> None:
        if isinstance(line, Step):
            if not self.open:
                raise self._error("a step outside a game")
            if not self.skipping:
                self._step(line)
            return
        if isinstance(line, End):
            if not self.open:
                raise self._error("an end outside a game")
            self.open = False
            if not self.skipping:
                self._end(line)
                self.report.games += 1
            return
        if self.open:
            raise self._error(f"game {self.game} has no end line")
        if isinstance(line, Header):
            self._header(line)
        else:
            self._end_position(line)

    def _error(self, reason: object) -> TraceError:
        return TraceError(f"{self.path}, line {self.line}: {reason}")

    def _tracer(self, board: str, seats: int) -> Tracer:
        try:
            config = Config(board, seats)
        except ConfigError as error:
            raise self._error(error) from error
        if config not in self.tracers:
            self.tracers[config] = Tracer(config)
        return self.tracers[config]

    def _header(self, line: Header) -> None:
        if line.format != FORMAT:
            raise self._error(f"format {line.format!r}, this program reads {FORMAT!r}")
        tracer = self._tracer(line.board, line.players)
        if tracer is not self.tracer:
            self.tracer = tracer
            self.canonical.clear()
        self.game, self.step, self.open, self.skipping = line.id, 0, True, False
        self.state = np.zeros(tracer.geometry.state_size, STATE_DTYPE)
        self.buffer = np.empty(tracer.geometry.moves_max, np.int64)
        init_state(tracer.geometry, self.state, line.swap, line.lps_rounds)
        self._compare_state("start state", tracer, line.sh, line.state)

    def _compare_state(
        self, what: str, tracer: Tracer, expected_hash: str, expected: str | None
    ) -> None:
        found = tracer.state(self.state)
        if hash16(found) == expected_hash and expected in (None, found):
            return
        if expected is None:
            head = f"expected hash {expected_hash}, its text is not in the trace; found"
            lines = [head, *found.split("\n")]
        else:
            head = f"expected hash {expected_hash}, found {hash16(found)}"
            lines = [head, *_differing_lines(expected, found)]
        raise _DiffersError(f"{what} differs", lines)

    def _step(self, line: Step) -> None:
        tracer, s = self.tracer, self.state
        assert tracer is not None
        if line.i != self.step:
            numbers = f"expected step {self.step}, the trace has {line.i}"
            raise _DiffersError("numbering of the steps", [numbers])
        seat, phase = int(s[la.TURN]), PHASES[s[la.PHASE]]
        if (seat, phase) != (line.p, line.ph):
            both = [f"expected seat {line.p} {line.ph}", f"found seat {seat} {phase}"]
            raise _DiffersError("seat or phase", both)
        count = legal_moves(tracer.geometry, s, self.buffer)
        legal = tracer.legal(s, self.buffer[:count].tolist())
        self._compare_legal(line, legal, count)
        move = self._canonical(line.m)
        if move not in legal:
            shown = [f"move {move}", *_shown("legal", sorted(legal))]
            raise _DiffersError("the move played is not legal", shown)
        apply_move(tracer.geometry, s, legal[move])
        self._compare_state(f"state after {move}", tracer, line.sh, line.S)
        self.step += 1
        self.report.steps += 1

    def _compare_legal(self, line: Step, legal: dict[str, int], count: int) -> None:
        found = sorted(legal)
        expected = None if line.L is None else [self._canonical(move) for move in line.L]
        digest = hash16("\n".join(found))
        hashes_agree = count == line.nl and len(found) == count and digest == line.lh
        if hashes_agree and expected in (None, found):
            return
        lines = [f"expected {line.nl} moves, hash {line.lh}", f"found {count} moves, hash {digest}"]
        if expected is None:
            lines += ["the expected list is not in the trace", *_shown("found", found)]
        else:
            lines += _shown("missing", sorted(set(expected) - set(found)))
            lines += _shown("surplus", sorted(set(found) - set(expected)))
        raise _DiffersError("legal moves differ", lines)

    def _canonical(self, move: msgspec.Raw) -> str:
        raw = bytes(move)
        text = self.canonical.get(raw)
        if text is None:
            if len(self.canonical) >= CANONICAL_CACHE_MAX:
                self.canonical.clear()
            text = self.canonical[raw] = canonical_text(raw)
        return text

    def _end(self, line: End) -> None:
        tracer, s = self.tracer, self.state
        assert tracer is not None
        found = {
            "id": self.game,
            "steps": self.step,
            "status": "completed" if s[la.PHASE] == la.OVER else "active",
            "winner": int(s[la.WINNER]),
            "reason": END_REASONS[s[la.REASON]],
            "cause": END_CAUSES[s[la.REASON]],
            "standings": tracer.standings(s),
        }
        expected = {name: getattr(line, name) for name in found}
        if expected != found:
            wrong = [name for name in found if expected[name] != found[name]]
            lines = [
                f"{name}: expected {expected[name]!r}, found {found[name]!r}" for name in wrong
            ]
            raise _DiffersError("the end differs", lines)
        self._compare_state("final state", tracer, line.sh, line.state)

    def _end_position(self, line: EndPosition) -> None:
        self.game, self.step = f"line {self.line}", 0
        self.report.positions += 1
        words = line.state.split("\n", 1)[0].split(" ")
        if len(words) != 3 or words[0] != "ringrift/1" or not words[2].isdecimal():
            raise self._error("the state does not begin with 'ringrift/1 <board> <players>'")
        tracer = self._tracer(words[1], int(words[2]))
        try:
            self.state = tracer.read_state(line.state)
        except RulesError as error:
            raise self._error(error) from error
        self._compare_state("the state read", tracer, line.sh, line.state)
        self.state[la.LAST_ACTOR] = line.last_actor
        over = victory(tracer.geometry.table, self.state)
        reason = END_REASONS[self.state[la.REASON]] or "none"
        found = (over, int(self.state[la.WINNER]), reason)
        expected = (bool(line.over), line.winner, line.reason)
        if expected != found:
            both = [f"expected over, winner, reason {expected}", f"found {found}"]
            raise _DiffersError("end-of-game test", both)


def _differing_lines(expected: str, found: str) -> list[str]:
    """The lines of two state texts that differ, as pairs."""
    one, two = expected.split("\n"), found.split("\n")
    pairs = zip_longest(one, two, fillvalue="(no line)")
    differing = [(a, b) for a, b in pairs if a != b]
    return [line for a, b in differing for line in (f"expected {a}", f"found    {b}")]


def _shown(word: str, moves: list[str]) -> list[str]:
    """Moves for display, at most `SHOWN_MAX`."""
    lines = [f"{word}: {move}" for move in moves[:SHOWN_MAX]]
    if len(moves) > SHOWN_MAX:
        lines.append(f"{word}: and {len(moves) - SHOWN_MAX} more")
    return lines or [f"{word}: none"]
