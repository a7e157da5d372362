"""Reading a state, from compiled code or from Python. Cells are core ids; `seat` is 1 to n."""

from ringrift.rules import layout as la
from ringrift.rules.compile import U, compiled, i64
from ringrift.rules.layout import (
    NINE_BITS,
    OVER,
    PHASE,
    SEAT_BITS,
    STACK,
    WALL,
    Words,
    cell,
    word_bottom,
    word_cap,
    word_height,
)


@compiled
def is_over(s: Words) -> bool:
    return bool(s[U(PHASE)] == OVER)


@compiled
def winner(s: Words) -> int:
    """Winning seat; 0 while the game runs, and when three or four seats end by resignation or
    timeout."""
    return i64(s[U(la.WINNER)])


@compiled
def end_reason(s: Words) -> int:
    """Index into END_REASONS and END_CAUSES, 0 while the game runs."""
    return i64(s[U(la.REASON)])


@compiled
def to_move(s: Words) -> int:
    """Seat to act, 0 when the game is over."""
    return i64(s[U(la.TURN)])


@compiled
def phase(s: Words) -> int:
    return i64(s[U(PHASE)])


@compiled
def ply(s: Words) -> int:
    """Moves recorded so far."""
    return i64(s[U(la.PLY)])


@compiled
def turn_number(s: Words) -> int:
    """Number of the turn, from 1."""
    return i64(s[U(la.TURN_NUMBER)])


@compiled
def hand(s: Words, seat: int) -> int:
    return i64(s[U(la.HAND + seat)])


@compiled
def removed(s: Words, seat: int) -> int:
    """Removed rings credited to the seat."""
    return i64(s[U(la.REMOVED + seat)])


@compiled
def territory(s: Words, seat: int) -> int:
    return i64(s[U(la.TERRITORY_OF + seat)])


@compiled
def on_board(s: Words, seat: int) -> int:
    """Rings of the seat's colour on the board."""
    return i64(s[U(la.ON_BOARD + seat)])


@compiled
def stacks_controlled(s: Words, seat: int) -> int:
    return i64(s[U(la.STACKS + seat)])


@compiled
def markers(s: Words, seat: int) -> int:
    return i64(s[U(la.MARKERS + seat)])


@compiled
def must_cell(s: Words) -> int:
    """Core id of the stack that has to move, or -1."""
    c = i64(s[U(la.MUST)])
    return c if c else -1


@compiled
def origin_cell(s: Words) -> int:
    """Core id of the stack that leaps next (CAPTURE, CHAIN_CAPTURE), or -1."""
    c = i64(s[U(la.ORIGIN)])
    return c if c else -1


@compiled
def debt(s: Words) -> int:
    """1 while a line cost is owed."""
    return i64(s[U(la.DEBT)])


@compiled
def owe_cap(s: Words) -> int:
    """1 while a region cost is owed."""
    return i64(s[U(la.OWE_CAP)])


@compiled
def acted(s: Words) -> int:
    return i64(s[U(la.ACTED)])


@compiled
def recovering(s: Words) -> int:
    return i64(s[U(la.RECOVERING)])


@compiled
def last_actor(s: Words) -> int:
    """Seat of the latest move, 0 before the first."""
    return i64(s[U(la.LAST_ACTOR)])


@compiled
def swap_open(s: Words) -> int:
    """1 while the pie rule may still be used."""
    return i64(s[U(la.SWAP_OPEN)])


@compiled
def swapped(s: Words) -> int:
    return i64(s[U(la.SWAPPED)])


@compiled
def lps_first(s: Words) -> int:
    return i64(s[U(la.LPS_FIRST)])


@compiled
def lps_mask(s: Words) -> int:
    """Bit seat - 1: the seat could act for real when its turn of this round began."""
    return i64(s[U(la.LPS_MASK)])


@compiled
def lps_seen(s: Words) -> int:
    """Bit seat - 1: the round tracker has an entry for the seat."""
    return i64(s[U(la.LPS_SEEN)])


@compiled
def lps_count(s: Words) -> int:
    return i64(s[U(la.LPS_COUNT)])


@compiled
def lps_who(s: Words) -> int:
    return i64(s[U(la.LPS_WHO)])


@compiled
def lps_rounds(s: Words) -> int:
    """Rounds required by section 17."""
    return i64(s[U(la.LPS_ROUNDS)])


@compiled
def out_turn(s: Words, seat: int) -> int:
    """First turn at whose end the seat had no ring anywhere, 0 for never (section 18)."""
    return i64(s[U(la.OUT_TURN + seat)])


@compiled
def marker_at(s: Words, c: int) -> int:
    """Seat of the marker on a cell, or 0."""
    w = cell(s, c)
    return w & SEAT_BITS if (w & la.BLOCK) == 0 else 0


@compiled
def collapsed_at(s: Words, c: int) -> int:
    """Owner of a collapsed cell, or 0."""
    w = cell(s, c)
    return w & SEAT_BITS if w & WALL else 0


@compiled
def height_at(s: Words, c: int) -> int:
    w = cell(s, c)
    return word_height(w) if w & STACK else 0


@compiled
def controller_at(s: Words, c: int) -> int:
    w = cell(s, c)
    return w & SEAT_BITS if w & STACK else 0


@compiled
def cap_at(s: Words, c: int) -> int:
    w = cell(s, c)
    return word_cap(w) if w & STACK else 0


@compiled
def ring_at(s: Words, c: int, i: int) -> int:
    """Colour of the i-th ring from the top (0 = top), 0 if the stack is not that high."""
    w = cell(s, c)
    if (w & STACK) == 0 or i < 0 or i >= word_height(w):
        return 0
    links = i64(s[U(la.LINKS_AT)])
    ring = s[U(links + word_bottom(w))] & NINE_BITS
    for _ in range(i):
        ring = s[U(links + ring)] & NINE_BITS
    return i64(s[U(links + ring)] >> la.COLOUR_SHIFT)
