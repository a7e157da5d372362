"""Changes of cells: markers, territory, stacks. Words, row masks and counters stay consistent."""

from ringrift.rules import layout as la, table as tb
from ringrift.rules.compile import U, compiled, i64
from ringrift.rules.floor import floor_gains, floor_loses
from ringrift.rules.layout import Words


@compiled
def add_marker(t: Words, s: Words, c: int, seat: int) -> None:
    """Put a marker on an empty cell."""
    s[U(tb.CELLS_AT + c)] = seat
    s[U(la.MARKERS + seat)] += 1
    la.flip(t, s, la.MARK_MASK + seat, c)
    floor_loses(t, s, seat, c)


@compiled
def take_marker(t: Words, s: Words, c: int) -> None:
    """Take the marker off a cell, which is empty then."""
    seat = la.cell(s, c)
    s[U(tb.CELLS_AT + c)] = 0
    s[U(la.MARKERS + seat)] -= 1
    la.flip(t, s, la.MARK_MASK + seat, c)
    floor_gains(t, s, seat, c)


@compiled
def collapse(t: Words, s: Words, c: int, seat: int) -> None:
    """Make an empty or marker cell territory of `seat`."""
    marker = la.cell(s, c)
    if marker != 0:
        s[U(la.MARKERS + marker)] -= 1
        la.flip(t, s, la.MARK_MASK + marker, c)
    s[U(tb.CELLS_AT + c)] = la.WALL | seat
    s[U(la.TERRITORY_OF + seat)] += 1
    la.flip(t, s, la.OPEN_MASK, c)
    la.flip(t, s, la.LAND_MASK, c)
    for border in range(t[U(tb.T_SEATS)] + 1):
        if border == 0 or border != marker:
            floor_loses(t, s, border, c)


@compiled
def put_stack(t: Words, s: Words, c: int, w: int) -> None:
    """Put a stack, given by its word, on an empty cell."""
    seat = w & la.SEAT_BITS
    s[U(tb.CELLS_AT + c)] = w
    s[U(la.STACKS + seat)] += 1
    la.flip(t, s, la.OPEN_MASK, c)
    la.flip(t, s, la.stack_mask(t, seat), c)


@compiled
def take_stack(t: Words, s: Words, c: int) -> int:
    """Lift the stack off its cell, which is empty then, and return its word."""
    w = la.cell(s, c)
    seat = w & la.SEAT_BITS
    s[U(tb.CELLS_AT + c)] = 0
    s[U(la.STACKS + seat)] -= 1
    la.flip(t, s, la.OPEN_MASK, c)
    la.flip(t, s, la.stack_mask(t, seat), c)
    return w


@compiled
def change_stack(t: Words, s: Words, c: int, w: int) -> None:
    """Replace the stack on a cell by the word `w`, 0 if no ring is left."""
    take_stack(t, s, c)
    if w != 0:
        put_stack(t, s, c, w)


@compiled
def below(t: Words, s: Words, ring: int) -> int:
    """The ring under `ring`; for the bottom ring, the top ring."""
    return i64(s[U(t[U(tb.T_RING_LINKS_AT)] + ring)] & la.NINE_BITS)


@compiled
def colour(t: Words, s: Words, ring: int) -> int:
    return i64(s[U(t[U(tb.T_RING_LINKS_AT)] + ring)] >> la.COLOUR_SHIFT)


@compiled
def link(t: Words, s: Words, ring: int, under: int) -> None:
    """Make `under` the ring below `ring`."""
    at = U(t[U(tb.T_RING_LINKS_AT)] + ring)
    s[at] = (s[at] & ~la.NINE_BITS) | under


@compiled
def counted_word(t: Words, s: Words, height: int, bottom: int) -> int:
    """The word of a stack, with controller and cap counted from its rings."""
    top = below(t, s, bottom)
    seat = colour(t, s, top)
    cap = 1
    ring = below(t, s, top)
    while cap < height and colour(t, s, ring) == seat:
        cap += 1
        ring = below(t, s, ring)
    return la.stack_word(seat, height, cap, bottom)


@compiled
def without_top(t: Words, s: Words, w: int) -> int:
    """Remove the top ring from a stack and return the new word, 0 if none is left."""
    height, cap, bottom = la.word_height(w), la.word_cap(w), la.word_bottom(w)
    if height == 1:
        return 0
    link(t, s, bottom, below(t, s, below(t, s, bottom)))
    if cap > 1:
        return la.stack_word(w & la.SEAT_BITS, height - 1, cap - 1, bottom)
    return counted_word(t, s, height - 1, bottom)


