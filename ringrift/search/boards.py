"""Games in play, many at a time."""

from collections.abc import Sequence
from typing import Final

from ringrift.nets.nnue.policy import new_inference, no_weights
from ringrift.rules import layout as la
from ringrift.rules.config import LPS_ROUNDS_DEFAULT, Config
from ringrift.rules.geometry import geometry
from ringrift.search.gumbel import kernel
from ringrift.search.gumbel.forest import new_forest
from ringrift.search.gumbel.games import Plan, new_games
from ringrift.search.gumbel.selection import Settings, considered_table
from ringrift.search.heuristic import heuristic_weights
from ringrift.search.values import NULL

NO_PLAN: Final = Plan(NULL, Settings(), 0.0)


class Boards:
    """Up to `room` games in play, whose forced plies are played automatically."""

    def __init__(self, config: Config, room: int, plies_max: int) -> None:
        g = self.geometry = geometry(config)
        self._plies_max = plies_max
        self.table = kernel.new_table(g, room, plies_max)
        # what `drive` needs besides the table to play moves; it searches nothing
        self._forest = new_forest(1, 1, g.seats, 1)
        self._games = new_games(g, 1, 2, 1, heuristic_weights(config))
        self._inference = new_inference(g, no_weights(), 0)

    def start(self, slot: int, pie: bool) -> None:
        """Begin a game in `slot`."""
        la.init_state(self.geometry, self.table.states[slot], int(pie), LPS_ROUNDS_DEFAULT)
        self.table.plies[slot] = 0

    def play(self, slots: Sequence[int], moves: Sequence[int]) -> None:
        """Play a move in each of `slots`, and the forced plies after it, up to the limit of
        plies."""
        t = self.table
        t.chosen[:] = 0
        t.chosen[list(slots)] = moves
        search = (self._forest, NO_PLAN, self._games, self._inference, considered_table(1, 0))
        kernel.drive(kernel.PLAY, self.geometry, *search, t)

    def over(self, slot: int) -> bool:
        """Whether the game in `slot` has ended, or has reached the limit of plies."""
        over = self.table.states[slot, la.PHASE] == la.OVER
        return bool(over or self.table.plies[slot] >= self._plies_max)

    def moves(self, slot: int) -> list[int]:
        """Return the codes of all moves so far."""
        played: list[int] = self.table.record[slot, : self.table.plies[slot]].tolist()
        return played
