"""Changing cells: markers, territory, stacks. Keeps words, row masks and counters in step."""

from ringrift.rules.compile import U, compiled, i64, inlined
from ringrift.rules.geometry import (
    CELLS_AT,
    MAY_SPLIT,
    T_HEX,
    T_NEIGHBOURHOOD,
    T_RING_LINKS_AT,
    T_RINGS,
    T_SEATS,
    T_STRIDE_LOG2,
    TOUCHES,
)
from ringrift.rules.layout import (
    COLOUR_SHIFT,
    HAND,
    LAND_MASK,
    MARK_MASK,
    MARKERS,
    NINE_BITS,
    ON_BOARD,
    ONE_PIECE,
    OPEN_MASK,
    REMOVED,
    SEAT_BITS,
    STACKS,
    TERRITORY_OF,
    WALL,
    Words,
    bit_of,
    cell,
    flip,
    mask_at,
    slot_of,
    stack_mask,
    stack_word,
    word_bottom,
    word_cap,
    word_height,
)


@compiled
def _neighbourhood(t: Words, s: Words, border: int, c: int) -> int:
    """TOUCHES and MAY_SPLIT of a cell in the floor of a border colour."""
    at, y = slot_of(t, c), (c & ((1 << i64(t[U(T_STRIDE_LOG2)])) - 1)) - 1
    land = mask_at(t, LAND_MASK) + at
    before, here, after = i64(s[U(land - 1)]), i64(s[U(land)]), i64(s[U(land + 1)])
    if border:
        marks = mask_at(t, MARK_MASK + border) + at
        before &= ~s[U(marks - 1)]
        here &= ~s[U(marks)]
        after &= ~s[U(marks + 1)]
    index = ((before >> y) & 7) | (((here >> y) & 7) << 3) | (((after >> y) & 7) << 6)
    return i64(t[U(T_NEIGHBOURHOOD + index)])


@compiled
def spread_in_row(mask: int, floor: int) -> int:
    """Fill the runs of `floor` that `mask`, a part of it, touches."""
    filled = mask | (floor & ~(floor + mask))  # the carry runs to the upper end of each run
    free = floor
    filled |= free & (filled >> 1)
    free &= free >> 1
    filled |= free & (filled >> 2)
    free &= free >> 2
    filled |= free & (filled >> 4)
    free &= free >> 4
    filled |= free & (filled >> 8)
    free &= free >> 8
    return filled | (free & (filled >> 16))


@inlined
def _floor_row(s: Words, land: int, marks: int, border: int) -> int:
    """A row of the floor of a border colour; `land` and `marks` are offsets of the row in these
    masks."""
    return i64(s[U(land)]) & (~i64(s[U(marks)]) if border else -1)


@compiled
def _reconnects_nearby(t: Words, s: Words, border: int, c: int) -> bool:
    """Whether the floor neighbours of a new wall cell hang together within two rows on either side
    of it.

    Most cells that might split the floor by their eight neighbours are seen here not to.
    """
    at = slot_of(t, c)
    land, marks, skew = (
        mask_at(t, LAND_MASK) + at,
        mask_at(t, MARK_MASK + border) + at,
        i64(t[U(T_HEX)]),
    )
    f0, f1 = _floor_row(s, land - 2, marks - 2, border), _floor_row(s, land - 1, marks - 1, border)
    f2 = _floor_row(s, land, marks, border)
    f3, f4 = _floor_row(s, land + 1, marks + 1, border), _floor_row(s, land + 2, marks + 2, border)
    bit = bit_of(t, c)
    near1, near2, near3 = (
        f1 & (bit | (bit << skew)),
        f2 & ((bit << 1) | (bit >> 1)),
        f3 & (bit | (bit >> skew)),
    )
    r1 = near1 & -near1
    r2 = near2 & -near2 if r1 == 0 else 0
    r1, r2 = spread_in_row(r1, f1), spread_in_row(r2, f2)
    r0, r3, r4 = i64(0), i64(0), i64(0)
    for _ in range(2):
        r2 = spread_in_row(r2 | (f2 & (r1 | (r1 >> skew))), f2)
        r3 = spread_in_row(r3 | (f3 & (r2 | (r2 >> skew))), f3)
        r4 = spread_in_row(r4 | (f4 & (r3 | (r3 >> skew))), f4)
        r3 = spread_in_row(r3 | (f3 & (r4 | (r4 << skew))), f3)
        r2 = spread_in_row(r2 | (f2 & (r3 | (r3 << skew))), f2)
        r1 = spread_in_row(r1 | (f1 & (r2 | (r2 << skew))), f1)
        r0 = spread_in_row(r0 | (f0 & (r1 | (r1 << skew))), f0)
        r1 = spread_in_row(r1 | (f1 & (r0 | (r0 >> skew))), f1)
    return ((near1 & ~r1) | (near2 & ~r2) | (near3 & ~r3)) == 0


