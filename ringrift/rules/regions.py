"""Regions and claims (section 11), on row masks."""

from ringrift.rules import layout as la
from ringrift.rules.board import collapse, discard_stack, has_buried
from ringrift.rules.compile import U, compiled, i64, inlined, lowest_bit
from ringrift.rules.floor import BORDER, FLOOR, REGION, REST, flood, make_floor, neighbour_rows
from ringrift.rules.layout import Words
from ringrift.rules.moves import CLAIM, make_move
from ringrift.rules.table import ROW_MARGIN, T_GROWTH, T_SEATS, T_VALID, T_WIDTH


@inlined
def colours_present(t: Words, s: Words) -> int:
    """Number of colours with a ring on the board, buried rings included."""
    present = 0
    for seat in range(1, t[U(T_SEATS)] + 1):
        present += s[U(la.ON_BOARD + seat)] > 0
    return present


@compiled
def controllers_inside(t: Words, s: Words) -> int:
    """Number of different controllers of stacks in REGION."""
    region = la.scratch_mask(t, REGION)
    count = 0
    for seat in range(1, t[U(T_SEATS)] + 1):
        stacks = la.mask_at(t, la.stack_mask(t, seat))
        common = i64(0)
        for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
            common |= s[U(region + slot)] & s[U(stacks + slot)]
        count += common != 0
    return count


@compiled
def _payable(t: Words, s: Words, seat: int) -> bool:
    """Whether the cost could be paid from outside REGION (11.3)."""
    region = la.scratch_mask(t, REGION)
    if s[U(la.RECOVERING)] == 0:
        mine = la.mask_at(t, la.stack_mask(t, seat))
        outside = i64(0)
        for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
            outside |= s[U(mine + slot)] & ~s[U(region + slot)]
        return outside != 0
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        outside = t[U(T_VALID + slot)] & ~i64(s[U(region + slot)])
        while outside:
            c = la.core_id(t, slot, lowest_bit(outside))
            if la.cell(s, c) & la.STACK and has_buried(t, s, c, seat):
                return True
            outside &= outside - 1
    return False


@inlined
def _found_with_lower_colour(t: Words, s: Words, border: int) -> bool:
    """Whether REGION is also a component for a border colour that names it instead (21.2)."""
    upto = border if border else i64(t[U(T_SEATS)]) + 1
    for other in range(1, upto):  # noqa: SIM110 (numba compiles no generators)
        if s[U(la.MARKERS + other)] > 0 and _closed_by(t, s, other):
            return True
    return False


@inlined
def _closed_by(t: Words, s: Words, border: int) -> bool:
    """Whether REGION is a component of the floor of `border`: none of its markers inside, only
    walls around."""
    region, marks = la.scratch_mask(t, REGION), la.mask_at(t, la.MARK_MASK + border)
    land = la.mask_at(t, la.LAND_MASK)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        row = i64(s[U(region + slot)])
        if row & s[U(marks + slot)]:
            return False
        around = (neighbour_rows(t, s, region, slot) | (row << 1) | (row >> 1)) & ~row
        if around & s[U(land + slot)] & ~i64(s[U(marks + slot)]):
            return False
    return True


@inlined
def may_claim(s: Words, seat: int) -> bool:
    """Whether the seat could pay for any claim."""
    return bool(s[U(la.STACKS + seat)] > 0 or s[U(la.RECOVERING)] != 0)


@compiled
def open_search(t: Words, s: Words, border: int) -> bool:
    """Prepare `next_claim` for a border colour; return False if it can find nothing (11.1)."""
    # a floor in one piece holds every stack, so its only component cannot be paid for from outside
    if (s[U(la.ONE_PIECE)] >> border) & 1:
        return False
    if border:
        if s[U(la.MARKERS + border)] == 0:
            return False
    elif colours_present(t, s) < 2:
        return False
    make_floor(t, s, border)
    floor, rest = la.scratch_mask(t, FLOOR), la.scratch_mask(t, REST)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        s[U(rest + slot)] = s[U(floor + slot)]
    return True


@compiled
def next_claim(t: Words, s: Words, seat: int, border: int) -> int:
    """Return the first cell of the next processable region of the search, or 0."""
    rest, region = la.scratch_mask(t, REST), la.scratch_mask(t, REGION)
    first, last = ROW_MARGIN, ROW_MARGIN + i64(t[U(T_WIDTH)]) - 1
    present = colours_present(t, s)
    for slot in range(first, last + 1):
        while s[U(rest + slot)]:
            c = la.core_id(t, slot, lowest_bit(i64(s[U(rest + slot)])))
            flood(t, s, c)
            for other in range(slot, last + 1):
                s[U(rest + other)] &= ~s[U(region + other)]
            inside = controllers_inside(t, s)
            is_region = inside < present if border else inside == 1
            if is_region and _payable(t, s, seat) and not _found_with_lower_colour(t, s, border):
                return c
    return 0


@inlined
def list_claims(t: Words, s: Words, seat: int, out: Words, k: int) -> int:
    """Append a claim for every processable region of the mover."""
    if not may_claim(s, seat):
        return k
    n = i64(t[U(T_SEATS)])
    for i in range(1, n + 2):
        border = i % (n + 1)  # 1 to n, then 0
        if open_search(t, s, border):
            c = next_claim(t, s, seat, border)
            while c != 0:
                out[U(k)] = make_move(CLAIM, c, 0, 0, 0, border)
                k += 1
                c = next_claim(t, s, seat, border)
    return k


