"""What players have in common: they choose moves for a batch of positions.

A move depends on the position, the seed of the game and the answer of the evaluator only, never on
the other games of the batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ringrift.search.arrays import Codes, Floats, Ints, Seeds, States

Evaluate = Callable[[States, Codes, Codes], tuple[Floats, Floats]]
"""`(states[B, S], codes[M], offsets[B + 1]) -> (logits[M], values[B, n])`.

Position i has the legal moves `codes[offsets[i]:offsets[i + 1]]`; searches that use no policy name
one of them. Values are by absolute seat, in -1..1."""


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """A move and the reasons for it.

    move    code of the move to play
    moves   int64 [K]: all legal codes, ascending
    policy  float32 [K], sums to 1. Gumbel: the improved policy, or the policy without simulations;
            descent: visits; depth-first: all on the move to play
    values  float32 [n] by seat, in -1..1. Gumbel: the mean over the search; depth-first and
            descent: that of the principal variation. Minimax and best-reply search know only the
            value of the mover and give each other seat an equal share of its negative
    visits  int32 [K]: how often each move was searched (depth-first: positions below it)
    nodes   positions evaluated, without the root; 0 without a search
    depth   decisions that the search looked ahead. Gumbel: length of `line`; descent: of the
            longest line; depth-first: the last completed depth, which is 1 after one decision and
            d after d - 1 whole turns
    line    codes of the principal variation from `move` on, without forced plies
    """

    move: int
    moves: Codes
    policy: Floats
    values: Floats
    visits: Ints
    nodes: int = 0
    depth: int = 0
    line: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What a search knows about each move of its root, for people. Unknown numbers are NaN.

    prior   float32 [K]: the policy before the search; None if the search uses none
    values  float32 [K, n]: value of the position after each move, by seat
    bounds  whether values of other moves than the best are only upper limits for the mover
    raw     float32 [n]: value of the position before the search, by seat
    lines   K principal variations from each move on, without forced plies; empty if unsearched
    """

    prior: Floats | None
    values: Floats
    raw: Floats
    lines: tuple[tuple[int, ...], ...]
    bounds: bool = False


class Player(Protocol):
    """Chooses moves for positions of one config."""

    @property
    def searches(self) -> bool:
        """Whether its policy is a target worth learning."""

    def choose(self, states: States, seeds: Seeds) -> list[Decision]:
        """Return a decision for each of the running games `states[B, S]` with `seeds[B]`."""


class Stopped(Exception):
    """A search was stopped before its end, and has no result."""


class Explainer(Player, Protocol):
    """A player that also gives its reasons."""

    def explain(
        self, states: States, seeds: Seeds, stop: Callable[[], bool] = lambda: False
    ) -> list[tuple[Decision, Candidates]]:
        """Return the same decisions, each with what the search knows about every move. Raises
        Stopped once `stop`, which is asked before each call of the evaluator and
        whenever compiled code has grown some trees for a while, returns true."""
