"""Players: something that chooses moves for a batch of positions.

Four of them are one search with different parts (`TreePlayer`): Gumbel search, the bare policy of a
network (no simulations), the handcrafted heuristic (no simulations; logits are the value after each
move), random play (equal logits, sampled). A move depends on the position, the game's seed and the
evaluator's answer only, never on the games beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from ringrift.rules import layout as la
from ringrift.rules.config import LPS_ROUNDS_DEFAULT, Config
from ringrift.rules.geometry import Geometry, geometry
from ringrift.search import game_tree as gt
from ringrift.search import gumbel as tree
from ringrift.search.gumbel import Floats, Forest
from ringrift.search.lockstep import Codes, Decision, Evaluate, Lockstep, Question, Seeds, States
from ringrift.search.weights import heuristic_weights

__all__ = [
    "Boards",
    "Codes",
    "Decision",
    "Evaluate",
    "Player",
    "SearchOptions",
    "Seeds",
    "States",
    "TreePlayer",
]

PAPER: Final = tree.Settings()
EDGES_PER_NODE: Final = 48  # mean legal moves where there is a choice (rules, section 24); the pool grows when it has to
LINE_MOVES_MAX: Final = 16  # of a principal variation
NO_SIMULATIONS: Final = np.zeros((1, 0), np.int32)
NO_SIMULATIONS.setflags(
    write=False
)  # like `considered_table`: another type of array would be compiled for again


class Player(Protocol):
    """Chooses moves for positions of one config."""

    @property
    def searches(self) -> bool:
        """Whether its policy is a target worth learning."""

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        """A decision for each position `states[B, S]`, none of them over; `seeds[B]` are those of
        the games."""


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
    """heuristic only: root logits are this times the value after each move, forced plies played; 0:
    equal logits"""
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
        """`evaluator` is one of `game_tree`'s; NETWORK needs `evaluate`. `weights` replace the
        heuristic's own."""
        self.geometry = geometry(config)
        self.options = options
        self._plan = gt.Plan(evaluator, options.settings, options.lookahead)
        self._weights = heuristic_weights(config) if weights is None else weights
        self._lockstep = Lockstep(
            self._new_chunk, options.threads, evaluate, asks=evaluator == gt.NETWORK
        )

    @property
    def searches(self) -> bool:
        return self.options.simulations > 0

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        """A decision for each position `states[B, S]`, none of them over; `seeds[B]` are those of
        the games."""
        return self._lockstep.choose(states, seeds)

    def _new_chunk(self, games: int) -> "_Chunk":
        return _Chunk(self.geometry, games, self._plan, self.options, self._weights)


class _Chunk:
    """Some of the games of a player in one forest; see `lockstep.Chunk`."""

    def __init__(
        self, g: Geometry, room: int, plan: gt.Plan, options: SearchOptions, weights: Floats
    ) -> None:
        self.geometry, self.room, self.games = g, room, 0
        self._plan, self._options = plan, options
        simulations = options.simulations
        self._considered = (
            tree.considered_table(options.considered, simulations)
            if simulations
            else NO_SIMULATIONS
        )
        edges = room * (simulations + 1) * EDGES_PER_NODE
        self._forest: Forest = tree.new_forest(room, max(simulations, 1), g.seats, edges)
        self.grove = gt.new_grove(g, room, room * self._forest.stride, edges, weights)
        self._table = gt.no_table(g)
        self._lines = np.zeros((room, LINE_MOVES_MAX), np.int64)
        self._lengths = np.zeros(room, np.int32)
        self._asked = np.zeros(0, np.int64)

    def set_roots(self, states: States, seeds: Seeds) -> None:
        """Begin a search of each of `games` positions."""
        tree.clear(self._forest)
        d, stride = self.grove, self._forest.stride
        d.states[: self.games * stride : stride] = states
        d.seeds[: self.games] = seeds
        d.scale[: self.games] = np.where(
            states[:, la.PLY] < self._options.noise_plies, self._options.noise, 0.0
        )
        d.status[: self.games] = gt.NEW
        d.status[self.games :] = gt.DONE

    def advance(self) -> None:
        """Go on with all games until each waits or is done, with a larger edge pool when one is
        needed."""
        while True:
            gt.drive(
                gt.SEARCH,
                self.geometry,
                self._forest,
                self._plan,
                self.grove,
                self._considered,
                self._table,
            )
            if not (self.grove.status == gt.FULL).any():
                return
            self._forest = tree.with_edges(self._forest, int(self.grove.legal.max()))
            edge_move = np.zeros(len(self._forest.edge), np.int64)
            edge_move[: len(self.grove.edge_move)] = self.grove.edge_move
            self.grove = self.grove._replace(edge_move=edge_move)

    def ask(self) -> Question | None:
        """The pending nodes with their legal moves."""
        games = self._asked = np.flatnonzero(self.grove.status == gt.WAITING)
        if not len(games):
            return None
        stride = self._forest.stride
        counts = self.grove.legal[games]
        width = int(counts.max())
        moves: Codes = self.grove.moves[games, :width][np.arange(width) < counts[:, None]]
        states: States = self.grove.states[games * stride + self._forest.game["node_count"][games]]
        return Question(states, moves, counts)

    def answer(self, logits: Floats, values: Floats) -> None:
        """Logits in the order of the moves asked about and values by seat."""
        d, games = self.grove, self._asked
        counts = d.legal[games]
        width = int(counts.max())
        padded = np.zeros((len(games), width), np.float32)
        padded[np.arange(width) < counts[:, None]] = logits
        d.logits[games, :width] = padded
        d.values[games] = values
        d.status[games] = gt.ANSWERED

    def decisions(self) -> list[Decision]:
        """What the finished searches found."""
        gt.principal_lines(self._forest, self.grove, self.games, self._lines, self._lengths)
        nodes = self._forest.game["node_count"].tolist()
        return [self._decision(game, nodes[game] - 1) for game in range(self.games)]

    def _decision(self, game: int, nodes: int) -> Decision:
        d = self.grove
        count, length = int(d.legal[game]), int(self._lengths[game])
        return Decision(
            move=int(d.best[game]),
            moves=d.moves[game, :count].copy(),
            policy=d.logits[game, :count].copy(),
            values=d.values[game].copy(),
            visits=d.visits[game, :count].copy(),
            nodes=nodes,
            depth=length if nodes else 0,
            line=tuple(self._lines[game, :length].tolist()),
        )


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
        """Play a move in each of `slots`, and the forced plies after it. Raises RuntimeError for a
        game without end."""
        t = self.table
        t.chosen[:] = 0
        t.chosen[list(slots)] = moves
        gt.drive(gt.PLAY, self.geometry, self._forest, NO_PLAN, self._grove, NO_SIMULATIONS, t)
        if (t.plies[list(slots)] >= self._plies_max).any():
            raise RuntimeError(
                f"a game has reached {self._plies_max} plies: the rules bound every game below that"
            )

    def over(self, slot: int) -> bool:
        """Whether the game in `slot` has ended."""
        return bool(self.table.states[slot, la.PHASE] == la.OVER)

    def moves(self, slot: int) -> list[int]:
        """Codes of all moves so far."""
        played: list[int] = self.table.record[slot, : self.table.plies[slot]].tolist()
        return played


NO_PLAN: Final = gt.Plan(gt.NULL, tree.Settings(), 0.0)