@compiled
def has_claim(t: Words, s: Words, seat: int) -> bool:
    """Whether the mover has a processable region. Writes only scratch, ONE_PIECE and WITNESS."""
    if not may_claim(s, seat):
        return False
    n = i64(t[U(T_SEATS)])
    if s[U(la.RECOVERING)] == 0:
        for border in range(1, n + 1):
            if _witness_claims(t, s, seat, border):
                return True
    for i in range(1, n + 2):
        border = i % (n + 1)  # 1 to n, then 0
        if not open_search(t, s, border):
            continue
        if s[U(la.RECOVERING)] == 0:
            pieces = _split_by_first_stack(t, s, seat, border)
            if pieces == 1:
                continue
            if border and (pieces == 2 or _witness_claims(t, s, seat, border)):
                return True
            open_search(t, s, border)
        if next_claim(t, s, seat, border) != 0:
            return True
    return False


@compiled
def _witness_claims(t: Words, s: Words, seat: int, border: int) -> bool:
    """Whether the component of the cell remembered for a border colour is a processable region.

    Regions last for many turns, so this is usually the first component looked at."""
    c = i64(s[U(la.WITNESS + border)])
    if c == 0 or (s[U(la.ONE_PIECE)] >> border) & 1 or s[U(la.MARKERS + border)] == 0:
        return False
    make_floor(t, s, border)
    if (s[U(la.scratch_mask(t, FLOOR) + la.slot_of(t, c))] & la.bit_of(t, c)) == 0:
        return False
    flood(t, s, c)
    return controllers_inside(t, s) < colours_present(t, s) and _payable(t, s, seat)


@inlined
def _split_by_first_stack(t: Words, s: Words, seat: int, border: int) -> int:
    """Compare FLOOR with its component around the seat's first stack.

    Returns 1 if there is no other component; 2 if there are others but all stacks of the seat are
    in this one, so that each other component lacks its colour and can be claimed; 3 otherwise."""
    floor, region = la.scratch_mask(t, FLOOR), la.scratch_mask(t, REGION)
    mine = la.mask_at(t, la.stack_mask(t, seat))
    first = ROW_MARGIN
    while s[U(mine + first)] == 0:
        first += 1
    flood(t, s, la.core_id(t, first, lowest_bit(i64(s[U(mine + first)]))))
    other_cell, other_stacks = i64(0), i64(0)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        rest = s[U(floor + slot)] & ~s[U(region + slot)]
        if rest:
            other_cell = la.core_id(t, slot, lowest_bit(rest))
        other_stacks |= s[U(mine + slot)] & ~s[U(region + slot)]
    s[U(la.WITNESS + border)] = other_cell
    if other_cell == 0:
        s[U(la.ONE_PIECE)] |= 1 << border
        return 1
    return 2 if other_stacks == 0 else 3


@inlined
def find_region(t: Words, s: Words, first: int, border: int) -> None:
    """Set REGION to the cells of the claim named by its first cell and border colour."""
    make_floor(t, s, border)
    flood(t, s, first)


@inlined
def claim(t: Words, s: Words, seat: int, first: int, border: int) -> None:
    """Take region and border, without the cost (11.4)."""
    find_region(t, s, first, border)
    _find_border(t, s)
    region, edge = la.scratch_mask(t, REGION), la.scratch_mask(t, BORDER)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        mask = i64(s[U(region + slot)]) | s[U(edge + slot)]
        while mask:
            c = la.core_id(t, slot, lowest_bit(mask))
            if la.cell(s, c) & la.STACK:
                discard_stack(t, s, c, seat)
            collapse(t, s, c, seat)
            mask &= mask - 1


@inlined
def _find_border(t: Words, s: Words) -> None:
    """Set BORDER to the marker cells that collapse with REGION."""
    region, border = la.scratch_mask(t, REGION), la.scratch_mask(t, BORDER)
    free = la.scratch_mask(t, REST)  # markers of any colour outside REGION
    first, last = ROW_MARGIN, ROW_MARGIN + i64(t[U(T_WIDTH)]) - 1
    for slot in range(first, last + 1):
        row, marks = i64(s[U(region + slot)]), i64(0)
        for seat in range(1, t[U(T_SEATS)] + 1):
            marks |= s[U(la.mask_at(t, la.MARK_MASK + seat) + slot)]
        s[U(free + slot)] = marks & ~row
        near = neighbour_rows(t, s, region, slot) | (row << 1) | (row >> 1)
        s[U(border + slot)] = near & s[U(free + slot)]
    s[U(border + first - 1)] = 0
    s[U(border + last + 1)] = 0
    changed = t[U(T_GROWTH)] != 0
    while changed:
        changed = False
        for slot in range(first, last + 1):
            near = i64(s[U(border + slot - 1)]) | s[U(border + slot)] | s[U(border + slot + 1)]
            new = (near | (near << 1) | (near >> 1)) & s[U(free + slot)] & ~s[U(border + slot)]
            if new:
                s[U(border + slot)] |= new
                changed = True
