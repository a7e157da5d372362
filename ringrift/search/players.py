"""Players: something that chooses moves for a batch of positions.

Four of them are one search with different parts (`TreePlayer`): Gumbel search, the bare policy of a network (no simulations), the
handcrafted heuristic (no simulations; logits are the value after each move), random play (equal logits, sampled). A move depends on
the position, the game's seed and the evaluator's answer only, never on the games beside it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ringrift.rules import layout as la
from ringrift.rules.config import LPS_ROUNDS_DEFAULT, Config
from ringrift.rules.geometry import Geometry, geometry
from ringrift.search import game_tree as gt
from ringrift.search import gumbel as tree
from ringrift.search.gumbel import Floats, Forest, Ints
from ringrift.search.weights import heuristic_weights

States = NDArray[np.int32]  # [B, S]
Codes = NDArray[np.int64]
Seeds = NDArray[np.uint64]  # [B]
Evaluate = Callable[[States, Codes, Codes], tuple[Floats, Floats]]
"""`(states[B, S], codes[M], offsets[B + 1]) -> (logits[M], values[B, n])`: position i has the legal moves
`codes[offsets[i]:offsets[i + 1]]`, values are by absolute seat in -1..1."""

PAPER: Final = tree.Settings()
EDGES_PER_NODE: Final = 48  # mean legal moves where there is a choice (rules, section 24); the pool grows when it has to
CHUNKS_PER_THREAD: Final = 2  # so that a thread whose games end early takes over others
NO_SIMULATIONS: Final = np.zeros((1, 0), np.int32)
NO_SIMULATIONS.setflags(write=False)  # like `considered_table`: another type of array would be compiled for again


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """A move and why.

    move    code of the move to play
    moves   int64 [K], all legal codes, ascending
    policy  float32 [K], sums to 1: the improved policy (without simulations: the policy)
    values  float32 [n] by seat, mean over the search; without simulations the evaluator's
    visits  int32 [K]
    """

    move: int
    moves: Codes
    policy: Floats
    values: Floats
    visits: Ints


class Player(Protocol):
    """Chooses moves for positions of one config."""

    @property
    def searches(self) -> bool:
        """Whether its policy is a target worth learning."""

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        """A decision for each position `states[B, S]`, none of them over; `seeds[B]` are those of the games."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How a `TreePlayer` searches."""

    simulations: int
    considered: int = 16
    noise: float = 1.0
    """scale of the Gumbel noise while the game is young"""
    noise_plies: int = 1 << 30
    """plies from the start with noise; afterwards the best move is played"""
    lookahead: float = 0.0
    """heuristic only: root logits are this times the value after each move, forced plies played; 0: equal logits"""
    settings: tree.Settings = PAPER
    threads: int = 1


class TreePlayer:
    """Gumbel search on many games in lockstep, one call of the evaluator a step for all of them."""

    def __init__(
        self,
        config: Config,
        evaluator: int,
        options: SearchOptions,
        *,
        evaluate: Evaluate | None = None,
        weights: Floats | None = None,
    ) -> None:
        """`evaluator` is one of `game_tree`'s; NETWORK needs `evaluate`. `weights` replace the heuristic's own."""
        if (evaluator == gt.NETWORK) != (evaluate is not None):
            raise ValueError("a network evaluator goes with an `evaluate` callable, the compiled ones without")
        self.geometry = geometry(config)
        self.options = options
        self._evaluate = evaluate
        self._plan = gt.Plan(evaluator, options.settings, options.lookahead)
        self._weights = heuristic_weights(config) if weights is None else weights
        self._considered = tree.considered_table(options.considered, options.simulations) if options.simulations else NO_SIMULATIONS
        self._chunks: list[_Chunk] = []

    @property
    def searches(self) -> bool:
        return self.options.simulations > 0

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        """A decision for each position `states[B, S]`, none of them over; `seeds[B]` are those of the games."""
        chunks = self._chunks_for(len(states))
        scale = np.where(states[:, la.PLY] < self.options.noise_plies, self.options.noise, 0.0)
        first = 0
        for chunk in chunks:
            first = chunk.set_roots(states, seeds, scale, first)
        while True:
            self._advance(chunks)
            waiting = [(chunk, games) for chunk in chunks if len(games := chunk.waiting())]
            if not waiting:
                return [decision for chunk in chunks for decision in chunk.decisions()]
            self._answer(waiting)

    def _chunks_for(self, games: int) -> list["_Chunk"]:
        """Chunks with room for so many games, as equal as can be."""
        count = 1 if self.options.threads == 1 else min(games, self.options.threads * CHUNKS_PER_THREAD)
        size = -(-games // count)
        if len(self._chunks) < count or self._chunks[0].room < size:
            self._chunks = [_Chunk(self.geometry, size, self.options.simulations, self._weights) for _ in range(count)]
        left = games
        for chunk in self._chunks:
            chunk.games = min(size, left)
            left -= chunk.games
        return [chunk for chunk in self._chunks if chunk.games]

    def _advance(self, chunks: Sequence["_Chunk"]) -> None:
        def advance(chunk: "_Chunk") -> None:
            chunk.advance(self._plan, self._considered)

        if self.options.threads == 1 or len(chunks) == 1:
            for chunk in chunks:
                advance(chunk)
        else:
            list(_pool(self.options.threads).map(advance, chunks))

    def _answer(self, waiting: Sequence[tuple["_Chunk", Codes]]) -> None:
        """Evaluate all waiting positions in one call."""
        assert self._evaluate is not None
        states = np.concatenate([chunk.states_of(games) for chunk, games in waiting])
        lists = [chunk.moves_of(games) for chunk, games in waiting]
        counts = np.concatenate([chunk.grove.legal[games] for chunk, games in waiting])
        offsets = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=offsets[1:])
        logits, values = self._evaluate(states, np.concatenate(lists), offsets)
        at_move, at_game = 0, 0
        for (chunk, games), moves in zip(waiting, lists, strict=True):
            chunk.take_answer(games, logits[at_move : at_move + len(moves)], values[at_game : at_game + len(games)])
            at_move += len(moves)
            at_game += len(games)


