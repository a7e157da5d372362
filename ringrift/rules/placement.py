"""Where rings may be placed (section 7), for whole rows of cells at once."""

from ringrift.rules import layout as la, stacks as st
from ringrift.rules.compile import U, compiled, i64, inlined, lowest_bit
from ringrift.rules.layout import Words, cell, core_id, mask_at, word_height
from ringrift.rules.moves import A_SHIFT, N_SHIFT, PLACE
from ringrift.rules.table import ROW_MARGIN, T_HEX, T_STRIDE_LOG2, T_WIDTH

RINGS_MAX = 3  # of one placement
WORD_BITS = 64


@compiled
def walkable(s: Words, at: int, diagonal: int) -> tuple[int, int, int]:
    """Row masks of the cells from which one, two, three steps in some direction are open: the walk
    test of 7.2 for stacks of these heights.

    `at` is the offset of the row in the mask of open cells; `diagonal` is as in `near_row`."""
    here = i64(s[U(at)])
    p1, p2, p3 = i64(s[U(at + 1)]), i64(s[U(at + 2)]), i64(s[U(at + 3)])
    n1, n2, n3 = i64(s[U(at - 1)]), i64(s[U(at - 2)]), i64(s[U(at - 3)])
    a, b, c, d = (here >> 1) & (here >> 2), (here << 1) & (here << 2), p1 & p2, n1 & n2
    e, f = (p1 << 1) & (p2 << 2), (n1 >> 1) & (n2 >> 2)
    g, h = (p1 >> 1) & (p2 >> 2) & diagonal, (n1 << 1) & (n2 << 2) & diagonal
    two = a | b | c | d | e | f | g | h
    three = (a & (here >> 3)) | (b & (here << 3)) | (c & p3) | (d & n3)
    three |= (e & (p3 << 3)) | (f & (n3 >> 3)) | (g & (p3 >> 3)) | (h & (n3 << 3))
    return st.near_row(s, at, diagonal), two, three


@inlined
def list_placements(t: Words, s: Words, seat: int, out: Words, k: int) -> int:
    """Append all placements of `seat` (7.1 to 7.3).

    As many rows as fit are packed into one 64-bit word, in which the bit index counts core ids from
    the first row on. So loops over cells are few and long, as most of the time is lost where the
    end of a loop is mispredicted."""
    hand = i64(s[U(la.HAND + seat)])
    allow2 = -1 if hand >= 2 else 0
    allow3 = -1 if hand >= RINGS_MAX else 0
    diagonal = 0 if t[U(T_HEX)] else -1
    open_rows, land = mask_at(t, la.OPEN_MASK), mask_at(t, la.LAND_MASK)
    log2 = i64(t[U(T_STRIDE_LOG2)])
    end = ROW_MARGIN + i64(t[U(T_WIDTH)])
    for first in range(ROW_MARGIN, end, WORD_BITS >> log2):
        base = core_id(t, first, 0)
        empty, stacks, walk1, walk2, walk3 = i64(0), i64(0), i64(0), i64(0), i64(0)
        for slot in range(first, min(end, first + (WORD_BITS >> log2))):
            shift = (slot - first) << log2
            one, two, three = walkable(s, open_rows + slot, diagonal)
            empty |= st.empty_row(t, s, slot) << shift
            stacks |= (i64(s[U(land + slot)]) ^ i64(s[U(open_rows + slot)])) << shift
            walk1 |= one << shift
            walk2 |= two << shift
            walk3 |= three << shift
        one, two, three = empty & walk1, empty & walk2, empty & walk3
        # too little room to walk with all rings allowed, but perhaps a leap
        highest = walk3 if hand >= RINGS_MAX else walk2
        stuck = empty & ~(highest if hand >= 2 else walk1)
        while stuck:
            bit = stuck & -stuck
            counts = st.leap_counts(t, s, base + lowest_bit(stuck))
            one |= bit & -(counts & 1)
            two |= bit & -((counts >> 1) & 1)
            three |= bit & -((counts >> 2) & 1)
            stuck ^= bit
        k = _write_cells(base, one, two & one & allow2, three & one & allow3, out, k)
        while stacks:
            c = base + lowest_bit(stacks)
            bit = stacks & -stacks
            out[U(k)] = PLACE | (c << A_SHIFT) | (1 << N_SHIFT)
            k += _alive_on_stack(t, s, c, seat, walk2 & bit, walk3 & bit)
            stacks ^= bit
    return k


@inlined
def _alive_on_stack(t: Words, s: Words, c: int, seat: int, walk2: int, walk3: int) -> bool:
    """Whether one ring of `seat` may be placed on the stack at `c` (7.2).

    `walk2` and `walk3` are not 0 if a stack of that height could walk from there."""
    w = cell(s, c)
    height, cap = word_height(w) + 1, la.cap_under(w, seat)
    if height <= RINGS_MAX:
        if (walk2 if height == 2 else walk3) != 0:
            return True
        return st.can_leap(t, s, c, height, cap)
    return st.can_go(t, s, c, height, cap)


@inlined
def _write_cells(base: int, one: int, two: int, three: int, out: Words, k: int) -> int:
    """Append the placements of one, two and three rings on empty cells, given as bits from core id
    `base` on; `two` and `three` are subsets of `one`.

    May write WRITE_AHEAD words past the end of the list."""
    ones = PLACE | (base << A_SHIFT) | (1 << N_SHIFT)
    full = two & three
    rest = one & ~full
    while full:
        code = ones + (lowest_bit(full) << A_SHIFT)
        out[U(k)] = code
        out[U(k + 1)] = code + (1 << N_SHIFT)
        out[U(k + 2)] = code + (2 << N_SHIFT)
        k += 3
        full &= full - 1
    while rest:
        y = lowest_bit(rest)
        code = ones + (y << A_SHIFT)
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
    return can_place(t, s, seat) or st.some_stack_can_go(t, s, seat)


@compiled
def can_place(t: Words, s: Words, seat: int) -> bool:
    """Whether `seat` has a legal placement of one ring."""
    if s[U(la.HAND + seat)] == 0:
        return False
    open_rows, land = mask_at(t, la.OPEN_MASK), mask_at(t, la.LAND_MASK)
    first, last = ROW_MARGIN, ROW_MARGIN + i64(t[U(T_WIDTH)]) - 1
    diagonal = 0 if t[U(T_HEX)] else -1
    for slot in range(first, last + 1):
        if st.empty_row(t, s, slot) & st.near_row(s, open_rows + slot, diagonal):
            return True
    for slot in range(first, last + 1):
        stuck = st.empty_row(t, s, slot)
        while stuck:
            if st.leap_counts(t, s, core_id(t, slot, lowest_bit(stuck))) & 1:
                return True
            stuck &= stuck - 1
        stacks = i64(s[U(land + slot)]) ^ i64(s[U(open_rows + slot)])
        while stacks:
            c = core_id(t, slot, lowest_bit(stacks))
            w = cell(s, c)
            if st.can_go(t, s, c, word_height(w) + 1, la.cap_under(w, seat)):
                return True
            stacks &= stacks - 1
    return False
