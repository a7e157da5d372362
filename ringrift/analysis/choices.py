"""The legal moves of a position for people: what a move is, the cells it touches, in words."""

from typing import Final

import numpy as np
from msgspec import Struct

from ringrift.rules import Position, moves as mv
from ringrift.rules.move_cells import move_cells
from ringrift.rules.notation import cell_names, fields

KINDS: Final = {
    mv.PLACE: ("place", "place {rings} on {a}"),
    mv.SKIP_PLACE: ("skip", "place no ring"),
    mv.NO_PLACE: ("none", "no placement is possible"),
    mv.SWAP: ("swap", "swap seats (pie rule)"),
    mv.WALK: ("walk", "move {a} to {b}"),
    mv.LEAP: ("leap", "capture from {a} over {b} to {c}"),
    mv.CHAIN: ("chain", "capture on from {a} over {b} to {c}"),
    mv.NO_MOVE: ("none", "no movement is possible"),
    mv.SKIP_RECOVERY: ("skip", "recover nothing"),
    mv.SKIP_CAPTURE: ("skip", "capture nothing"),
    mv.RECOVERY_ALL: ("recovery", "slide {a} to {b}, take the whole line, pay a ring from {c}"),
    mv.RECOVERY_PART: ("recovery", "slide {a} to {b}, take {c} to {d} of the line at no cost"),
    mv.RECOVERY_FALLBACK: ("recovery", "slide {a} to {b}, pay a ring from {c}"),
    mv.RECOVERY_STRIKE: ("recovery", "strike the stack on {b} from {a}, pay a ring from {c}"),
    mv.LINE: ("line", "take the line {a} to {b}"),
    mv.LINE_ALL: ("line", "take the whole line {a} to {b}, which costs a ring"),
    mv.LINE_PART: ("line", "take {c} to {d} of the line {a} to {b} at no cost"),
    mv.ELIM_LINE: ("payment", "pay for the line with the top ring of {a}"),
    mv.ELIM_TERRITORY: ("payment", "pay for the territory with the cap of {a}"),
    mv.ELIM_RECOVERY: ("payment", "pay for the territory with the lowest ring of yours in {a}"),
    mv.NO_LINE: ("none", "there is no line"),
    mv.CLAIM: ("territory", "claim the region of {cells} that begins at {a}"),
    mv.SKIP_TERRITORY: ("skip", "claim no region"),
    mv.NO_TERRITORY: ("none", "there is no region"),
    mv.FORCED: ("forced", "remove the cap of {a}, as no move is possible"),
    mv.RESIGN: ("resign", "resign"),
    mv.TIMEOUT: ("timeout", "lose on time"),
}
"""What every type of move is, and its words."""


class Choice(Struct, frozen=True, kw_only=True):
    """A legal move.

    token   the move in the notation
    kind    place, walk, leap, chain, line, territory, payment, recovery, forced, swap, skip or none
    text    the move in words
    cells   the cells that the token names, in its order: from, over, to; ends of a line; a stack
    takes   the cells of a line or region that collapse to the mover
    rings   rings of a placement, 0 for other moves
    """

    token: str
    kind: str
    text: str
    cells: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    rings: int = 0


def choices(position: Position) -> tuple[Choice, ...]:
    """Return the legal moves of a position in ascending order of their codes, without `resign`."""
    return tuple(choice_of(position, code) for code in position.legal_codes().tolist())


def choice_of(position: Position, code: int) -> Choice:
    """Return a legal move by its code."""
    names = cell_names(position.config)
    kind, *cells, number = fields(code)
    out = np.empty(position.geometry.n_cells, np.int16)
    takes = out[: int(move_cells(position.geometry, position.state, code, out))].tolist()
    rings = number if kind == mv.PLACE else 0
    name, words = KINDS[kind]
    text = words.format(
        **{letter: names.get(cell) for letter, cell in zip("abcd", cells, strict=True)},
        rings=_counted(rings, "ring"),
        cells=_counted(len(takes), "cell"),
    )
    return Choice(
        token=position.token(code),
        kind=name,
        text=text,
        cells=tuple(names[cell] for cell in cells if cell),
        takes=tuple(names[cell] for cell in takes),
        rings=rings,
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def play_forced(position: Position) -> list[tuple[int, str]]:
    """Play while there is exactly one legal move; return seat and token of the moves played."""
    played = []
    while len(codes := position.legal_codes()) == 1:
        played.append((position.seat, position.token(int(codes[0]))))
        position.play_code(int(codes[0]))
    return played