class _Chunk:
    """Some of the games of a player: one forest, worked on by one thread at a time."""

    def __init__(self, g: Geometry, room: int, simulations: int, weights: Floats) -> None:
        self.geometry, self.room, self.games = g, room, 0
        edges = room * (simulations + 1) * EDGES_PER_NODE
        self._forest: Forest = tree.new_forest(room, max(simulations, 1), g.seats, edges)
        self.grove = gt.new_grove(g, room, room * self._forest.stride, edges, weights)
        self._table = gt.no_table(g)

    def set_roots(self, states: States, seeds: Seeds, scale: NDArray[np.float64], first: int) -> int:
        """Take over the positions from `first` on; returns the first one left."""
        tree.clear(self._forest)
        rows = slice(first, first + self.games)
        d, stride = self.grove, self._forest.stride
        d.states[: self.games * stride : stride] = states[rows]
        d.seeds[: self.games] = seeds[rows]
        d.scale[: self.games] = scale[rows]
        d.status[: self.games] = gt.NEW
        d.status[self.games :] = gt.DONE
        return first + self.games

    def advance(self, plan: gt.Plan, considered: Ints) -> None:
        """Go on with all games until each waits or is done, with a larger edge pool when one is needed."""
        while True:
            gt.drive(gt.SEARCH, self.geometry, self._forest, plan, self.grove, considered, self._table)
            if not (self.grove.status == gt.FULL).any():
                return
            self._forest = tree.with_edges(self._forest, int(self.grove.legal.max()))
            edge_move = np.zeros(len(self._forest.edge), np.int64)
            edge_move[: len(self.grove.edge_move)] = self.grove.edge_move
            self.grove = self.grove._replace(edge_move=edge_move)

    def waiting(self) -> Codes:
        """Games that wait for an answer."""
        return np.flatnonzero(self.grove.status == gt.WAITING)

    def states_of(self, games: Codes) -> States:
        """[K, S] positions to evaluate."""
        stride = self._forest.stride
        result: States = self.grove.states[games * stride + self._forest.game["node_count"][games]]
        return result

    def moves_of(self, games: Codes) -> Codes:
        """Their legal moves, one list after another."""
        counts = self.grove.legal[games]
        width = int(counts.max())
        moves: Codes = self.grove.moves[games, :width][np.arange(width) < counts[:, None]]
        return moves

    def take_answer(self, games: Codes, logits: Floats, values: Floats) -> None:
        """Logits in the order of `moves_of` and values by seat."""
        d = self.grove
        counts = d.legal[games]
        width = int(counts.max())
        padded = np.zeros((len(games), width), np.float32)
        padded[np.arange(width) < counts[:, None]] = logits
        d.logits[games, :width] = padded
        d.values[games] = values
        d.status[games] = gt.ANSWERED

    def decisions(self) -> list[Decision]:
        """What the finished searches found."""
        d = self.grove
        return [
            Decision(
                move=int(d.best[game]),
                moves=d.moves[game, : d.legal[game]].copy(),
                policy=d.logits[game, : d.legal[game]].copy(),
                values=d.values[game].copy(),
                visits=d.visits[game, : d.legal[game]].copy(),
            )
            for game in range(self.games)
        ]


class Boards:
    """Up to B games under way, whose forced plies are played by themselves."""

    def __init__(self, config: Config, room: int, plies_max: int) -> None:
        g = self.geometry = geometry(config)
        self._plies_max = plies_max
        self.table = gt.Table(
            states=np.zeros((room, g.state_size), np.int32),
            chosen=np.zeros(room, np.int64),
            record=np.zeros((room, plies_max), np.int64),
            plies=np.zeros(room, np.int64),
        )
        self._forest = tree.new_forest(1, 1, g.seats, 1)
        self._grove = gt.new_grove(g, 1, 2, 1, heuristic_weights(config))

    def start(self, slot: int, pie: bool) -> None:
        """Begin a game in `slot`."""
        la.init_state(self.geometry, self.table.states[slot], int(pie), LPS_ROUNDS_DEFAULT)
        self.table.plies[slot] = 0

    def play(self, slots: Sequence[int], moves: Sequence[int]) -> None:
        """Play a move in each of `slots`, and the forced plies after it. Raises RuntimeError for a game without end."""
        t = self.table
        t.chosen[:] = 0
        t.chosen[list(slots)] = moves
        gt.drive(gt.PLAY, self.geometry, self._forest, NO_PLAN, self._grove, NO_SIMULATIONS, t)
        if (t.plies[list(slots)] >= self._plies_max).any():
            raise RuntimeError(f"a game has reached {self._plies_max} plies: the rules bound every game below that")

    def over(self, slot: int) -> bool:
        """Whether the game in `slot` has ended."""
        return bool(self.table.states[slot, la.PHASE] == la.OVER)

    def moves(self, slot: int) -> list[int]:
        """Codes of all moves so far."""
        played: list[int] = self.table.record[slot, : self.table.plies[slot]].tolist()
        return played


NO_PLAN: Final = gt.Plan(gt.NULL, tree.Settings(), 0.0)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="search")
