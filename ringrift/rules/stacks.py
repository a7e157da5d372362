"""The moves of a stack: plain moves (8) and leaps (9)."""

from ringrift.rules import layout as la, table as tb
from ringrift.rules.compile import U, compiled, i64, inlined, lowest_bit
from ringrift.rules.layout import Words, cell, core_id, mask_at, stack_mask, word_cap, word_height
from ringrift.rules.moves import C_SHIFT, LEAP, WALK, make_move


@compiled
def can_go(t: Words, s: Words, a: int, height: int, cap: int) -> bool:
    """Whether a stack of this height and cap at `a` would have a plain move or a leap."""
    for i in range(t[U(tb.T_DIRECTIONS)]):
        if can_walk_along(s, a, i64(t[U(tb.T_DIRECTION + i)]), height):
            return True
    return can_leap(t, s, a, height, cap)


@inlined
def can_walk_along(s: Words, a: int, d: int, height: int) -> bool:
    """Whether the next `height` cells are open (the quick test of 7.2)."""
    c = a + d
    steps = 0
    while steps < height and (cell(s, c) & la.BLOCK) == 0:
        c += d
        steps += 1
    return steps == height


@compiled
def can_leap(t: Words, s: Words, a: int, height: int, cap: int) -> bool:
    """Whether a stack of this height and cap at `a` would have a leap (9.1)."""
    for i in range(t[U(tb.T_DIRECTIONS)]):
        d = i64(t[U(tb.T_DIRECTION + i)])
        c = a + d
        steps = 1
        while (cell(s, c) & la.BLOCK) == 0:
            c += d
            steps += 1
        w = cell(s, c)
        if (w & la.STACK) == 0 or word_cap(w) > cap:
            continue
        c += d
        steps += 1
        while (cell(s, c) & la.BLOCK) == 0:
            if steps >= height:
                return True
            c += d
            steps += 1
    return False


@compiled
def stack_can_go(t: Words, s: Words, a: int) -> bool:
    w = cell(s, a)
    return can_go(t, s, a, word_height(w), word_cap(w))


@inlined
def stack_can_leap(t: Words, s: Words, a: int) -> bool:
    w = cell(s, a)
    return can_leap(t, s, a, word_height(w), word_cap(w))


@compiled
def some_stack_can_go(t: Words, s: Words, seat: int) -> bool:
    """Whether any stack the seat controls has a plain move or a leap."""
    rows = mask_at(t, stack_mask(t, seat))
    for slot in range(tb.ROW_MARGIN, tb.ROW_MARGIN + t[U(tb.T_WIDTH)]):
        mask = i64(s[U(rows + slot)])
        while mask:
            if stack_can_go(t, s, core_id(t, slot, lowest_bit(mask))):
                return True
            mask &= mask - 1
    return False


@compiled
def list_leaps(t: Words, s: Words, a: int, kind: int, out: Words, k: int) -> int:
    """Append all leaps from `a` as moves of type `kind`."""
    w = cell(s, a)
    height, cap = word_height(w), word_cap(w)
    for i in range(t[U(tb.T_DIRECTIONS)]):
        d = i64(t[U(tb.T_DIRECTION + i)])
        c = a + d
        steps = 1
        while (cell(s, c) & la.BLOCK) == 0:
            c += d
            steps += 1
        code = make_move(kind, a, c, 0, 0, 0)
        k = _list_landings(s, code, c, d, steps, height, cap, out, k)
    return k


@inlined
def _list_landings(
    s: Words, code: int, over: int, d: int, steps: int, height: int, cap: int, out: Words, k: int
) -> int:
    """Append the leaps over `over`, which is `steps` away in direction `d`, if they are legal.

    `code` is the move without the cell to land on."""
    w = cell(s, over)
    if (w & la.STACK) == 0 or word_cap(w) > cap:
        return k
    c = over + d
    steps += 1
    while (cell(s, c) & la.BLOCK) == 0:
        out[U(k)] = code | (c << C_SHIFT)
        k += steps >= height  # no branch: it would be hard to predict
        c += d
        steps += 1
    return k


