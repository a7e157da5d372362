"""Regions and claims (section 11), on row masks."""

from ringrift.rules.board import collapse, discard_stack, has_buried, spread_in_row
from ringrift.rules.compile import U, compiled, i64, inlined, lowest_bit
from ringrift.rules.geometry import ROW_MARGIN, T_GROWTH, T_HEX, T_SEATS, T_VALID, T_WIDTH
from ringrift.rules.layout import (
    LAND_MASK,
    MARK_MASK,
    MARKERS,
    ON_BOARD,
    ONE_PIECE,
    RECOVERING,
    STACK,
    STACKS,
    WITNESS,
    Words,
    bit_of,
    cell,
    core_id,
    mask_at,
    scratch_mask,
    slot_of,
    stack_mask,
)
from ringrift.rules.moves import CLAIM, make_move

# Scratch masks.
FLOOR, REST, REGION, BORDER = range(4)


@inlined
def colours_present(t: Words, s: Words) -> int:
    """Number of colours with a ring on the board, buried rings included."""
    present = 0
    for seat in range(1, t[U(T_SEATS)] + 1):
        present += s[U(ON_BOARD + seat)] > 0
    return present


@compiled
def make_floor(t: Words, s: Words, border: int) -> None:
    """FLOOR = cells that are neither collapsed nor markers of colour `border` (0: collapsed cells
    only are walls)."""
    floor, land, marks = (
        scratch_mask(t, FLOOR),
        mask_at(t, LAND_MASK),
        mask_at(t, MARK_MASK + border),
    )
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        row = i64(s[U(land + slot)])
        if border:
            row &= ~s[U(marks + slot)]
        s[U(floor + slot)] = row


@compiled
def neighbour_rows(t: Words, s: Words, mask: int, slot: int) -> int:
    """Territory neighbours, in the row of `slot`, of the mask's cells in the two rows next to
    it."""
    before, after = i64(s[U(mask + slot - 1)]), i64(s[U(mask + slot + 1)])
    if t[U(T_HEX)]:
        return before | (before >> 1) | after | (after << 1)
    return before | after


@compiled
def flood(t: Words, s: Words, c: int) -> None:
    """REGION = component of FLOOR that contains the cell `c`; sweeps to and fro over the rows
    reached so far and the next ones."""
    floor, region, hexagonal = scratch_mask(t, FLOOR), scratch_mask(t, REGION), i64(t[U(T_HEX)])
    for slot in range(ROW_MARGIN - 1, ROW_MARGIN + t[U(T_WIDTH)] + 1):
        s[U(region + slot)] = 0
    first = slot_of(t, c)
    last = first
    s[U(region + first)] = spread_in_row(bit_of(t, c), i64(s[U(floor + first)]))
    changed = True
    while changed:
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
    """Let the region spread into one row from the rows next to it; the arguments are offsets of the
    row."""
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


@compiled
def controllers_inside(t: Words, s: Words) -> int:
    """Number of different controllers of stacks in REGION."""
    region = scratch_mask(t, REGION)
    count = 0
    for seat in range(1, t[U(T_SEATS)] + 1):
        if _meets(t, s, region, mask_at(t, stack_mask(t, seat))):
            count += 1
    return count


@compiled
def _meets(t: Words, s: Words, one: int, other: int) -> bool:
    common = i64(0)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        common |= s[U(one + slot)] & s[U(other + slot)]
    return common != 0


@compiled
def _payable(t: Words, s: Words, seat: int) -> bool:
    """Whether the cost could be paid from outside REGION (11.3)."""
    region = scratch_mask(t, REGION)
    if s[U(RECOVERING)] == 0:
        mine = mask_at(t, stack_mask(t, seat))
        outside = i64(0)
        for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
            outside |= s[U(mine + slot)] & ~s[U(region + slot)]
        return outside != 0
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        outside = t[U(T_VALID + slot)] & ~i64(s[U(region + slot)])
        while outside:
            c = core_id(t, slot, lowest_bit(outside))
            if cell(s, c) & STACK and has_buried(t, s, c, seat):
                return True
            outside &= outside - 1
    return False


@inlined
def _found_with_lower_colour(t: Words, s: Words, border: int) -> bool:
    """Whether REGION is also a component for a border colour that takes its place in the list
    (21.2)."""
    n = i64(t[U(T_SEATS)])
    upto = border if border else n + 1
    for other in range(1, upto):  # noqa: SIM110 (numba compiles no generators)
        if s[U(MARKERS + other)] > 0 and _closed_by(t, s, other):
            return True
    return False


@inlined
def _closed_by(t: Words, s: Words, border: int) -> bool:
    """Whether REGION is a component of the floor of `border`: none of its markers inside, only
    walls around."""
    region, marks, land = (
        scratch_mask(t, REGION),
        mask_at(t, MARK_MASK + border),
        mask_at(t, LAND_MASK),
    )
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
    """Whether the seat could pay for anything at all."""
    return bool(s[U(STACKS + seat)] > 0 or s[U(RECOVERING)] != 0)


