"""Best-first search on many games in lockstep."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ringrift.rules.geometry import Geometry
from ringrift.search.arrays import Codes, Floats, Seeds, States
from ringrift.search.descent import kernel
from ringrift.search.descent.tree import NONE, Plan, best_child, new_trees, safest_child
from ringrift.search.lockstep import Chunk, Question, Search
from ringrift.search.players import Candidates, Decision
from ringrift.search.status import DONE, WAITING
from ringrift.search.values import NETWORK, by_seat, unscaled

CHILDREN_TYPICAL: Final = 32  # of an expanded node; the arrays grow if there are fewer
QUESTIONS_START: Final = 64  # positions to evaluate at once, for each game on average; grows too
GROWING: Final = (
    *("game", "node", "value", "states"),
    *("questions", "question_move", "question_node", "asked"),
)
"""Arrays whose content survives growth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescentSearch(Search):
    """Best-first search.

    It evaluates `nodes` positions, but always all moves of the root. Its policy is no target:
    visits show where it looked, not how good a move is."""

    nodes: int = 1
    threads: int = 1

    def chunk(self, g: Geometry, room: int, evaluator: int, weights: Floats) -> "_Chunk":
        return _Chunk(g, room, Plan(evaluator, self.nodes), weights)


class _Chunk(Chunk):
    """Some of the games of a player."""

    def __init__(self, g: Geometry, room: int, plan: Plan, weights: Floats) -> None:
        super().__init__(g, room)
        self._plan = plan
        expanded = 2 + plan.budget // CHILDREN_TYPICAL
        questions = room * QUESTIONS_START if plan.evaluator == NETWORK else 1
        self.trees = new_trees(g, room, plan.budget + 1, expanded, questions, weights)

    def set_roots(self, states: States, seeds: Seeds) -> None:
        d = self.trees
        d.states[: self.games, 0] = states
        self.begin(d.game, seeds)
        d.asked[0] = 0

    def advance(self) -> None:
        while True:
            kernel.drive(self.geometry, self._plan, self.trees, self.games)
            need = int(self.trees.game["need"].max())
            if need == 0:
                return
            self._enlarge(need)

    def _enlarge(self, need: int) -> None:
        """Make room for a game with `need` nodes, one more expanded node and as many questions."""
        d = self.trees
        games, nodes = d.node.shape
        expanded = d.states.shape[1]
        if d.game["expanded"].max() >= expanded - 1:
            expanded *= 2
        questions = len(d.questions)
        if self._plan.evaluator == NETWORK:
            questions = max(questions, 2 * (int(d.asked[0]) + need))
        self.trees = new_trees(
            self.geometry, games, max(nodes, need), expanded, questions, d.weights
        )
        for name in GROWING:
            old = getattr(d, name)
            getattr(self.trees, name)[tuple(slice(0, size) for size in old.shape)] = old
        self.trees.game["need"] = 0

    @property
    def done(self) -> bool:
        return bool((self.trees.game["status"] == DONE).all())

    def ask(self) -> Question | None:
        """Return the new positions with one legal move each, as the policy is not used."""
        d = self.trees
        self._asked = np.flatnonzero(d.game["status"] == WAITING)
        count = int(d.asked[0])
        if not count:
            return None
        return Question(d.questions[:count], d.question_move[:count], np.ones(count, np.int64))

    def answer(self, logits: Floats, values: Floats) -> None:
        d = self.trees
        d.answers[: len(values)] = values
        for game in self._asked:
            kernel.take_answers(d, int(game))
        d.asked[0] = 0

    def decision(self, game: int) -> Decision:
        d = self.trees
        root, nodes = d.node[game, 0], d.node[game]
        children = nodes[int(root.first) : int(root.first) + int(root.count)]
        children = children[np.argsort(children["move"])]
        moves: Codes = children["move"].copy()
        visits = children["visits"].copy()
        chosen = int(safest_child(d, game))
        move = int(nodes["move"][chosen])
        # a root with one walk only has no visits yet
        weights = visits if visits.any() else moves == move
        return Decision(
            move=move,
            moves=moves,
            policy=(weights / weights.sum()).astype(np.float32),
            values=by_seat(d.states[game, 0], unscaled(d.value[game, chosen])),
            visits=visits,
            nodes=int(d.game[game].top) - 1,
            depth=int(d.game[game].depth),
            line=self._line(game, chosen),
        )

    def candidates(self, game: int, decision: Decision) -> Candidates:
        d = self.trees
        root = d.node[game, 0]
        children = np.arange(int(root.first), int(root.first) + int(root.count))
        children = children[np.argsort(d.node["move"][game, children])]
        state = d.states[game, 0]
        values = by_seat(state, unscaled(d.value[game, children]).T).T
        raw = np.full(self.geometry.seats, np.nan, np.float32)
        return Candidates(None, values, raw, tuple(self._line(game, int(at)) for at in children))

    def _line(self, game: int, child: int) -> tuple[int, ...]:
        """Return the move to a node and the best moves behind it."""
        d, line = self.trees, list[int]()
        while child != NONE:
            line.append(int(d.node["move"][game, child]))
            child = int(best_child(d, game, child, False))
        return tuple(line)