@compiled
def _floor_loses(t: Words, s: Words, border: int, c: int) -> None:
    """The cell became a wall for a border colour."""
    if (
        (s[U(ONE_PIECE)] >> border) & 1
        and _neighbourhood(t, s, border, c) & MAY_SPLIT
        and not _reconnects_nearby(t, s, border, c)
    ):
        s[U(ONE_PIECE)] &= ~(1 << border)


@compiled
def _floor_gains(t: Words, s: Words, border: int, c: int) -> None:
    """The cell is no wall for a border colour any more."""
    if (s[U(ONE_PIECE)] >> border) & 1 and (_neighbourhood(t, s, border, c) & TOUCHES) == 0:
        s[U(ONE_PIECE)] &= ~(1 << border)


@compiled
def add_marker(t: Words, s: Words, c: int, seat: int) -> None:
    """Marker on an empty cell."""
    s[U(CELLS_AT + c)] = seat
    s[U(MARKERS + seat)] += 1
    flip(t, s, MARK_MASK + seat, c)
    _floor_loses(t, s, seat, c)


@compiled
def take_marker(t: Words, s: Words, c: int) -> None:
    """Marker off the board; the cell is empty."""
    seat = cell(s, c)
    s[U(CELLS_AT + c)] = 0
    s[U(MARKERS + seat)] -= 1
    flip(t, s, MARK_MASK + seat, c)
    _floor_gains(t, s, seat, c)


@compiled
def collapse(t: Words, s: Words, c: int, seat: int) -> None:
    """An empty or marker cell becomes territory of `seat`."""
    marker = cell(s, c)
    if marker != 0:
        s[U(MARKERS + marker)] -= 1
        flip(t, s, MARK_MASK + marker, c)
    s[U(CELLS_AT + c)] = WALL | seat
    s[U(TERRITORY_OF + seat)] += 1
    flip(t, s, OPEN_MASK, c)
    flip(t, s, LAND_MASK, c)
    for border in range(t[U(T_SEATS)] + 1):
        if border == 0 or border != marker:
            _floor_loses(t, s, border, c)


@compiled
def put_stack(t: Words, s: Words, c: int, w: int) -> None:
    """Stack word on an empty cell."""
    seat = w & SEAT_BITS
    s[U(CELLS_AT + c)] = w
    s[U(STACKS + seat)] += 1
    flip(t, s, OPEN_MASK, c)
    flip(t, s, stack_mask(t, seat), c)


@compiled
def take_stack(t: Words, s: Words, c: int) -> int:
    """Lift the stack off its cell, which is empty then; gives its word."""
    w = cell(s, c)
    seat = w & SEAT_BITS
    s[U(CELLS_AT + c)] = 0
    s[U(STACKS + seat)] -= 1
    flip(t, s, OPEN_MASK, c)
    flip(t, s, stack_mask(t, seat), c)
    return w


@compiled
def change_stack(t: Words, s: Words, c: int, w: int) -> None:
    """Replace the stack on a cell by the changed word `w`, 0 if no ring is left."""
    take_stack(t, s, c)
    if w != 0:
        put_stack(t, s, c, w)


@compiled
def below(t: Words, s: Words, ring: int) -> int:
    """Ring under `ring`; the bottom ring gives the top."""
    return i64(s[U(t[U(T_RING_LINKS_AT)] + ring)] & NINE_BITS)


@compiled
def colour(t: Words, s: Words, ring: int) -> int:
    return i64(s[U(t[U(T_RING_LINKS_AT)] + ring)] >> COLOUR_SHIFT)


@compiled
def link(t: Words, s: Words, ring: int, under: int) -> None:
    """Make `under` the ring below `ring`."""
    at = U(t[U(T_RING_LINKS_AT)] + ring)
    s[at] = (s[at] & ~NINE_BITS) | under


@compiled
def counted_word(t: Words, s: Words, height: int, bottom: int) -> int:
    """Stack word from its rings, controller and cap counted afresh."""
    top = below(t, s, bottom)
    seat = colour(t, s, top)
    cap = 1
    ring = below(t, s, top)
    while cap < height and colour(t, s, ring) == seat:
        cap += 1
        ring = below(t, s, ring)
    return stack_word(seat, height, cap, bottom)


