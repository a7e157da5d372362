"""Checking the rules against recorded traces of the reference engine (format
`ringrift-parity-trace/1`).

A file holds games (header, steps, end) or synthetic end positions, one JSON object a line,
gzip-compressed or plain."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.config import Config
from ringrift.rules.errors import ConfigError, RulesError, TraceError
from ringrift.rules.layout import END_CAUSES, END_REASONS, STATE_DTYPE, init_state
from ringrift.rules.legal import legal_moves
from ringrift.rules.position import warm_up
from ringrift.rules.setup import is_victory
from ringrift.tools.parity_trace import FORMAT, PHASES, Tracer, canonical_text

SHOWN_MAX: Final = 20  # moves of each kind shown at the first mismatch
CANONICAL_CACHE_MAX: Final = 1_000_000  # entries
PROGRESS_STEPS: Final = 2_000  # steps between two progress calls


class Header(msgspec.Struct, tag_field="kind", tag="header"):
    """First line of a game."""

    format: str
    id: str
    board: str
    players: int
    swap: int
    lps_rounds: int
    state: str
    sh: str


class End(msgspec.Struct, tag_field="kind", tag="end"):
    """Last line of a game."""

    id: str
    steps: int
    status: str
    winner: int
    reason: str
    cause: str
    standings: list[int]
    state: str
    sh: str


class Step(msgspec.Struct):
    """One recorded move; `L` and `S` are written now and then."""

    i: int
    p: int
    ph: str
    m: msgspec.Raw
    nl: int
    lh: str
    sh: str
    L: list[msgspec.Raw] | None = None
    S: str | None = None


class EndPosition(msgspec.Struct):
    """A position at the end of a turn and what the victory test says about it."""

    state: str
    sh: str
    last_actor: int
    over: int
    winner: int
    reason: str


class _Kind(msgspec.Struct):
    kind: str | None = None
    last_actor: int | None = None


Line = Header | Step | End | EndPosition


@dataclass(frozen=True)
class Mismatch:
    """The first difference: where, and lines that show expected and found."""

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
    """What was checked. `positions` counts synthetic end positions."""

    games: int = 0
    steps: int = 0
    positions: int = 0
    mismatches: int = 0
    first: Mismatch | None = None

    @property
    def passed(self) -> bool:
        return self.mismatches == 0 and self.counted > 0

    @property
    def counted(self) -> int:
        """Games; if there are only end positions, each of them counts as one."""
        return self.games or self.positions

    def __str__(self) -> str:
        return f"games={self.counted} steps={self.steps} mismatches={self.mismatches}"


def hash16(text: str) -> str:
    """H of the format: 16 hex digits of SHA-256."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def check(paths: Sequence[str | Path], progress: Callable[[Report], None] | None = None) -> Report:
    """Check all files. After a mismatch the rest of that game is skipped. Raises TraceError for
    unreadable files."""
    warm_up()
    report = Report()
    for path in paths:
        _Checker(Path(path), report, progress).run()
    return report


def parity_main(files: list[str]) -> int:
    """`ringrift parity check FILE...`: print the outcome; 0 if something was checked and all of it
    agrees."""
    shown = sys.stderr.isatty()

    def progress(report: Report) -> None:
        if shown:
            print(f"\r{report}", end="", file=sys.stderr, flush=True)

    try:
        report = check(files, progress)
    except TraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if shown:
        print("\r", end="", file=sys.stderr)
    if report.first is not None:
        print(report.first)
    if report.positions:
        print(f"end positions={report.positions}")
    print(report)
    return 0 if report.passed else 1


class _Differs(Exception):
    """A difference in the current game."""

    def __init__(self, what: str, details: Iterable[str]) -> None:
        super().__init__(what)
        self.what, self.details = what, tuple(details)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines of a file, decompressed if it is gzip."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            yield from enumerate(stream, 1)
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(
            f"{path}: cannot be read: {error}; is it a complete .jsonl or .jsonl.gz file?"
        ) from error


