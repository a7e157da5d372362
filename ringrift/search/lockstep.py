"""Many searches side by side, with one call of the evaluator for all that wait.

The games of a player are divided into chunks, each advanced by one thread at a time. Compiled code
advances a search until it needs an evaluation; its state is in arrays, so that it needs no thread
or call stack while it waits.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.rules.config import Config
from ringrift.rules.geometry import Geometry, geometry
from ringrift.rules.position import warm_up
from ringrift.search.arrays import Codes, Floats, Records, Seeds, States
from ringrift.search.compile import SEARCH
from ringrift.search.heuristic import heuristic_weights
from ringrift.search.players import Candidates, Decision, Evaluate, Stopped
from ringrift.search.status import DONE, NEW
from ringrift.search.values import NETWORK, NULL

CHUNKS_PER_THREAD: Final = 2  # so that a thread whose games end early takes over others
ROOM_FACTOR_MAX: Final = 4  # chunks with more room than this times the games are replaced


class Question(NamedTuple):
    """Positions to evaluate: states [K, S], their moves concatenated, the number of each [K]."""

    states: States
    moves: Codes
    counts: NDArray[np.integer]


class Chunk(ABC):
    """Searches of some games: room for `room`, of which the first `games` are in use."""

    def __init__(self, g: Geometry, room: int) -> None:
        self.geometry, self.room, self.games = g, room, 0
        self._asked: Codes = np.zeros(0, np.int64)  # the games that wait for an answer

    @abstractmethod
    def set_roots(self, states: States, seeds: Seeds) -> None:
        """Begin a search of each of `games` positions."""

    @abstractmethod
    def advance(self) -> None:
        """Advance all games until each waits, is done, or has advanced for a while."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether all games are."""

    @abstractmethod
    def ask(self) -> Question | None:
        """Return the positions that the games wait for, or None when none waits."""

    @abstractmethod
    def answer(self, logits: Floats, values: Floats) -> None:
        """Take logits in the order of the moves asked about, and values [K, n] by seat."""

    @abstractmethod
    def decision(self, game: int) -> Decision:
        """Return the result of a finished search."""

    @abstractmethod
    def candidates(self, game: int, decision: Decision) -> Candidates:
        """Return what a finished search knows about each move of `decision`, its result."""

    def begin(self, game: Records, seeds: Seeds) -> None:
        """Set seeds, and the status of all games: those in use are new."""
        game["need"] = 0
        game["status"] = DONE
        game["seed"][: self.games], game["status"][: self.games] = seeds, NEW

    def decisions(self) -> list[Decision]:
        """Return the results of all games."""
        return [self.decision(game) for game in range(self.games)]


class Search(ABC):
    """A kind of search and its settings; the settings by default are its smallest."""

    threads: int  # for the compiled part
    targets = False  # whether its policy is a target worth learning

    @abstractmethod
    def chunk(self, g: Geometry, room: int, evaluator: int, weights: Floats) -> Chunk:
        """Return a chunk with room for `room` games."""


class LockstepPlayer:
    """A player whose games advance together."""

    def __init__(
        self,
        config: Config,
        evaluator: int,
        search: Search,
        *,
        evaluate: Evaluate | None = None,
        weights: Floats | None = None,
    ) -> None:
        """`evaluator` is one of `values`; NETWORK needs `evaluate`. `weights` replace those of the
        heuristic."""
        if (evaluator == NETWORK) != (evaluate is not None):
            raise ValueError("the evaluator NETWORK needs an `evaluate` callable, others take none")
        weights = heuristic_weights(config) if weights is None else weights
        self.searches = search.targets
        self._new_chunk = partial(
            search.chunk, geometry(config), evaluator=evaluator, weights=weights
        )
        self._search, self._threads, self._evaluate = search, search.threads, evaluate
        self._chunks: list[Chunk] = []

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        """As `Player.choose`."""
        return [
            decision for chunk in self._searched(states, seeds) for decision in chunk.decisions()
        ]

    def explain(
        self, states: States, seeds: Seeds, stop: Callable[[], bool] = lambda: False
    ) -> list[tuple[Decision, Candidates]]:
        """As `Explainer.explain`."""
        # compiled evaluators search one position after another in the same tree
        alone = 1 if self._evaluate is None else len(states)
        return [
            (decision, chunk.candidates(game, decision))
            for at in range(0, len(states), alone)
            for chunk in self._searched(states[at : at + alone], seeds[at : at + alone], stop)
            for game, decision in enumerate(chunk.decisions())
        ]

    def _searched(
        self, states: States, seeds: Seeds, stop: Callable[[], bool] = lambda: False
    ) -> list[Chunk]:
        """Return the chunks that hold the finished searches, in the order of the states."""
        load(type(self._search))
        chunks = self._chunks_for(len(states))
        first = 0
        for chunk in chunks:
            last = first + chunk.games
            chunk.set_roots(states[first:last], seeds[first:last])
            first = last
        while True:
            self._advance(chunks)
            questions = [(chunk, chunk.ask()) for chunk in chunks]
            asking = [(chunk, question) for chunk, question in questions if question is not None]
            if all(chunk.done for chunk in chunks):
                return chunks
            if stop():
                raise Stopped
            if asking:
                self._answer(asking)

    def _chunks_for(self, games: int) -> list[Chunk]:
        """Return chunks for `games` games, of equal size up to rounding."""
        count = 1 if self._threads == 1 else min(games, self._threads * CHUNKS_PER_THREAD)
        size = -(-games // count)
        if len(self._chunks) < count or not size <= self._chunks[0].room < ROOM_FACTOR_MAX * size:
            self._chunks = [self._new_chunk(size) for _ in range(count)]
        left = games
        for chunk in self._chunks:
            chunk.games = min(size, left)
            left -= chunk.games
        return [chunk for chunk in self._chunks if chunk.games]

    def _advance(self, chunks: Sequence[Chunk]) -> None:
        if self._threads == 1 or len(chunks) == 1:
            for chunk in chunks:
                chunk.advance()
        else:
            list(_pool(self._threads).map(lambda chunk: chunk.advance(), chunks))

    def _answer(self, asking: Sequence[tuple[Chunk, Question]]) -> None:
        """Evaluate all waiting positions in one call."""
        assert self._evaluate is not None
        questions = [question for _, question in asking]
        states = np.concatenate([question.states for question in questions])
        moves = np.concatenate([question.moves for question in questions])
        offsets = np.zeros(len(states) + 1, np.int64)
        np.cumsum(np.concatenate([question.counts for question in questions]), out=offsets[1:])
        logits, values = self._evaluate(states, moves, offsets)
        at_move, at_state = 0, 0
        for chunk, question in asking:
            next_move, next_state = at_move + len(question.moves), at_state + len(question.states)
            chunk.answer(logits[at_move:next_move], values[at_state:next_state])
            at_move, at_state = next_move, next_state


@cache
def load(kind: Callable[[], Search]) -> None:
    """Load the compiled rules and a search, or compile them at their first use."""
    warm_up()
    config = Config("square8", 2)
    chunk = kind().chunk(geometry(config), 1, NULL, heuristic_weights(config))
    with SEARCH.loading("the search"):
        chunk.advance()
        chunk.decisions()


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="search")
