"""Where rings may be placed (section 7), for whole rows of cells at once."""

from ringrift.rules.compile import U, compiled, i64, lowest_bit
from ringrift.rules.geometry import ROW_MARGIN, T_HEX, T_ROW_SLOTS, T_STRIDE_LOG2, T_WIDTH
from ringrift.rules.layout import (
    HAND,
    LAND_MASK,
    OPEN_MASK,
    SEAT_BITS,
    Words,
    cell,
    core_id,
    mask_at,
    scratch_mask,
    word_cap,
    word_height,
)
from ringrift.rules.moves import A_SHIFT, N_SHIFT, PLACE
from ringrift.rules.stacks import can_go, can_leap, empty_row, leap_counts, some_stack_can_go

RINGS_MAX = 3  # of one placement


# Scratch masks.
WALK1, WALK2, WALK3, LEAP = range(4)


@compiled
def find_room(t: Words, s: Words) -> None:
    """For the cells of all rows at once, what a new stack there could do.

    WALK1 to WALK3: one, two, three steps in some direction are open (the walk test of 7.2 for these heights). LEAP: in some
    direction the first stack is one or two steps away with an open cell behind it, or three steps away; a stack of up to three
    rings without room to walk can leap nowhere else.
    """
    open_rows, land, hexagonal = mask_at(t, OPEN_MASK), mask_at(t, LAND_MASK), t[U(T_HEX)]
    square = 0 if hexagonal else -1  # hexes lack two of the eight directions
    walk1, walk2, walk3, leap = scratch_mask(t, WALK1), scratch_mask(t, WALK2), scratch_mask(t, WALK3), scratch_mask(t, LEAP)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        o, g = open_rows + slot, land + slot
        o0, g0 = i64(s[U(o)]), i64(s[U(g)])
        p1, p2, p3 = i64(s[U(o + 1)]), i64(s[U(o + 2)]), i64(s[U(o + 3)])
        n1, n2, n3 = i64(s[U(o - 1)]), i64(s[U(o - 2)]), i64(s[U(o - 3)])
        q1, q2, q3 = s[U(g + 1)] ^ p1, s[U(g + 2)] ^ p2, s[U(g + 3)] ^ p3  # stacks
        m1, m2, m3 = s[U(g - 1)] ^ n1, s[U(g - 2)] ^ n2, s[U(g - 3)] ^ n3
        g0 ^= o0
        one = (o0 >> 1) | (o0 << 1) | p1 | n1 | (p1 << 1) | (n1 >> 1) | (((p1 >> 1) | (n1 << 1)) & square)
        a2, b2, c2, d2 = (o0 >> 1) & (o0 >> 2), (o0 << 1) & (o0 << 2), p1 & p2, n1 & n2
        e2, f2 = (p1 << 1) & (p2 << 2), (n1 >> 1) & (n2 >> 2)
        h2, i2 = (p1 >> 1) & (p2 >> 2) & square, (n1 << 1) & (n2 << 2) & square
        s[U(walk1 + slot)] = one
        s[U(walk2 + slot)] = a2 | b2 | c2 | d2 | e2 | f2 | h2 | i2
        near = (a2 & (o0 >> 3)) | (b2 & (o0 << 3)) | (c2 & p3) | (d2 & n3) | (e2 & (p3 << 3)) | (f2 & (n3 >> 3))
        s[U(walk3 + slot)] = near | (h2 & (p3 >> 3)) | (i2 & (n3 << 3))
        far = (a2 & (g0 >> 3)) | (b2 & (g0 << 3)) | (c2 & q3) | (d2 & m3) | (e2 & (q3 << 3)) | (f2 & (m3 >> 3))
        far |= (h2 & (q3 >> 3)) | (i2 & (m3 << 3))
        far |= ((g0 >> 1) & (o0 >> 2)) | ((g0 << 1) & (o0 << 2)) | (q1 & p2) | (m1 & n2)
        far |= ((q1 << 1) & (p2 << 2)) | ((m1 >> 1) & (n2 >> 2))
        far |= (((q1 >> 1) & (p2 >> 2)) | ((m1 << 1) & (n2 << 2))) & square
        far |= ((o0 >> 1) & (g0 >> 2) & (o0 >> 3)) | ((o0 << 1) & (g0 << 2) & (o0 << 3)) | (p1 & q2 & p3) | (n1 & m2 & n3)
        far |= ((p1 << 1) & (q2 << 2) & (p3 << 3)) | ((n1 >> 1) & (m2 >> 2) & (n3 >> 3))
        far |= (((p1 >> 1) & (q2 >> 2) & (p3 >> 3)) | ((n1 << 1) & (m2 << 2) & (n3 << 3))) & square
        s[U(leap + slot)] = far


