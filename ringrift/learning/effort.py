"""How much a player searched, measured while it plays a match."""

import time
from typing import Final

import numpy as np

from ringrift.events.facts import Effort
from ringrift.rules import Config
from ringrift.rules.layout import TURN
from ringrift.rules.notation import tokens
from ringrift.search.arrays import Seeds, States
from ringrift.search.players import Decision, Player

DIGITS: Final = 6
LINE_MOVES_MAX: Final = 16
"""of the line that is recorded"""


class Measured:
    """A player whose decisions are counted, as a player."""

    def __init__(self, config: Config, player: Player) -> None:
        self._config, self._player, self.searches = config, player, player.searches
        self._line: tuple[int, ...] = ()
        self.decisions = self._searched = 0
        self._seconds = self._nodes = self._depth = self._value = self._share = 0.0

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        """As `Player.choose`."""
        began = time.perf_counter()
        decisions = self._player.choose(states, seeds)
        self._seconds += time.perf_counter() - began
        if not self.decisions and decisions[0].nodes:
            self._line = decisions[0].line[:LINE_MOVES_MAX]
        self.decisions += len(decisions)
        for state, decision in zip(states, decisions, strict=True):
            self._nodes += decision.nodes
            self._depth += decision.depth
            self._value += float(decision.values[int(state[TURN]) - 1])
            if visits := int(decision.visits.sum()):
                played = int(np.searchsorted(decision.moves, decision.move))
                self._searched += 1
                self._share += int(decision.visits[played]) / visits
        return decisions

    def effort(self, participant: str) -> Effort:
        """Return the means over all decisions, of which there is at least one."""
        count = self.decisions
        share = min(1.0, self._share / self._searched) if self._searched else None
        return Effort(
            participant=participant,
            decisions=count,
            nodes=round(self._nodes / count, DIGITS),
            depth=round(self._depth / count, DIGITS),
            seconds=round(self._seconds / count, DIGITS),
            value=round(max(-1.0, min(1.0, self._value / count)), DIGITS),
            chosen_share=None if share is None else round(share, DIGITS),
        )

    @property
    def line(self) -> str:
        """The line that it expected at its first decision; empty without a search."""
        return " ".join(tokens(self._config, np.array(self._line, np.int64)))