@compiled
def with_ring_under(t: Words, s: Words, w: int, ring: int) -> int:
    """Put `ring` under a stack and return the new word."""
    height, cap, bottom = la.word_height(w), la.word_cap(w), la.word_bottom(w)
    seat = w & la.SEAT_BITS
    link(t, s, ring, below(t, s, bottom))
    link(t, s, bottom, ring)
    if cap == height and colour(t, s, ring) == seat:
        cap += 1
    return la.stack_word(seat, height + 1, cap, ring)


@compiled
def top_ring(t: Words, s: Words, w: int) -> int:
    """The top ring of a stack."""
    return below(t, s, la.word_bottom(w))


@compiled
def place_rings(t: Words, s: Words, c: int, seat: int, count: int) -> None:
    """Place rings from the seat's hand: `count` on an empty cell, or one on a stack."""
    ring = (seat - 1) * t[U(tb.T_RINGS)] + t[U(tb.T_RINGS)] - s[U(la.HAND + seat)]
    s[U(la.HAND + seat)] -= count
    s[U(la.ON_BOARD + seat)] += count
    w = la.cell(s, c)
    if w == 0:
        link(t, s, ring, ring + count - 1)
        for i in range(1, count):
            link(t, s, ring + i, ring + i - 1)
        put_stack(t, s, c, la.stack_word(seat, count, count, ring))
        return
    bottom = la.word_bottom(w)
    link(t, s, ring, below(t, s, bottom))
    link(t, s, bottom, ring)
    cap = la.cap_under(w, seat)
    change_stack(t, s, c, la.stack_word(seat, la.word_height(w) + 1, cap, bottom))


@compiled
def discard_top(t: Words, s: Words, w: int, credit: int) -> int:
    """Take the top ring of a stack out of play, credited to the seat `credit`; return the new
    word."""
    s[U(la.ON_BOARD + (w & la.SEAT_BITS))] -= 1
    s[U(la.REMOVED + credit)] += 1
    return without_top(t, s, w)


@compiled
def discard_cap(t: Words, s: Words, c: int, credit: int) -> None:
    """Take the whole cap of the stack on `c` out of play (11.5, 12)."""
    w = la.cell(s, c)
    height, cap, bottom = la.word_height(w), la.word_cap(w), la.word_bottom(w)
    s[U(la.ON_BOARD + (w & la.SEAT_BITS))] -= cap
    s[U(la.REMOVED + credit)] += cap
    if cap == height:
        take_stack(t, s, c)
        return
    ring = bottom
    for _ in range(cap + 1):
        ring = below(t, s, ring)
    link(t, s, bottom, ring)
    change_stack(t, s, c, counted_word(t, s, height - cap, bottom))


@compiled
def discard_lowest(t: Words, s: Words, c: int, seat: int) -> None:
    """Take the lowest ring of the seat's colour out of the stack on `c`, credited to the seat:
    extract(X) of 13.3."""
    w = la.cell(s, c)
    height, bottom = la.word_height(w), la.word_bottom(w)
    above, found, found_above = bottom, bottom, bottom
    for _ in range(height):
        ring = below(t, s, above)
        if colour(t, s, ring) == seat:
            found, found_above = ring, above
        above = ring
    s[U(la.ON_BOARD + seat)] -= 1
    s[U(la.REMOVED + seat)] += 1
    if height == 1:
        take_stack(t, s, c)
        return
    link(t, s, found_above, below(t, s, found))
    if found == bottom:
        bottom = found_above
    change_stack(t, s, c, counted_word(t, s, height - 1, bottom))


@compiled
def discard_stack(t: Words, s: Words, c: int, credit: int) -> None:
    """Take all rings of the stack on `c` out of play (11.4)."""
    w = take_stack(t, s, c)
    s[U(la.REMOVED + credit)] += la.word_height(w)
    ring = la.word_bottom(w)
    for _ in range(la.word_height(w)):
        s[U(la.ON_BOARD + colour(t, s, ring))] -= 1
        ring = below(t, s, ring)


@compiled
def has_buried(t: Words, s: Words, c: int, seat: int) -> bool:
    """Whether the stack on `c` holds a ring of `seat` below its top ring."""
    w = la.cell(s, c)
    ring = top_ring(t, s, w)
    for _ in range(la.word_height(w) - 1):
        ring = below(t, s, ring)
        if colour(t, s, ring) == seat:
            return True
    return False
