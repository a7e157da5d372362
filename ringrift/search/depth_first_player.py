"""Depth-first search as a player: many games in lockstep, one call of the evaluator a step for all
of them."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from ringrift.nets.nnue.inference import Network, new_accumulators, no_network
from ringrift.rules.compile import announced, compiling_alone
from ringrift.rules.config import Config
from ringrift.rules.geometry import Geometry, geometry
from ringrift.search import depth_first as df
from ringrift.search import game_tree as gt
from ringrift.search.gumbel import Floats
from ringrift.search.lockstep import Codes, Decision, Evaluate, Lockstep, Question, Seeds, States
from ringrift.search.weights import heuristic_weights

POOL_START: Final = (
    1024  # moves a game: enough for most small searches; the pool grows when it has to
)
TABLE_LOG2_MIN, TABLE_LOG2_MAX = (
    8,
    16,
)  # a position takes 20 bytes and 4 a seat: 2 MB a game at most


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthFirstOptions:
    """How a `DepthFirstPlayer` searches: one of `depth_first`'s kinds, positions to look at, depth
    at most."""

    kind: int
    nodes: int
    depth_max: int = df.LEVELS
    threads: int = 1


class DepthFirstPlayer:
    """Iterative deepening on many games in lockstep. It looks at `nodes` positions, at all moves of
    the root in any case, and plays the best move of the last depth completed, or a better one of
    the next. Equal moves are drawn by the game's seed."""

    searches = False  # the policy is all on one move

    def __init__(
        self,
        config: Config,
        evaluator: int,
        options: DepthFirstOptions,
        *,
        evaluate: Evaluate | None = None,
        network: Network | None = None,
        weights: Floats | None = None,
    ) -> None:
        """`evaluator` is one of `game_tree`'s; NETWORK needs `evaluate`, NNUE `network`. `weights`
        replace the heuristic's."""
        if (evaluator == gt.NNUE) != (network is not None):
            raise ValueError("the evaluator NNUE goes with a `network`, the others without")
        if (config.seats == 2) != (options.kind == df.MINIMAX):
            raise ValueError("minimax is for two seats, max-n and best-reply search are for more")
        if not 1 <= options.depth_max <= df.LEVELS:
            raise ValueError(f"depth {options.depth_max} is not in 1..{df.LEVELS}")
        self.geometry = geometry(config)
        self.options = options
        self._plan = df.Plan(options.kind, evaluator, options.nodes, options.depth_max)
        self._network = no_network() if network is None else network
        self._weights = heuristic_weights(config) if weights is None else weights
        self._lockstep = Lockstep(
            self._new_chunk, options.threads, evaluate, asks=evaluator == gt.NETWORK
        )

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        """A decision for each position `states[B, S]`, none of them over; `seeds[B]` are those of
        the games."""
        load()
        return self._lockstep.choose(states, seeds)

    def _new_chunk(self, games: int) -> "_Chunk":
        return _Chunk(self.geometry, games, self._plan, self._weights, self._network)


@cache
def load() -> None:
    """Load the compiled search, or compile it at its first use."""
    config = Config("square8", 2)
    g = geometry(config)
    with announced("depth-first search"), compiling_alone():
        net = no_network()
        stack = df.new_stack(g, 1, 1, 1, heuristic_weights(config))
        df.drive(g, df.Plan(df.MINIMAX, gt.NULL, 1, 1), stack, net, new_accumulators(g, net, 0), 0)


class _Chunk:
    """Some of the games of a player; see `lockstep.Chunk`."""

    def __init__(
        self, g: Geometry, room: int, plan: df.Plan, weights: Floats, network: Network
    ) -> None:
        self.geometry, self.room, self.games = g, room, 0
        self._plan = plan
        log2 = min(max((2 * plan.budget - 1).bit_length(), TABLE_LOG2_MIN), TABLE_LOG2_MAX)
        self.stack = df.new_stack(g, room, POOL_START, 1 << log2, weights)
        self._network = network
        nodes = room * (df.LEVELS + 1) if plan.evaluator == gt.NNUE else 0
        self._accumulators = new_accumulators(g, network, nodes)
        self._asked: Codes = np.zeros(0, np.int64)

    def set_roots(self, states: States, seeds: Seeds) -> None:
        """Begin a search of each of `games` positions."""
        d = self.stack
        d.states[: self.games, 0] = states
        d.game["seed"][: self.games] = seeds
        d.game["need"] = 0
        d.game["status"] = df.DONE
        d.game["status"][: self.games] = df.NEW
        d.table_key[: self.games] = 0
        d.killers[: self.games] = 0
        d.history[: self.games] = 0

    def advance(self) -> None:
        """Go on with all games until each waits or is done, with a larger pool when one is
        needed."""
        while True:
            df.drive(
                self.geometry, self._plan, self.stack, self._network, self._accumulators, self.games
            )
            need = int(self.stack.game["need"].max())
            if need == 0:
                return
            self._enlarge_pool(need)

    def _enlarge_pool(self, need: int) -> None:
        d = self.stack
        more = ((0, 0), (0, max(need, 2 * d.pool.shape[1]) - d.pool.shape[1]))
        self.stack = d._replace(
            pool=np.pad(d.pool, more), order=np.pad(d.order, more), effort=np.pad(d.effort, more)
        )
        self.stack.game["need"] = 0

    def ask(self) -> Question | None:
        """The waiting leaves, with one legal move each, for the policy is not used."""
        d = self.stack
        games = self._asked = np.flatnonzero(d.game["status"] == df.WAITING)
        if not len(games):
            return None
        return Question(
            d.states[games, d.game["level"][games] + 1],
            d.game["leaf_move"][games],
            np.ones(len(games), np.int64),
        )

    def answer(self, logits: Floats, values: Floats) -> None:
        """Values by seat; logits go unused."""
        self.stack.values[self._asked] = values
        self.stack.game["status"][self._asked] = df.ANSWERED

    def decisions(self) -> list[Decision]:
        """What the finished searches found."""
        return [self._decision(game) for game in range(self.games)]

    def _decision(self, game: int) -> Decision:
        d = self.stack
        at, frame = d.game[game], d.frame[game * df.LEVELS]
        order = np.argsort(d.pool[game, : frame.count])
        moves: Codes = d.pool[game, order]
        policy = (moves == at.best).astype(np.float32)
        return Decision(
            move=int(at.best),
            moves=moves,
            policy=policy,
            values=self._values(game),
            visits=d.effort[game, order],
            nodes=int(at.nodes),
            depth=int(at.completed),
            line=tuple(d.found_line[game, : at.line].tolist()),
        )

    def _values(self, game: int) -> Floats:
        """Values of the best line by seat: the scale of estimates, ends at -1 and 1."""
        d, n, hero = self.stack, self.geometry.seats, int(self.stack.game[game].hero)
        found = np.clip(d.found[game] / df.ESTIMATE_MAX, -1.0, 1.0).astype(np.float32)
        if self._plan.kind != df.MAXN:
            found[:] = np.where(np.arange(n) == hero, found[0], -found[0] / (n - 1))
        persons = [gt.person_of(d.states[game, 0], seat) for seat in range(1, n + 1)]
        by_seat: Floats = found[persons]
        return by_seat
