"""Reading a state in compiled code. Cells are core ids."""

from ringrift.rules import layout as la
from ringrift.rules.compile import U, compiled, i64, inlined
from ringrift.rules.layout import Words, cell, word_bottom, word_cap, word_height


@inlined
def header(s: Words, at: int) -> int:
    """Word of the header at offset `at`: `la.TURN`, or `la.HAND + seat` of a table by seat."""
    return i64(s[U(at)])


@compiled
def marker_at(s: Words, c: int) -> int:
    """Seat of the marker on a cell, or 0."""
    w = cell(s, c)
    return w & la.SEAT_BITS if (w & la.BLOCK) == 0 else 0


@compiled
def collapsed_at(s: Words, c: int) -> int:
    """Owner of a collapsed cell, or 0."""
    w = cell(s, c)
    return w & la.SEAT_BITS if w & la.WALL else 0


@compiled
def height_at(s: Words, c: int) -> int:
    """Height of the stack on a cell, or 0."""
    w = cell(s, c)
    return word_height(w) if w & la.STACK else 0


@compiled
def controller_at(s: Words, c: int) -> int:
    """Controller of the stack on a cell, or 0."""
    w = cell(s, c)
    return w & la.SEAT_BITS if w & la.STACK else 0


@compiled
def cap_at(s: Words, c: int) -> int:
    """Cap height of the stack on a cell, or 0."""
    w = cell(s, c)
    return word_cap(w) if w & la.STACK else 0


@compiled
def ring_at(s: Words, c: int, i: int) -> int:
    """Colour of the i-th ring from the top (0 = top), or 0 if the stack is not that high."""
    w = cell(s, c)
    if (w & la.STACK) == 0 or i < 0 or i >= word_height(w):
        return 0
    links = i64(s[U(la.LINKS_AT)])
    ring = s[U(links + word_bottom(w))] & la.NINE_BITS
    for _ in range(i):
        ring = s[U(links + ring)] & la.NINE_BITS
    return i64(s[U(links + ring)] >> la.COLOUR_SHIFT)
