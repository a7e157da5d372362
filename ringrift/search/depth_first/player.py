"""Depth-first search on many games in lockstep."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ringrift.nets.nnue.inference import Network, new_accumulators, no_network
from ringrift.rules.geometry import Geometry
from ringrift.search.arrays import Codes, Floats, Seeds, States
from ringrift.search.depth_first import kernel
from ringrift.search.depth_first.ordering import ROOT_SCALE
from ringrift.search.depth_first.stack import LEVELS, MAXN, MINIMAX, Plan, new_stack
from ringrift.search.lockstep import Chunk, Question, Search
from ringrift.search.players import Candidates, Decision
from ringrift.search.status import ANSWERED, DONE, WAITING
from ringrift.search.values import NNUE, by_seat, unscaled

POOL_START: Final = 1024  # moves of a game: enough for most small searches; the pool grows
TABLE_LOG2_MIN: Final = 8
TABLE_LOG2_MAX: Final = 16  # an entry takes 20 bytes and 4 for each seat: 2 MB a game at most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthFirstSearch(Search):
    """Iterative deepening.

    It evaluates `nodes` positions, but always all moves of the root, and plays the best move of the
    last completed depth, or a better one found at the next. Equal moves are drawn by the seed of
    the game. `kind` is MINIMAX, MAXN or BRS. The evaluator NNUE needs `network`."""

    kind: int = MINIMAX
    nodes: int = 1
    depth_max: int = LEVELS
    network: Network | None = None
    threads: int = 1

    def chunk(self, g: Geometry, room: int, evaluator: int, weights: Floats) -> "_Chunk":
        if (evaluator == NNUE) != (self.network is not None):
            raise ValueError("the evaluator NNUE needs a `network`, others take none")
        if (g.seats == 2) != (self.kind == MINIMAX):
            raise ValueError("minimax is for two seats, max-n and best-reply search are for more")
        if not 1 <= self.depth_max <= LEVELS:
            raise ValueError(f"depth {self.depth_max} is not in 1..{LEVELS}")
        plan = Plan(self.kind, evaluator, self.nodes, self.depth_max)
        return _Chunk(g, room, plan, weights, self.network or no_network())


class _Chunk(Chunk):
    """Some of the games of a player."""

    def __init__(
        self, g: Geometry, room: int, plan: Plan, weights: Floats, network: Network
    ) -> None:
        super().__init__(g, room)
        self._plan, self._network = plan, network
        log2 = min(max((2 * plan.budget - 1).bit_length(), TABLE_LOG2_MIN), TABLE_LOG2_MAX)
        self.stack = new_stack(g, room, POOL_START, 1 << log2, weights)
        nodes = room * (LEVELS + 1) if plan.evaluator == NNUE else 0
        self._accumulators = new_accumulators(g, network, nodes)

    def set_roots(self, states: States, seeds: Seeds) -> None:
        d = self.stack
        d.states[: self.games, 0] = states
        self.begin(d.game, seeds)
        d.table_key[: self.games] = 0
        d.killers[: self.games] = 0
        d.history[: self.games] = 0

    def advance(self) -> None:
        while True:
            d = self.stack
            kernel.drive(
                self.geometry, self._plan, d, self._network, self._accumulators, self.games
            )
            need = int(d.game["need"].max())
            if need == 0:
                return
            more = ((0, 0), (0, max(need, 2 * d.pool.shape[1]) - d.pool.shape[1]))
            self.stack = d._replace(
                pool=np.pad(d.pool, more),
                order=np.pad(d.order, more),
                effort=np.pad(d.effort, more),
            )
            d.game["need"] = 0

    @property
    def done(self) -> bool:
        return bool((self.stack.game["status"] == DONE).all())

    def ask(self) -> Question | None:
        """Return the waiting leaves with one legal move each, as the policy is not used."""
        d = self.stack
        games = self._asked = np.flatnonzero(d.game["status"] == WAITING)
        if not len(games):
            return None
        states = d.states[games, d.game["level"][games] + 1]
        return Question(states, d.game["leaf_move"][games], np.ones(len(games), np.int64))

    def answer(self, logits: Floats, values: Floats) -> None:
        self.stack.values[self._asked] = values
        self.stack.game["status"][self._asked] = ANSWERED

    def decision(self, game: int) -> Decision:
        d = self.stack
        at = d.game[game]
        order = self._order(game)
        moves: Codes = d.pool[game, order]
        values = unscaled(d.found[game])
        if self._plan.kind != MAXN:
            values = self._shared(game, values[0])
        return Decision(
            move=int(at.best),
            moves=moves,
            policy=(moves == at.best).astype(np.float32),
            values=by_seat(d.states[game, 0], values),
            visits=d.effort[game, order],
            nodes=int(at.nodes),
            depth=int(at.completed),
            line=tuple(d.found_line[game, : at.line].tolist()),
        )

    def candidates(self, game: int, decision: Decision) -> Candidates:
        d, n, exact = self.stack, self.geometry.seats, self._plan.kind == MAXN
        gains = unscaled(d.order[game, self._order(game)] / ROOT_SCALE - np.float32(2.0))
        gains[~self._is_current(game) | (decision.visits == 0)] = np.nan
        values = np.full((len(gains), n), np.nan, np.float32)
        if exact:
            values[:, d.game[game].root_player] = gains
        else:
            values[:] = [self._shared(game, gain) for gain in gains]
        values = by_seat(d.states[game, 0], values.T).T
        best = decision.moves == decision.move
        values[best] = decision.values
        lines = tuple(decision.line if own else () for own in best)
        raw = np.full(n, np.nan, np.float32)
        return Candidates(None, values, raw, lines, bounds=not exact)

    def _is_current(self, game: int) -> NDArray[np.bool_]:
        """Whether the score of each root move is of the iteration that gave the result, by move."""
        at, f = self.stack.game[game], self.stack.frame[game * LEVELS]
        finished = int(f.count)
        if at.depth > at.completed and f.best != 0:
            finished = int(f.next) - int(at.level > 0)
        current: NDArray[np.bool_] = self._order(game) < finished
        return current

    def _order(self, game: int) -> Codes:
        """Return the places of the root moves in the pool, in ascending order of their codes."""
        order: Codes = np.argsort(self.stack.pool[game, : self.stack.frame[game * LEVELS].count])
        return order

    def _shared(self, game: int, value: np.float32) -> Floats:
        """Return `value` for the root player, and an equal share of its negative for the others, by
        person."""
        n = self.geometry.seats
        mine = np.arange(n) == self.stack.game[game].root_player
        return np.where(mine, value, -value / (n - 1))
