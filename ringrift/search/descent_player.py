"""Best-first search as a player: many games in lockstep, one call of the evaluator for the new
positions of all of them."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from ringrift.rules.compile import announced, compiling_alone
from ringrift.rules.config import Config
from ringrift.rules.geometry import Geometry, geometry
from ringrift.search import depth_first as df
from ringrift.search import descent as de
from ringrift.search import game_tree as gt
from ringrift.search.gumbel import NONE, Floats
from ringrift.search.lockstep import Codes, Decision, Evaluate, Lockstep, Question, Seeds, States
from ringrift.search.weights import heuristic_weights

CHILDREN_TYPICAL: Final = 32  # of an expanded node; the arrays grow where there are fewer
QUESTIONS_START: Final = (
    64  # positions a game may ask about at once, in the mean over games; grows too
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DescentOptions:
    """How a `DescentPlayer` searches: positions to look at."""

    nodes: int
    threads: int = 1


class DescentPlayer:
    """Best-first search on many games in lockstep. It looks at `nodes` positions, at all moves of
    the root in any case."""

    searches = False  # visits say what was looked at, not how good it is

    def __init__(
        self,
        config: Config,
        evaluator: int,
        options: DescentOptions,
        *,
        evaluate: Evaluate | None = None,
        weights: Floats | None = None,
    ) -> None:
        """`evaluator` is one of `game_tree`'s; NETWORK needs `evaluate`. `weights` replace the
        heuristic's own."""
        self.geometry = geometry(config)
        self.options = options
        self._plan = de.Plan(evaluator, options.nodes)
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
        return _Chunk(self.geometry, games, self._plan, self._weights)


@cache
def load() -> None:
    """Load the compiled search, or compile it at its first use."""
    config = Config("square8", 2)
    g = geometry(config)
    with announced("best-first search"), compiling_alone():
        de.drive(g, de.Plan(gt.NULL, 1), de.new_grove(g, 1, 1, 1, 1, heuristic_weights(config)), 0)


class _Chunk:
    """Some of the games of a player; see `lockstep.Chunk`."""

    def __init__(self, g: Geometry, room: int, plan: de.Plan, weights: Floats) -> None:
        self.geometry, self.room, self.games = g, room, 0
        self._plan = plan
        expanded = 2 + plan.budget // CHILDREN_TYPICAL
        questions = room * QUESTIONS_START if plan.evaluator == gt.NETWORK else 1
        self.grove = de.new_grove(g, room, plan.budget + 1, expanded, questions, weights)
        self._asked: Codes = np.zeros(0, np.int64)

    def set_roots(self, states: States, seeds: Seeds) -> None:
        """Begin a search of each of `games` positions."""
        d = self.grove
        d.states[: self.games, 0] = states
        d.game["seed"][: self.games] = seeds
        d.game["need"] = 0
        d.game["status"] = df.DONE
        d.game["status"][: self.games] = df.NEW
        d.asked[0] = 0

    def advance(self) -> None:
        """Go on with all games until each waits or is done, with more room when it is needed."""
        while True:
            de.drive(self.geometry, self._plan, self.grove, self.games)
            need = int(self.grove.game["need"].max())
            if need == 0:
                return
            self._enlarge(need)

    def _enlarge(self, need: int) -> None:
        """Room for a game with `need` nodes, for one more expanded node and for as many
        questions."""
        d = self.grove
        games, nodes = d.node.shape
        nodes = max(nodes, need)
        expanded = d.states.shape[1]
        if d.game["expanded"].max() >= expanded - 1:
            expanded *= 2
        questions = max(
            len(d.questions),
            2 * (int(d.asked[0]) + need) if self._plan.evaluator == gt.NETWORK else 0,
        )
        more = de.new_grove(self.geometry, games, nodes, expanded, questions, d.weights)
        for name in (
            "game",
            "node",
            "value",
            "states",
            "questions",
            "question_move",
            "question_node",
            "asked",
        ):
            old = getattr(d, name)
            getattr(more, name)[tuple(slice(0, size) for size in old.shape)] = old
        more.game["need"] = 0
        self.grove = more

    def ask(self) -> Question | None:
        """The new positions, with one legal move each: the policy is not used."""
        d = self.grove
        self._asked = np.flatnonzero(d.game["status"] == df.WAITING)
        count = int(d.asked[0])
        if not count:
            return None
        return Question(d.questions[:count], d.question_move[:count], np.ones(count, np.int64))

    def answer(self, logits: Floats, values: Floats) -> None:
        """Values by seat; logits go unused."""
        d = self.grove
        d.answers[: len(values)] = values
        for game in self._asked:
            de.take_answers(d, int(game))
        d.asked[0] = 0

    def decisions(self) -> list[Decision]:
        """What the finished searches found."""
        return [self._decision(game) for game in range(self.games)]

    def _decision(self, game: int) -> Decision:
        d = self.grove
        at, root = d.game[game], d.node[game, 0]
        children = slice(int(root.first), int(root.first) + int(root.count))
        order = np.argsort(d.node["move"][game, children])
        moves: Codes = d.node["move"][game, children][order]
        visits = d.node["visits"][game, children][order]
        chosen = int(de.safest_child(d, game))
        move = int(d.node["move"][game, chosen])
        weights = visits if visits.any() else moves == move
        values = np.clip(d.value[game, chosen] / df.ESTIMATE_MAX, -1.0, 1.0).astype(np.float32)
        persons = [
            gt.person_of(d.states[game, 0], seat) for seat in range(1, self.geometry.seats + 1)
        ]
        return Decision(
            move=move,
            moves=moves,
            policy=(weights / weights.sum()).astype(np.float32),
            values=values[persons],
            visits=visits,
            nodes=int(at.top) - 1,
            depth=int(at.depth),
            line=self._line(game, chosen),
        )

    def _line(self, game: int, child: int) -> tuple[int, ...]:
        """The move to play and the best moves after it."""
        d = self.grove
        moves: list[int] = []
        while child != NONE:
            moves.append(int(d.node["move"][game, child]))
            child = int(de.best_child(d, game, child, False))
        return tuple(moves)
