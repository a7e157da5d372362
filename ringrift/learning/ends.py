"""The end of a recorded game: by the rules, or a draw after as many plies as a setting allows. Is
the result certain where a record stops within a turn?

A program that looks for a winner after every move, not after every turn (section 16 of the rules),
ends games in the middle of one. The missing moves are not invented: the record counts if the game
ends with the same winner whatever completes the turn."""

from typing import Any, Final, NamedTuple

from ringrift.rules import Position, layout as la

REASON: Final = "ended_within_turn"
"""reason of a game that ended so"""
LIMIT: Final = "max_moves"
"""reason of a game that was stopped after so many plies: no seat wins, all ranks are 1"""
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


def ranks_of(position: Position) -> tuple[int, ...]:
    """Return the final rank of each seat: 1 for all in a game that was stopped."""
    return position.ranks() if position.over else (1,) * position.config.seats


def end_of(position: Position, forced: Forced | None = None) -> dict[str, Any]:
    """Return what a recorded game says about its end, by the names of `GameCompleted`; `forced` is
    the end of a game that stopped within a turn. Any other that is not over was stopped."""
    reason = REASON if forced else position.reason if position.over else LIMIT
    return {
        "plies": position.ply,
        "winner": forced.winner if forced else position.winner,
        "reason": reason,
        "ranks": forced.ranks if forced else ranks_of(position),
        "removed": position.removed(),
        "territory": position.territory(),
    }
