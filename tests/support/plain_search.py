"""Plain searches to a fixed depth over the real rules, without window, table or move order.

They are slow, and the reference for `ringrift.search.depth_first`."""

from dataclasses import dataclass

import numpy as np

from ringrift.rules import Config, layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.geometry import geometry
from ringrift.rules.legal import legal_moves
from ringrift.rules.outcome import final_values
from ringrift.search import values as va
from ringrift.search.depth_first import stack as df
from ringrift.search.heuristic import SCRATCH, evaluate, heuristic_weights

State = np.ndarray
Choice = tuple[int, int]  # seat, move code


@dataclass
class Plain:
    """`kind` as in `depth_first`; `root_player` is the person to move at the root."""

    config: Config
    kind: int
    root_player: int
    nodes: int = 0

    def choices(self, s: State) -> list[Choice]:
        g = geometry(self.config)
        buffer = np.zeros(g.moves_max, np.int64)
        seats = [int(s[la.TURN])]
        begins = s[la.PHASE] == la.PLACEMENT
        if self.kind == df.BRS and begins and s[la.TURN] != self.root_player + 1:
            seats = [
                seat
                for seat in range(1, g.seats + 1)
                if seat != self.root_player + 1 and self.has_ring(s, seat)
            ]
        found = []
        for seat in seats:
            turned = s.copy()
            turned[la.TURN] = seat
            found += [
                (seat, code) for code in sorted(buffer[: legal_moves(g, turned, buffer)].tolist())
            ]
        return found

    def after(self, s: State, choice: Choice) -> State:
        """Return the position after a choice and the forced plies that follow."""
        s = self.step(s, choice)
        while len(choices := self.choices(s)) == 1:
            s = self.step(s, choices[0])
        return s

    def step(self, s: State, choice: Choice) -> State:
        s = s.copy()
        seat, code = choice
        root_seat = self.root_player + 1
        if seat != s[la.TURN]:
            self.put_on_turn(s, seat)
        turns = s[la.TURN_NUMBER]
        apply_move(geometry(self.config), s, code)
        over, passed = s[la.PHASE] == la.OVER, s[la.TURN_NUMBER] != turns
        others = root_seat not in (seat, s[la.TURN])
        if self.kind == df.BRS and passed and not over and others and self.has_ring(s, root_seat):
            self.put_on_turn(s, root_seat)
        return s

    @staticmethod
    def has_ring(s: State, seat: int) -> bool:
        return bool(s[la.HAND + seat] + s[la.ON_BOARD + seat] > 0)

    @staticmethod
    def put_on_turn(s: State, seat: int) -> None:
        able = s[la.STACKS + seat] > 0 or s[la.HAND + seat] > 0
        s[la.TURN] = seat
        s[la.LPS_SEEN] |= 1 << (seat - 1)
        s[la.LPS_MASK] = (s[la.LPS_MASK] & ~(1 << (seat - 1))) | (int(able) << (seat - 1))

    def person(self, s: State, seat: int) -> int:
        return 2 - seat if s[la.SWAPPED] else seat - 1

    def by_person(self, s: State, values: np.ndarray) -> list[float]:
        found = [0.0] * len(values)
        for seat, value in enumerate(values.tolist(), 1):
            found[self.person(s, seat)] = value
        return found

    def value(self, s: State, left: int, level: int = 0) -> list[float]:
        """Return the values by person of position `s`, `level` decisions after the root and `left`
        turns before the leaves."""
        self.nodes += 1
        g = geometry(self.config)
        values = np.zeros(g.seats, np.float32)
        if s[la.PHASE] == la.OVER:
            final_values(s, g.seats, values)
            return [
                v * (1 - level / va.STEPS) if abs(v) == 1 else v for v in self.by_person(s, values)
            ]
        if left == 0:
            evaluate(g, s, heuristic_weights(self.config), np.zeros(SCRATCH, np.float32), values)
            return [v * float(va.ESTIMATE_MAX) for v in self.by_person(s, values)]
        person = self.person(s, int(s[la.TURN]))
        below = [self.child_value(s, choice, left, level) for choice in self.choices(s)]
        if self.kind == df.MAXN or person == self.root_player:
            # of equals the first, which has the lowest code
            return max(below, key=lambda values: values[person])
        return min(below, key=lambda values: values[self.root_player])

    def root_values(self, s: State, depth: int) -> dict[int, float]:
        """Return the value of each legal move for the root player at `depth`: 1 is one decision, d
        are d - 1 turns."""
        return {
            choice[1]: self.child_value(s, choice, depth - 1, 0)[self.root_player]
            for choice in self.choices(s)
        }

    def child_value(self, s: State, choice: Choice, left: int, level: int) -> list[float]:
        """Return the values after a choice, which may end a turn; without turns left it is a
        leaf."""
        after = self.after(s, choice)
        ended = after[la.TURN_NUMBER] != s[la.TURN_NUMBER]
        return self.value(after, max(left - int(ended), 0), level + 1)