_kind = msgspec.json.Decoder(_Kind)
_decoders: Final[dict[str, msgspec.json.Decoder[Line]]] = {
    "header": msgspec.json.Decoder(Header),
    "end": msgspec.json.Decoder(End),
    "step": msgspec.json.Decoder(Step),
    "position": msgspec.json.Decoder(EndPosition),
}


def _decode(line: bytes) -> Line:
    if line.startswith(b'{"i":'):
        return _decoders["step"].decode(line)
    head = _kind.decode(line)
    kind = head.kind or ("step" if head.last_actor is None else "position")
    if kind not in _decoders:
        raise msgspec.ValidationError(f"unknown kind of line {kind!r}")
    return _decoders[kind].decode(line)


@dataclass
class _Checker:
    """Checks one file."""

    path: Path
    report: Report
    progress: Callable[[Report], None] | None
    game: str = ""
    step: int = 0
    skipping: bool = False  # until the next header
    open: bool = False  # a header without its end
    tracer: Tracer | None = None
    state: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, STATE_DTYPE))
    buffer: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    tracers: dict[Config, Tracer] = field(default_factory=dict)
    canonical: dict[bytes, str] = field(default_factory=dict)

    def run(self) -> None:
        number = 0
        for number, line in _lines(self.path):
            try:
                decoded = _decode(line)
            except msgspec.DecodeError as error:
                raise TraceError(f"{self.path}, line {number}: {error}") from error
            try:
                self._take(decoded, number)
            except _Differs as difference:
                self._differs(difference)
        if number == 0:
            raise TraceError(f"{self.path}: the file is empty")
        if self.open:
            raise TraceError(
                f"{self.path}: game {self.game} stops after {self.step} steps without an end line"
            )

    def _differs(self, difference: _Differs) -> None:
        self.report.mismatches += 1
        self.skipping = True
        if self.report.first is None:
            self.report.first = Mismatch(
                str(self.path), self.game, self.step, difference.what, difference.details
            )

    def _take(self, line: Line, number: int) -> None:
        if isinstance(line, Step):
            if not self.open:
                raise TraceError(f"{self.path}, line {number}: a step outside a game")
            if not self.skipping:
                self._step(line)
            return
        if isinstance(line, End):
            if not self.open:
                raise TraceError(f"{self.path}, line {number}: an end outside a game")
            self.open = False
            if not self.skipping:
                self._end(line)
                self.report.games += 1
            return
        if self.open:
            raise TraceError(f"{self.path}, line {number}: game {self.game} has no end line")
        if isinstance(line, Header):
            self._header(line, number)
        else:
            self._end_position(line, number)

    def _tracer(self, board: str, seats: int, number: int) -> Tracer:
        try:
            config = Config(board, seats)
        except ConfigError as error:
            raise TraceError(f"{self.path}, line {number}: {error}") from error
        if config not in self.tracers:
            self.tracers[config] = Tracer(config)
        return self.tracers[config]

    def _header(self, line: Header, number: int) -> None:
        if line.format != FORMAT:
            raise TraceError(
                f"{self.path}, line {number}: format {line.format!r}, this program reads {FORMAT!r}"
            )
        tracer = self._tracer(line.board, line.players, number)
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
            lines = [
                f"expected hash {expected_hash}, its text is not in the trace; found",
                *found.split("\n"),
            ]
        else:
            lines = [
                f"expected hash {expected_hash}, found {hash16(found)}",
                *_differing_lines(expected, found),
            ]
        raise _Differs(f"{what} differs", lines)

    def _step(self, line: Step) -> None:
        tracer, s = self.tracer, self.state
        assert tracer is not None
        if line.i != self.step:
            raise _Differs(
                "numbering of the steps", [f"expected step {self.step}, the trace has {line.i}"]
            )
        seat, phase = int(s[la.TURN]), PHASES[s[la.PHASE]]
        if (seat, phase) != (line.p, line.ph):
            raise _Differs(
                "seat or phase", [f"expected seat {line.p} {line.ph}", f"found seat {seat} {phase}"]
            )
        count = legal_moves(tracer.geometry, s, self.buffer)
        legal = tracer.legal(s, self.buffer[:count].tolist())
        self._compare_legal(line, legal, count)
        move = self._canonical(line.m)
        if move not in legal:
            raise _Differs(
                "the move played is not legal", [f"move {move}", *_shown("legal", sorted(legal))]
            )
        apply_move(tracer.geometry, s, legal[move])
        self._compare_state(f"state after {move}", tracer, line.sh, line.S)
        self.step += 1
        self.report.steps += 1
        if self.progress is not None and self.report.steps % PROGRESS_STEPS == 0:
            self.progress(self.report)

    def _compare_legal(self, line: Step, legal: dict[str, int], count: int) -> None:
        found = sorted(legal)
        expected = None if line.L is None else [self._canonical(move) for move in line.L]
        digest = hash16("\n".join(found))
        if (
            count == line.nl
            and len(found) == count
            and digest == line.lh
            and expected in (None, found)
        ):
            return
        lines = [f"expected {line.nl} moves, hash {line.lh}", f"found {count} moves, hash {digest}"]
        if expected is None:
            lines += ["the expected list is not in the trace", *_shown("found", found)]
        else:
            lines += _shown("missing", sorted(set(expected) - set(found)))
            lines += _shown("surplus", sorted(set(found) - set(expected)))
        raise _Differs("legal moves differ", lines)

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
        over = s[la.PHASE] == la.OVER
        found = {
            "id": self.game,
            "steps": self.step,
            "status": "completed" if over else "active",
            "winner": int(s[la.WINNER]),
            "reason": END_REASONS[s[la.REASON]],
            "cause": END_CAUSES[s[la.REASON]],
            "standings": tracer.standings(s),
        }
        wrong = [
            f"{name}: expected {getattr(line, name)!r}, found {value!r}"
            for name, value in found.items()
            if getattr(line, name) != value
        ]
        if wrong:
            raise _Differs("the end differs", wrong)
        self._compare_state("final state", tracer, line.sh, line.state)

    def _end_position(self, line: EndPosition, number: int) -> None:
        self.game, self.step = f"line {number}", 0
        self.report.positions += 1
        words = line.state.split("\n", 1)[0].split(" ")
        if len(words) != 3 or words[0] != "ringrift/1" or not words[2].isdecimal():
            raise TraceError(
                f"{self.path}, line {number}: the state does not begin with 'ringrift/1 <board> <players>'"
            )
        tracer = self._tracer(words[1], int(words[2]), number)
        try:
            self.state = tracer.read_state(line.state)
        except RulesError as error:
            raise TraceError(f"{self.path}, line {number}: {error}") from error
        self._compare_state("the state read", tracer, line.sh, line.state)
        self.state[la.LAST_ACTOR] = line.last_actor
        over = is_victory(tracer.geometry, self.state)
        expected = (bool(line.over), line.winner, line.reason)
        found = (
            bool(over),
            int(self.state[la.WINNER]),
            END_REASONS[self.state[la.REASON]] or "none",
        )
        if expected != found:
            raise _Differs(
                "end-of-game test", [f"expected over, winner, reason {expected}", f"found {found}"]
            )


def _differing_lines(expected: str, found: str) -> list[str]:
    """Lines of two state texts that differ, as pairs; of long lists only the entries that
    differ."""
    one, two = expected.split("\n"), found.split("\n")
    out: list[str] = []
    for i in range(max(len(one), len(two))):
        a, b = one[i] if i < len(one) else "(no line)", two[i] if i < len(two) else "(no line)"
        if a == b:
            continue
        out += [f"expected {a}", f"found    {b}"]
    return out


def _shown(word: str, moves: list[str]) -> list[str]:
    """Moves for display, at most SHOWN_MAX."""
    lines = [f"{word}: {move}" for move in moves[:SHOWN_MAX]]
    if len(moves) > SHOWN_MAX:
        lines.append(f"{word}: and {len(moves) - SHOWN_MAX} more")
    return lines or [f"{word}: none"]


if __name__ == "__main__":
    sys.exit(parity_main(sys.argv[1:]))