@compiled
def open_search(t: Words, s: Words, border: int) -> bool:
    """Prepare `next_claim` for a border colour; false if there is nothing to find with it (11.1).

    A floor in one piece holds every stack, so its only component cannot be paid for from outside.
    """
    if (s[U(ONE_PIECE)] >> border) & 1:
        return False
    if border:
        if s[U(MARKERS + border)] == 0:
            return False
    elif colours_present(t, s) < 2:
        return False
    make_floor(t, s, border)
    floor, rest = scratch_mask(t, FLOOR), scratch_mask(t, REST)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        s[U(rest + slot)] = s[U(floor + slot)]
    return True


@compiled
def next_claim(t: Words, s: Words, seat: int, border: int) -> int:
    """First cell of the next processable region of the search, 0 if there is no more."""
    rest, region = scratch_mask(t, REST), scratch_mask(t, REGION)
    first, last = ROW_MARGIN, ROW_MARGIN + i64(t[U(T_WIDTH)]) - 1
    present = colours_present(t, s)
    for slot in range(first, last + 1):
        while s[U(rest + slot)]:
            c = core_id(t, slot, lowest_bit(i64(s[U(rest + slot)])))
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
    """Whether the mover has a processable region. Writes nothing but scratch, ONE_PIECE and
    WITNESS."""
    if not may_claim(s, seat):
        return False
    n = i64(t[U(T_SEATS)])
    if s[U(RECOVERING)] == 0:
        for border in range(1, n + 1):
            if _witness_stands(t, s, seat, border):
                return True
    for i in range(1, n + 2):
        border = i % (n + 1)  # 1 to n, then 0
        if not open_search(t, s, border):
            continue
        if s[U(RECOVERING)] == 0:
            pieces = _split_by_first_stack(t, s, seat, border)
            if pieces == 1:
                continue
            if border and (pieces == 2 or _witness_stands(t, s, seat, border)):
                return True
            open_search(t, s, border)
        if next_claim(t, s, seat, border) != 0:
            return True
    return False


@compiled
def _witness_stands(t: Words, s: Words, seat: int, border: int) -> bool:
    """Whether the component of the cell remembered for a border colour is a processable region."""
    c = i64(s[U(WITNESS + border)])
    if c == 0 or (s[U(ONE_PIECE)] >> border) & 1 or s[U(MARKERS + border)] == 0:
        return False
    make_floor(t, s, border)
    if (s[U(scratch_mask(t, FLOOR) + slot_of(t, c))] & bit_of(t, c)) == 0:
        return False
    flood(t, s, c)
    return controllers_inside(t, s) < colours_present(t, s) and _payable(t, s, seat)


@inlined
def _split_by_first_stack(t: Words, s: Words, seat: int, border: int) -> int:
    """Look at the component of FLOOR around the seat's first stack: 1 if it is all there is, 2 if
    there are others but all stacks of the seat are in it (so that each other component lacks its
    colour and can be claimed), 3 otherwise."""
    floor, region, mine = (
        scratch_mask(t, FLOOR),
        scratch_mask(t, REGION),
        mask_at(t, stack_mask(t, seat)),
    )
    first = ROW_MARGIN
    while s[U(mine + first)] == 0:
        first += 1
    flood(t, s, core_id(t, first, lowest_bit(i64(s[U(mine + first)]))))
    other_cell, other_stacks = i64(0), i64(0)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        rest = s[U(floor + slot)] & ~s[U(region + slot)]
        if rest:
            other_cell = core_id(t, slot, lowest_bit(rest))
        other_stacks |= s[U(mine + slot)] & ~s[U(region + slot)]
    s[U(WITNESS + border)] = other_cell
    if other_cell == 0:
        s[U(ONE_PIECE)] |= 1 << border
        return 1
    return 2 if other_stacks == 0 else 3


@inlined
def find_region(t: Words, s: Words, first: int, border: int) -> None:
    """REGION = the cells of the claim named by its first cell and border colour."""
    make_floor(t, s, border)
    flood(t, s, first)


@inlined
def claim(t: Words, s: Words, seat: int, first: int, border: int) -> None:
    """11.4: take region and border, without the cost."""
    find_region(t, s, first, border)
    _find_border(t, s)
    region, edge = scratch_mask(t, REGION), scratch_mask(t, BORDER)
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        mask = i64(s[U(region + slot)]) | s[U(edge + slot)]
        while mask:
            c = core_id(t, slot, lowest_bit(mask))
            if cell(s, c) & STACK:
                discard_stack(t, s, c, seat)
            collapse(t, s, c, seat)
            mask &= mask - 1


@inlined
def _markers_outside(t: Words, s: Words, slot: int) -> int:
    """Markers of any colour in a row, outside REGION."""
    row = i64(0)
    for seat in range(1, t[U(T_SEATS)] + 1):
        row |= s[U(mask_at(t, MARK_MASK + seat) + slot)]
    return row & ~i64(s[U(scratch_mask(t, REGION) + slot)])


@inlined
def _find_border(t: Words, s: Words) -> None:
    """BORDER = the marker cells that collapse with REGION."""
    region, border, free = scratch_mask(t, REGION), scratch_mask(t, BORDER), scratch_mask(t, REST)
    first, last = ROW_MARGIN, ROW_MARGIN + i64(t[U(T_WIDTH)]) - 1
    for slot in range(first, last + 1):
        s[U(free + slot)] = _markers_outside(t, s, slot)
        row = i64(s[U(region + slot)])
        s[U(border + slot)] = (neighbour_rows(t, s, region, slot) | (row << 1) | (row >> 1)) & s[
            U(free + slot)
        ]
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