@compiled
def list_placements(t: Words, s: Words, seat: int, out: Words, k: int) -> int:
    """Append all placements of `seat` (7.1 to 7.3)."""
    hand = i64(s[U(HAND + seat)])
    allow2, allow3 = (-1 if hand >= 2 else 0), (-1 if hand >= RINGS_MAX else 0)
    find_room(t, s)
    rooms = scratch_mask(t, WALK1)
    step = i64(t[U(T_ROW_SLOTS)])
    open_rows, land = mask_at(t, OPEN_MASK), mask_at(t, LAND_MASK)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        walk1, walk2 = i64(s[U(rooms + slot)]), i64(s[U(rooms + step + slot)])
        walk3, leap = i64(s[U(rooms + 2 * step + slot)]), i64(s[U(rooms + 3 * step + slot)])
        empty = empty_row(t, s, slot)
        one, two, three = empty & walk1, empty & walk2, empty & walk3
        stuck = empty & ~walk3 & leap
        while stuck:  # too little room to walk with three rings: perhaps a leap
            bit = stuck & -stuck
            counts = leap_counts(t, s, core_id(t, slot, lowest_bit(stuck)))
            one |= bit & -(counts & 1)
            two |= bit & -((counts >> 1) & 1)
            three |= bit & -((counts >> 2) & 1)
            stuck ^= bit
        k = _write_row(t, slot, one, two & one & allow2, three & one & allow3, out, k)
        stacks = i64(s[U(land + slot)]) ^ i64(s[U(open_rows + slot)])
        while stacks:
            c = core_id(t, slot, lowest_bit(stacks))
            bit = stacks & -stacks
            if _alive_on_stack(t, s, c, seat, walk2 & bit, walk3 & bit):
                out[U(k)] = PLACE | (c << A_SHIFT) | (1 << N_SHIFT)
                k += 1
            stacks ^= bit
    return k


@compiled
def _alive_on_stack(t: Words, s: Words, c: int, seat: int, walk2: int, walk3: int) -> bool:
    """Whether one ring of `seat` on the stack at `c` would not be dead; `walk2`, `walk3`: a stack of that height could walk."""
    w = cell(s, c)
    height = word_height(w) + 1
    cap = word_cap(w) + 1 if w & SEAT_BITS == seat else 1
    if height <= RINGS_MAX:
        if (walk2 if height == 2 else walk3) != 0:
            return True
        return can_leap(t, s, c, height, cap)
    return can_go(t, s, c, height, cap)


@compiled
def _write_row(t: Words, slot: int, one: int, two: int, three: int, out: Words, k: int) -> int:
    """Append the placements of one, two and three rings on the empty cells of a row; `two` and `three` lie within `one`."""
    base = PLACE | (1 << N_SHIFT) | ((slot - 2) << (i64(t[U(T_STRIDE_LOG2)]) + A_SHIFT))
    full = two & three
    rest = one & ~full
    while full:
        code = base | (lowest_bit(full) << A_SHIFT)
        out[U(k)] = code
        out[U(k + 1)] = code + (1 << N_SHIFT)
        out[U(k + 2)] = code + (2 << N_SHIFT)
        k += 3
        full &= full - 1
    while rest:
        y = lowest_bit(rest)
        code = base | (y << A_SHIFT)
        out[U(k)] = code
        k += 1
        out[U(k)] = code + (1 << N_SHIFT)
        k += (two >> y) & 1
        out[U(k)] = code + (2 << N_SHIFT)
        k += (three >> y) & 1
        rest &= rest - 1
    return k


@compiled
def can_act(t: Words, s: Words, seat: int) -> bool:
    """Whether the seat can act for real (17.1)."""
    return can_place(t, s, seat) or some_stack_can_go(t, s, seat)


@compiled
def can_place(t: Words, s: Words, seat: int) -> bool:
    """Whether `seat` has a legal placement of one ring."""
    if s[U(HAND + seat)] == 0:
        return False
    open_rows, land = mask_at(t, OPEN_MASK), mask_at(t, LAND_MASK)
    first, last = ROW_MARGIN, ROW_MARGIN + i64(t[U(T_WIDTH)]) - 1
    diagonal = 0 if t[U(T_HEX)] else -1
    for slot in range(first, last + 1):
        before, here, after = i64(s[U(open_rows + slot - 1)]), i64(s[U(open_rows + slot)]), i64(s[U(open_rows + slot + 1)])
        near = (here >> 1) | (here << 1) | before | (before >> 1) | after | (after << 1)
        if empty_row(t, s, slot) & (near | (((before << 1) | (after >> 1)) & diagonal)):
            return True
    for slot in range(first, last + 1):
        stuck = empty_row(t, s, slot)
        while stuck:
            if leap_counts(t, s, core_id(t, slot, lowest_bit(stuck))) & 1:
                return True
            stuck &= stuck - 1
        stacks = i64(s[U(land + slot)]) ^ i64(s[U(open_rows + slot)])
        while stacks:
            c = core_id(t, slot, lowest_bit(stacks))
            w = cell(s, c)
            cap = word_cap(w) + 1 if w & SEAT_BITS == seat else 1
            if can_go(t, s, c, word_height(w) + 1, cap):
                return True
            stacks &= stacks - 1
    return False
