"""Floors: the cells that collapsed cells and the markers of one colour leave over (11.1).

For each *border colour* (a seat, or 0 for collapsed cells only) the header word ONE_PIECE says
whether its floor is known to be connected, in which case it holds no region. Functions work on
whole rows of cells, one bit for each cell.
"""

from ringrift.rules import layout as la, table as tb
from ringrift.rules.compile import U, compiled, i64, inlined
from ringrift.rules.layout import Words

# Scratch masks.
FLOOR, REST, REGION, BORDER = range(4)


@inlined
def _floor_row(s: Words, land: int, marks: int, border: int) -> int:
    """Return a row of the floor; `land` and `marks` are the offsets of the row in these masks."""
    return i64(s[U(land)]) & (~i64(s[U(marks)]) if border else -1)


@compiled
def _neighbourhood(t: Words, s: Words, border: int, c: int) -> int:
    """Return the flags TOUCHES and MAY_SPLIT of a cell in the floor of a border colour."""
    at, y = la.slot_of(t, c), (c & ((1 << i64(t[U(tb.T_STRIDE_LOG2)])) - 1)) - 1
    land, marks = la.mask_at(t, la.LAND_MASK) + at, la.mask_at(t, la.MARK_MASK + border) + at
    index = i64(0)
    for i in range(3):
        row = _floor_row(s, land - 1 + i, marks - 1 + i, border)
        index |= ((row >> y) & 7) << (3 * i)
    return i64(t[U(tb.T_NEIGHBOURHOOD + index)])


@compiled
def spread_in_row(mask: int, floor: int) -> int:
    """Fill the runs of the row `floor` that have a bit in `mask`, a part of it."""
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


@compiled
def _reconnects_nearby(t: Words, s: Words, border: int, c: int) -> bool:
    """Whether the floor neighbours of a new wall cell are connected within two rows of it.

    This clears most of the cells that might split the floor by their eight neighbours alone."""
    at = la.slot_of(t, c)
    land, marks = la.mask_at(t, la.LAND_MASK) + at, la.mask_at(t, la.MARK_MASK + border) + at
    skew = i64(t[U(tb.T_HEX)])  # on hexes, neighbours in the next row are shifted by one
    f0, f1 = _floor_row(s, land - 2, marks - 2, border), _floor_row(s, land - 1, marks - 1, border)
    f2 = _floor_row(s, land, marks, border)
    f3, f4 = _floor_row(s, land + 1, marks + 1, border), _floor_row(s, land + 2, marks + 2, border)
    bit = la.bit_of(t, c)
    near1, near2 = f1 & (bit | (bit << skew)), f2 & ((bit << 1) | (bit >> 1))
    near3 = f3 & (bit | (bit >> skew))
    # start from one neighbour and see whether the others are reached
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
def floor_loses(t: Words, s: Words, border: int, c: int) -> None:
    """Update ONE_PIECE after the cell became a wall for a border colour."""
    if (s[U(la.ONE_PIECE)] >> border) & 1 == 0:
        return
    may_split = _neighbourhood(t, s, border, c) & tb.MAY_SPLIT
    if may_split and not _reconnects_nearby(t, s, border, c):
        s[U(la.ONE_PIECE)] &= ~(1 << border)


@compiled
def floor_gains(t: Words, s: Words, border: int, c: int) -> None:
    """Update ONE_PIECE after the cell stopped being a wall for a border colour."""
    if (s[U(la.ONE_PIECE)] >> border) & 1 and (_neighbourhood(t, s, border, c) & tb.TOUCHES) == 0:
        s[U(la.ONE_PIECE)] &= ~(1 << border)


@compiled
def make_floor(t: Words, s: Words, border: int) -> None:
    """Set FLOOR to the floor of a border colour."""
    floor, land = la.scratch_mask(t, FLOOR), la.mask_at(t, la.LAND_MASK)
    marks = la.mask_at(t, la.MARK_MASK + border)
    for slot in range(tb.ROW_MARGIN, tb.ROW_MARGIN + t[U(tb.T_WIDTH)]):
        s[U(floor + slot)] = _floor_row(s, land + slot, marks + slot, border)


@compiled
def neighbour_rows(t: Words, s: Words, mask: int, slot: int) -> int:
    """Return the territory neighbours, in the row of `slot`, of the cells of a mask in the two rows
    next to it."""
    before, after = i64(s[U(mask + slot - 1)]), i64(s[U(mask + slot + 1)])
    if t[U(tb.T_HEX)]:
        return before | (before >> 1) | after | (after << 1)
    return before | after


@compiled
def flood(t: Words, s: Words, c: int) -> None:
    """Set REGION to the component of FLOOR that contains the cell `c`."""
    floor, region = la.scratch_mask(t, FLOOR), la.scratch_mask(t, REGION)
    hexagonal = i64(t[U(tb.T_HEX)])
    for slot in range(tb.ROW_MARGIN - 1, tb.ROW_MARGIN + t[U(tb.T_WIDTH)] + 1):
        s[U(region + slot)] = 0
    first = la.slot_of(t, c)
    last = first
    s[U(region + first)] = spread_in_row(la.bit_of(t, c), i64(s[U(floor + first)]))
    changed = True
    while changed:  # sweep forth and back over the rows reached so far and the next ones
        changed = False
        slot = first
        while slot <= last + 1:
            if _grow_row(s, floor + slot, region + slot, hexagonal):
                changed = True
                last = max(last, slot)
            slot += 1
        slot = last
        while slot >= first - 1:
            if _grow_row(s, floor + slot, region + slot, hexagonal):
                changed = True
                first = min(first, slot)
            slot -= 1


@inlined
def _grow_row(s: Words, floor: int, region: int, hexagonal: int) -> bool:
    """Spread the region into one row from the rows next to it; return whether it grew.

    `floor` and `region` are the offsets of the row in these masks."""
    before, after, free = i64(s[U(region - 1)]), i64(s[U(region + 1)]), i64(s[U(floor)])
    near = before | after
    if hexagonal:
        near |= (before >> 1) | (after << 1)
    old = i64(s[U(region)])
    new = near & free & ~old
    if new == 0:
        return False
    s[U(region)] = old | spread_in_row(new, free)
    return True
