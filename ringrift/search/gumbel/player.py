"""Gumbel search on many games in lockstep, and what it becomes without simulations.

With 0 simulations it is the bare policy of a network, the handcrafted heuristic (logits are the
value after each move) or random play (equal logits, sampled).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringrift.nets.nnue.policy import Weights, new_inference, no_weights
from ringrift.rules import layout as la
from ringrift.rules.geometry import Geometry
from ringrift.search.arrays import Floats, Seeds, States
from ringrift.search.gumbel import kernel
from ringrift.search.gumbel.forest import NONE, clear, new_forest, with_edges
from ringrift.search.gumbel.games import LINE_MOVES_MAX, Plan, new_games, tree_of
from ringrift.search.gumbel.puct import GUMBEL, NOISY_PUCT, PUCT
from ringrift.search.gumbel.selection import Settings, considered_table
from ringrift.search.lockstep import Chunk, Question, Search
from ringrift.search.players import Candidates, Decision
from ringrift.search.status import ANSWERED, DONE, FULL, NEW, WAITING
from ringrift.search.values import NETWORK, NNUE, by_seat

EDGES_PER_NODE: Final = 48
"""Mean number of legal moves where there is a choice (rules, section 24); the pool grows if
needed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GumbelSearch(Search):
    """Gumbel search.

    considered   moves sampled at the root
    noise_plies  plies at the start of a game in which moves are sampled, by Gumbel noise at the
                 root; afterwards the best one is played
    lookahead    heuristic only: root logits are this times the value after each move; 0: equal
                 logits
    nnue         the weights for the evaluator NNUE
    puct         AlphaZero's search instead: moves are sampled by visits, and all roots have
                 Dirichlet noise if `noise_plies` is not 0
    """

    simulations: int = 1
    considered: int = 16
    noise_plies: int = 1 << 30
    lookahead: float = 0.0
    nnue: Weights | None = None
    puct: bool = False
    threads: int = 1

    @property
    def targets(self) -> bool:  # type: ignore[override]
        return self.simulations > 0

    def chunk(self, g: Geometry, room: int, evaluator: int, weights: Floats) -> "_Chunk":
        if (evaluator == NNUE) != (self.nnue is not None):
            raise ValueError("the evaluator NNUE needs weights, others take none")
        kind = (NOISY_PUCT if self.noise_plies else PUCT) if self.puct else GUMBEL
        plan = Plan(evaluator, Settings(kind=kind), self.lookahead)
        return _Chunk(g, room, plan, self, weights)


class _Chunk(Chunk):
    """Some of the games of a player, in one forest."""

    def __init__(
        self, g: Geometry, room: int, plan: Plan, search: GumbelSearch, weights: Floats
    ) -> None:
        super().__init__(g, room)
        self._plan, self._search = plan, search
        simulations = search.simulations
        self._considered = considered_table(search.considered, simulations)
        trees = room if plan.evaluator == NETWORK else 1
        edges = trees * (simulations + 1) * EDGES_PER_NODE
        self._forest = new_forest(trees, max(simulations, 1), g.seats, edges)
        nodes = len(self._forest.node)
        self._searches = new_games(g, room, nodes, edges, weights)
        self._inference = new_inference(g, search.nnue or no_weights(), nodes)
        self._table = kernel.new_table(g, 0, 1)  # none of its games is in play
        self._legal = np.zeros((0, 0), np.bool_)  # [K, width] of the games that wait

    def set_roots(self, states: States, seeds: Seeds) -> None:
        clear(self._forest)
        d = self._searches
        d.roots[: self.games] = states
        d.seeds[: self.games] = seeds
        young = states[:, la.PLY] < self._search.noise_plies
        d.scale[: self.games] = young
        d.status[:] = DONE
        d.status[: self.games] = NEW

    def advance(self) -> None:
        while True:
            d = self._searches
            kernel.drive(
                *(kernel.SEARCH, self.geometry, self._forest, self._plan, d),
                *(self._inference, self._considered, self._table),
            )
            if not (d.status == FULL).any():
                return
            self._forest = with_edges(self._forest, int(d.legal.max()))
            edge_move = np.zeros(len(self._forest.edge), np.int64)
            edge_move[: len(d.edge_move)] = d.edge_move
            self._searches = d._replace(edge_move=edge_move)

    @property
    def done(self) -> bool:
        return bool((self._searches.status == DONE).all())

    def ask(self) -> Question | None:
        d = self._searches
        games = self._asked = np.flatnonzero(d.status == WAITING)
        if not len(games):
            return None
        counts = d.legal[games]
        width = int(counts.max())
        self._legal = np.arange(width) < counts[:, None]
        nodes = games * self._forest.stride + self._forest.game["node_count"][games]
        return Question(d.states[nodes], d.moves[games, :width][self._legal], counts)

    def answer(self, logits: Floats, values: Floats) -> None:
        d, games = self._searches, self._asked
        padded = np.zeros(self._legal.shape, np.float32)
        padded[self._legal] = logits
        d.logits[games, : padded.shape[1]] = padded
        d.values[games] = values
        d.status[games] = ANSWERED

    def decision(self, game: int) -> Decision:
        d = self._searches
        count, length, nodes = int(d.legal[game]), int(d.lengths[game]), int(d.nodes[game])
        return Decision(
            move=int(d.best[game]),
            moves=d.moves[game, :count].copy(),
            policy=d.logits[game, :count].copy(),
            values=d.values[game].copy(),
            visits=d.visits[game, :count].copy(),
            nodes=nodes,
            depth=length if nodes else 0,
            line=tuple(d.lines[game, :length].tolist()),
        )

    def candidates(self, game: int, decision: Decision) -> Candidates:
        f, root = self._forest, tree_of(self._plan, game) * self._forest.stride
        first = int(f.node[root].first_edge)
        edges = f.edge[first : first + len(decision.moves)]
        prior = np.exp(edges["logit"])
        child = edges["child"]
        values = np.where((child != NONE)[:, None], f.mean[child], np.float32(np.nan))
        state = self._searches.roots[game]
        lines = tuple(self._line(edge) for edge in range(first, first + len(edges)))
        prior, raw = prior / prior.sum(), by_seat(state, f.raw[root])
        return Candidates(prior, by_seat(state, values.T).T, raw, lines)

    def _line(self, edge: int) -> tuple[int, ...]:
        """Return the move of an edge and the most visited moves behind it, if it was searched."""
        f, line = self._forest, list[int]()
        while f.edge[edge].visits and len(line) < LINE_MOVES_MAX:
            line.append(int(self._searches.edge_move[edge]))
            node = f.node[f.edge[edge].child]
            if not node.edge_count:
                break
            below = f.edge["visits"][node.first_edge : node.first_edge + node.edge_count]
            edge = int(node.first_edge + below.argmax())
        return tuple(line)
