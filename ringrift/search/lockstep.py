"""Many searches side by side: compiled code goes on with each until it needs an evaluation, one
call answers them all.

The games of a player are divided into chunks, each worked on by one thread at a time. A chunk holds
searches that stop and go on, so that no thread or call stack belongs to a game."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ringrift.search.gumbel import Floats, Ints

States = NDArray[np.int32]  # [B, S]
Codes = NDArray[np.int64]
Seeds = NDArray[np.uint64]  # [B]
Evaluate = Callable[[States, Codes, Codes], tuple[Floats, Floats]]
"""`(states[B, S], codes[M], offsets[B + 1]) -> (logits[M], values[B, n])`: position i has the legal
moves `codes[offsets[i]:offsets[i + 1]]` (searches that use no policy give one of them), values are
by absolute seat in -1..1."""

CHUNKS_PER_THREAD: Final = 2  # so that a thread whose games end early takes over others
ROOM_UNUSED_MAX: Final = 4  # times the games: chunks that are so much too large are given back


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """A move and why.

    move    code of the move to play moves   int64 [K], all legal codes, ascending policy  float32
    [K], sums to 1: the improved policy (without simulations: the policy; depth-first: all on the
    move played) values  float32 [n] by seat in -1..1: Gumbel the mean over the search, depth-first
    and descent the value of the best line
            (best-reply search and minimax know the mover's only and divide the negative among the
            others); without a search the evaluator's
    visits  int32 [K], how often a move was searched (depth-first: positions looked at below it)
    nodes   positions looked at, the root not counted; 0 without a search depth   decisions looked
    ahead: descent the longest line, Gumbel that of `line`; depth-first the last depth completed,
    which is
            1 after one decision and d after d - 1 whole turns
    line    codes of the principal variation from `move` on, forced plies left out; the move alone
    where there is none"""

    move: int
    moves: Codes
    policy: Floats
    values: Floats
    visits: Ints
    nodes: int = 0
    depth: int = 0
    line: tuple[int, ...] = ()


class Question(NamedTuple):
    """Positions to evaluate: states [K, S], their moves one list after another, how many each has
    [K]."""

    states: States
    moves: Codes
    counts: NDArray[np.integer]


class Chunk(Protocol):
    """Some of the games of a player: room for `room`, of which the first `games` are in use."""

    room: int
    games: int

    def set_roots(self, states: States, seeds: Seeds) -> None:
        """Begin a search of each of `games` positions."""

    def advance(self) -> None:
        """Go on with all games until each waits or is done."""

    def ask(self) -> Question | None:
        """What the games wait for; None when all are done."""

    def answer(self, logits: Floats, values: Floats) -> None:
        """Logits in the order of the moves asked about, values [K, n] by seat."""

    def decisions(self) -> list[Decision]:
        """What the finished searches found."""


C = TypeVar("C", bound=Chunk)


class Lockstep(Generic[C]):
    """The part of a player that keeps its games moving."""

    def __init__(
        self, new_chunk: Callable[[int], C], threads: int, evaluate: Evaluate | None, *, asks: bool
    ) -> None:
        """`new_chunk(games)` makes a chunk with so much room; `evaluate` answers them if they ever
        ask."""
        if asks != (evaluate is not None):
            raise ValueError(
                "a network evaluator goes with an `evaluate` callable, the compiled ones without"
            )
        self._new_chunk, self._threads, self._evaluate = new_chunk, threads, evaluate
        self._chunks: list[C] = []

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        """A decision for each position `states[B, S]`, none of them over; `seeds[B]` are those of
        the games."""
        chunks = self._chunks_for(len(states))
        first = 0
        for chunk in chunks:
            chunk.set_roots(states[first : first + chunk.games], seeds[first : first + chunk.games])
            first += chunk.games
        while True:
            self._advance(chunks)
            asking = [
                (chunk, question) for chunk in chunks if (question := chunk.ask()) is not None
            ]
            if not asking:
                return [decision for chunk in chunks for decision in chunk.decisions()]
            self._answer(asking)

    def _chunks_for(self, games: int) -> list[C]:
        """Chunks with room for so many games, as equal as can be."""
        count = 1 if self._threads == 1 else min(games, self._threads * CHUNKS_PER_THREAD)
        size = -(-games // count)
        if len(self._chunks) < count or not size <= self._chunks[0].room < ROOM_UNUSED_MAX * size:
            self._chunks = [self._new_chunk(size) for _ in range(count)]
        left = games
        for chunk in self._chunks:
            chunk.games = min(size, left)
            left -= chunk.games
        return [chunk for chunk in self._chunks if chunk.games]

    def _advance(self, chunks: Sequence[C]) -> None:
        if self._threads == 1 or len(chunks) == 1:
            for chunk in chunks:
                chunk.advance()
        else:
            list(_pool(self._threads).map(lambda chunk: chunk.advance(), chunks))

    def _answer(self, asking: Sequence[tuple[C, Question]]) -> None:
        """Evaluate all waiting positions in one call."""
        assert self._evaluate is not None
        questions = [question for _, question in asking]
        counts = np.concatenate([question.counts for question in questions])
        offsets = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        states = np.concatenate([question.states for question in questions])
        logits, values = self._evaluate(
            states, np.concatenate([question.moves for question in questions]), offsets
        )
        at_move, at_state = 0, 0
        for chunk, question in asking:
            moves, positions = len(question.moves), len(question.states)
            chunk.answer(logits[at_move : at_move + moves], values[at_state : at_state + positions])
            at_move += moves
            at_state += positions


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="search")
