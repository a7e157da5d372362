"""The games that one forest searches: how, their positions, and what a search has found."""

from typing import Annotated, Final, NamedTuple

from ringrift.rules.compile import i64
from ringrift.rules.geometry import Geometry
from ringrift.search.arrays import Codes, Floats, Ints, Seeds, allocate
from ringrift.search.compile import inlined
from ringrift.search.gumbel.selection import Settings
from ringrift.search.heuristic import SCRATCH
from ringrift.search.status import DONE
from ringrift.search.values import NETWORK

LINE_MOVES_MAX: Final = 16  # of a principal variation


class Plan(NamedTuple):
    """How to search.

    lookahead  HEURISTIC: the logits of a root are this times the value after each move and the
               forced plies; 0: equal logits
    """

    evaluator: int
    settings: Settings
    lookahead: float


class Games(NamedTuple):
    """The G games of one forest; A is the longest possible legal list, S the size of a state."""

    roots: Annotated[Ints, "G S"]  # positions to search
    states: Annotated[Ints, "nodes S"]  # position of a node, forced plies played
    edge_move: Annotated[Codes, "E"]
    seeds: Annotated[Seeds, "G"]  # key of a game's choices; its numbers also depend on the ply
    scale: Annotated[Floats, "G"]  # of the root noise, 0: none
    status: Annotated[Ints, "G"]
    legal: Annotated[Ints, "G"]  # number of legal moves of the pending node
    moves: Annotated[Codes, "G A"]  # the legal moves themselves; at a root in ascending order
    logits: Annotated[Floats, "G A"]  # answer for the pending node, then the root's new policy
    values: Annotated[Floats, "G n"]  # answer by seat, afterwards the root's mean value by seat
    visits: Annotated[Ints, "G A"]  # of the root's edges, once the search is done
    best: Annotated[Codes, "G"]  # move to play, once the search is done
    nodes: Annotated[Ints, "G"]  # positions evaluated besides the root, once the search is done
    lines: Annotated[Codes, "G LINE"]  # the principal variation, and its length
    lengths: Annotated[Ints, "G"]
    weights: Floats  # of the heuristic
    # scratch
    spare: Annotated[Codes, "A"]
    noise: Annotated[Floats, "A"]
    state: Annotated[Ints, "S"]
    features: Annotated[Floats, "SCRATCH"]
    seat_values: Annotated[Floats, "n"]


def new_games(g: Geometry, games: int, nodes: int, edges: int, weights: Floats) -> Games:
    """Return room for the games, none of them searched, of a forest with this many nodes and
    edges."""
    sizes = {"G": games, "nodes": nodes, "E": edges, "SCRATCH": SCRATCH}
    sizes |= {"S": g.state_size, "A": g.moves_max, "n": g.seats, "LINE": LINE_MOVES_MAX}
    found = allocate(Games, sizes, weights=weights)
    found.status[:] = DONE
    return found


@inlined
def tree_of(plan: Plan, game: int) -> int:
    """Return the tree of a game in its forest."""
    return game if plan.evaluator == NETWORK else i64(0)