@compiled
def without_top(t: Words, s: Words, w: int) -> int:
    """Word of the stack after its top ring left the board or went elsewhere; 0 if that was all."""
    height, cap, bottom = word_height(w), word_cap(w), word_bottom(w)
    if height == 1:
        return 0
    link(t, s, bottom, below(t, s, below(t, s, bottom)))
    if cap > 1:
        return stack_word(w & SEAT_BITS, height - 1, cap - 1, bottom)
    return counted_word(t, s, height - 1, bottom)


@compiled
def with_ring_under(t: Words, s: Words, w: int, ring: int) -> int:
    """Word of the stack after `ring` was put to its bottom."""
    height, cap, bottom = word_height(w), word_cap(w), word_bottom(w)
    seat = w & SEAT_BITS
    link(t, s, ring, below(t, s, bottom))
    link(t, s, bottom, ring)
    if cap == height and colour(t, s, ring) == seat:
        cap += 1
    return stack_word(seat, height + 1, cap, ring)


@compiled
def top_ring(t: Words, s: Words, w: int) -> int:
    """Number of the stack's top ring."""
    return below(t, s, word_bottom(w))


@compiled
def place_rings(t: Words, s: Words, c: int, seat: int, count: int) -> None:
    """Rings from the seat's hand on top of a cell: an empty one, or one ring on a stack."""
    ring = (seat - 1) * t[U(T_RINGS)] + t[U(T_RINGS)] - s[U(HAND + seat)]
    s[U(HAND + seat)] -= count
    s[U(ON_BOARD + seat)] += count
    w = cell(s, c)
    if w == 0:
        link(t, s, ring, ring + count - 1)
        for i in range(1, count):
            link(t, s, ring + i, ring + i - 1)
        put_stack(t, s, c, stack_word(seat, count, count, ring))
        return
    bottom = word_bottom(w)
    link(t, s, ring, below(t, s, bottom))
    link(t, s, bottom, ring)
    cap = word_cap(w) + 1 if w & SEAT_BITS == seat else 1
    change_stack(t, s, c, stack_word(seat, word_height(w) + 1, cap, bottom))


@compiled
def discard_top(t: Words, s: Words, w: int, credit: int) -> int:
    """The stack's top ring leaves play, credited to `credit`; gives the new word."""
    s[U(ON_BOARD + (w & SEAT_BITS))] -= 1
    s[U(REMOVED + credit)] += 1
    return without_top(t, s, w)


@compiled
def discard_cap(t: Words, s: Words, c: int, credit: int) -> None:
    """The whole cap of the stack on `c` leaves play (11.5, 12)."""
    w = cell(s, c)
    height, cap, bottom = word_height(w), word_cap(w), word_bottom(w)
    s[U(ON_BOARD + (w & SEAT_BITS))] -= cap
    s[U(REMOVED + credit)] += cap
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
    """extract(X) of 13.3: the lowest ring of the seat's colour leaves the stack on `c`, credited to
    the seat."""
    w = cell(s, c)
    height, bottom = word_height(w), word_bottom(w)
    above, found, found_above = bottom, bottom, bottom
    for _ in range(height):
        ring = below(t, s, above)
        if colour(t, s, ring) == seat:
            found, found_above = ring, above
        above = ring
    s[U(ON_BOARD + seat)] -= 1
    s[U(REMOVED + seat)] += 1
    if height == 1:
        take_stack(t, s, c)
        return
    link(t, s, found_above, below(t, s, found))
    if found == bottom:
        bottom = found_above
    change_stack(t, s, c, counted_word(t, s, height - 1, bottom))


@compiled
def discard_stack(t: Words, s: Words, c: int, credit: int) -> None:
    """All rings of the stack on `c` leave play (11.4)."""
    w = take_stack(t, s, c)
    s[U(REMOVED + credit)] += word_height(w)
    ring = word_bottom(w)
    for _ in range(word_height(w)):
        s[U(ON_BOARD + colour(t, s, ring))] -= 1
        ring = below(t, s, ring)


@compiled
def has_buried(t: Words, s: Words, c: int, seat: int) -> bool:
    """Whether the stack on `c` holds a ring of `seat` below its top ring."""
    w = cell(s, c)
    ring = top_ring(t, s, w)
    for _ in range(word_height(w) - 1):
        ring = below(t, s, ring)
        if colour(t, s, ring) == seat:
            return True
    return False