@compiled
def list_moves_from(t: Words, s: Words, a: int, out: Words, k: int) -> int:
    """Append all plain moves and leaps of the stack at `a`."""
    w = cell(s, a)
    height, cap = word_height(w), word_cap(w)
    for i in range(t[U(tb.T_DIRECTIONS)]):
        d = i64(t[U(tb.T_DIRECTION + i)])
        c = a + d
        steps = 1
        while (cell(s, c) & la.BLOCK) == 0:
            out[U(k)] = make_move(WALK, a, c, 0, 0, 0)
            k += steps >= height
            c += d
            steps += 1
        code = make_move(LEAP, a, c, 0, 0, 0)
        k = _list_landings(s, code, c, d, steps, height, cap, out, k)
    return k


@inlined
def list_all_moves(t: Words, s: Words, seat: int, out: Words, k: int) -> int:
    """Append the plain moves and leaps of every stack the seat controls."""
    rows = mask_at(t, stack_mask(t, seat))
    for slot in range(tb.ROW_MARGIN, tb.ROW_MARGIN + t[U(tb.T_WIDTH)]):
        mask = i64(s[U(rows + slot)])
        while mask:
            k = list_moves_from(t, s, core_id(t, slot, lowest_bit(mask)), out, k)
            mask &= mask - 1
    return k


@compiled
def empty_row(t: Words, s: Words, slot: int) -> int:
    """Row mask of the empty cells."""
    row = i64(s[U(mask_at(t, la.OPEN_MASK) + slot)])
    for seat in range(1, t[U(tb.T_SEATS)] + 1):
        row &= ~s[U(mask_at(t, la.MARK_MASK + seat) + slot)]
    return row


@inlined
def near_row(s: Words, at: int, diagonal: int) -> int:
    """Row mask of the cells next to a cell of a row mask, given by the offset `at` of the row.

    `diagonal` is 0 on hexes, which lack two of the eight directions, else -1."""
    before, here, after = i64(s[U(at - 1)]), i64(s[U(at)]), i64(s[U(at + 1)])
    near = (here >> 1) | (here << 1) | before | (before >> 1) | after | (after << 1)
    return near | (((before << 1) | (after >> 1)) & diagonal)


@compiled
def leap_counts(t: Words, s: Words, a: int) -> int:
    """Bits 0 to 2: whether a new stack of one, two or three rings at `a` would have a leap."""
    counts = 0
    for i in range(t[U(tb.T_DIRECTIONS)]):
        d = i64(t[U(tb.T_DIRECTION + i)])
        c = a + d
        near = 1  # the stack met is next to `a`
        while (cell(s, c) & la.BLOCK) == 0:
            c += d
            near = 0
        w = cell(s, c)
        if (w & la.STACK) == 0 or (cell(s, c + d) & la.BLOCK) != 0:
            continue
        # landings within three steps reach two steps, or three if one more cell is free or the
        # stack is farther away
        reach = 2 if near and (cell(s, c + d + d) & la.BLOCK) != 0 else 3
        cap = word_cap(w)
        if cap <= reach:
            counts |= (1 << reach) - (1 << (cap - 1))
    return counts


@inlined
def recovery_eligible(s: Words, seat: int) -> bool:
    """Whether the seat may recover (13.1): without stacks, all its rings are buried."""
    return bool(
        s[U(la.STACKS + seat)] == 0 and s[U(la.MARKERS + seat)] > 0 and s[U(la.ON_BOARD + seat)] > 0
    )


@compiled
def travel_direction(t: Words, a: int, b: int) -> int:
    """Core id delta of one step from `a` towards `b`, a cell on one of its rays."""
    shift = i64(t[U(tb.T_STRIDE_LOG2)])
    low = (1 << shift) - 1
    dx, dy = (b >> shift) - (a >> shift), (b & low) - (a & low)
    return (i64(dx > 0) - i64(dx < 0) << shift) + i64(dy > 0) - i64(dy < 0)
