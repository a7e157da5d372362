"""The end of a recorded game. Is the result certain where a record stops within a turn?

A program that looks for a winner after every move, not after every turn (section 16 of the rules),
ends games in the middle of one. The missing moves are not invented: the record counts if the game
ends with the same winner whatever completes the turn."""

from typing import Any, Final, NamedTuple

from ringrift.rules import Position, layout as la

REASON: Final = "ended_within_turn"
"""reason of a game that ended so"""
NODES_MAX: Final = 20_000
"""positions of one search; a turn that is nearly over has a few dozen"""


class Forced(NamedTuple):
    """The winner that every completion of the turn leads to, and the ranks: those of all
    completions if they agree, else 1 for the winner and 2 for the others."""

    winner: int
    ranks: tuple[int, ...]


def forced_end(position: Position) -> Forced | None:
    """The end of a game that stopped within a turn; None if a completion leads elsewhere, or there
    are too many."""
    turn, ends = position.turn_number, set[tuple[int, ...]]()
    if position.over or position.phase == la.PLACEMENT:  # the turn begins
        return None
    waiting, winner = [position], 0
    for _ in range(NODES_MAX):
        if not waiting:
            break
        found = waiting.pop()
        if found.over:
            ends.add(found.ranks())
            winner = winner or found.winner
            if found.winner != winner or not winner:
                return None
            continue
        if found.turn_number != turn:
            return None
        for code in found.legal_codes():
            waiting.append(found.copy())
            waiting[-1].play_code(int(code))
    if waiting:
        return None
    seats = range(1, position.config.seats + 1)
    ranks = ends.pop() if len(ends) == 1 else tuple(1 if seat == winner else 2 for seat in seats)
    return Forced(winner, ranks)


def end_of(position: Position, forced: Forced | None = None) -> dict[str, Any]:
    """Return what a recorded game says about its end, by the names of `GameCompleted`; `forced` is
    the end of a game that stopped within a turn."""
    return {
        "plies": position.ply,
        "winner": forced.winner if forced else position.winner,
        "reason": REASON if forced else position.reason,
        "ranks": forced.ranks if forced else position.ranks(),
        "removed": position.removed(),
        "territory": position.territory(),
    }
