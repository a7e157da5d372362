"""What a stack may do: plain moves (8) and leaps (9), and where rings may be placed (7)."""

from ringrift.rules.compile import U, compiled, i64, inlined, lowest_bit
from ringrift.rules.geometry import T_DIRECTION, T_DIRECTIONS, T_SEATS, T_STRIDE_LOG2, T_WIDTH
from ringrift.rules.layout import (
    BLOCK,
    MARK_MASK,
    MARKERS,
    ON_BOARD,
    OPEN_MASK,
    STACK,
    STACKS,
    Words,
    cell,
    core_id,
    mask_at,
    stack_mask,
    word_cap,
    word_height,
)
from ringrift.rules.moves import LEAP, WALK, make_move


@compiled
def can_go(t: Words, s: Words, a: int, height: int, cap: int) -> bool:
    """Whether a stack of this height and cap at `a` has a plain move or a leap."""
    for i in range(t[U(T_DIRECTIONS)]):
        if can_walk_along(s, a, i64(t[U(T_DIRECTION + i)]), height):
            return True
    return can_leap(t, s, a, height, cap)


@inlined
def can_walk_along(s: Words, a: int, d: int, height: int) -> bool:
    """Whether the next `height` cells are open (the quick test of 7.2)."""
    c = a + d
    steps = 0
    while steps < height and (cell(s, c) & BLOCK) == 0:
        c += d
        steps += 1
    return steps == height


@compiled
def can_leap(t: Words, s: Words, a: int, height: int, cap: int) -> bool:
    """Whether a stack of this height and cap at `a` has a leap (9.1)."""
    for i in range(t[U(T_DIRECTIONS)]):
        d = i64(t[U(T_DIRECTION + i)])
        c = a + d
        steps = 1
        while (cell(s, c) & BLOCK) == 0:
            c += d
            steps += 1
        w = cell(s, c)
        if (w & STACK) == 0 or word_cap(w) > cap:
            continue
        c += d
        steps += 1
        while (cell(s, c) & BLOCK) == 0:
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
    for slot in range(3, 3 + t[U(T_WIDTH)]):
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
    for i in range(t[U(T_DIRECTIONS)]):
        d = i64(t[U(T_DIRECTION + i)])
        c = a + d
        steps = 1
        while (cell(s, c) & BLOCK) == 0:
            c += d
            steps += 1
        k = _list_landings(s, a, c, d, steps, height, cap, kind, out, k)
    return k


@inlined
def _list_landings(
    s: Words,
    a: int,
    over: int,
    d: int,
    steps: int,
    height: int,
    cap: int,
    kind: int,
    out: Words,
    k: int,
) -> int:
    """Append the leaps from `a` over `over`, which is `steps` away in direction `d`, if it may be
    leapt at all."""
    w = cell(s, over)
    if (w & STACK) == 0 or word_cap(w) > cap:
        return k
    c = over + d
    steps += 1
    while (cell(s, c) & BLOCK) == 0:
        out[U(k)] = make_move(kind, a, over, c, 0, 0)
        k += steps >= height  # no branch: which landings are far enough is hard to predict
        c += d
        steps += 1
    return k


@compiled
def list_moves_from(t: Words, s: Words, a: int, out: Words, k: int) -> int:
    """Append all plain moves and leaps of the stack at `a`."""
    w = cell(s, a)
    height, cap = word_height(w), word_cap(w)
    for i in range(t[U(T_DIRECTIONS)]):
        d = i64(t[U(T_DIRECTION + i)])
        c = a + d
        steps = 1
        while (cell(s, c) & BLOCK) == 0:
            out[U(k)] = make_move(WALK, a, c, 0, 0, 0)
            k += steps >= height
            c += d
            steps += 1
        k = _list_landings(s, a, c, d, steps, height, cap, LEAP, out, k)
    return k


@inlined
def list_all_moves(t: Words, s: Words, seat: int, out: Words, k: int) -> int:
    """Append the plain moves and leaps of every stack the seat controls."""
    rows = mask_at(t, stack_mask(t, seat))
    for slot in range(3, 3 + t[U(T_WIDTH)]):
        mask = i64(s[U(rows + slot)])
        while mask:
            k = list_moves_from(t, s, core_id(t, slot, lowest_bit(mask)), out, k)
            mask &= mask - 1
    return k


@compiled
def empty_row(t: Words, s: Words, slot: int) -> int:
    """Row mask of the cells that hold nothing."""
    row = i64(s[U(mask_at(t, OPEN_MASK) + slot)])
    for seat in range(1, t[U(T_SEATS)] + 1):
        row &= ~s[U(mask_at(t, MARK_MASK + seat) + slot)]
    return row


@compiled
def leap_counts(t: Words, s: Words, a: int) -> int:
    """Whether a new stack of one, two or three rings (bits 0 to 2) at `a` would have a leap."""
    counts = 0
    for i in range(t[U(T_DIRECTIONS)]):
        d = i64(t[U(T_DIRECTION + i)])
        c = a + d
        near = 1  # the stack met is next to `a`
        while (cell(s, c) & BLOCK) == 0:
            c += d
            near = 0
        w = cell(s, c)
        if (w & STACK) == 0 or (cell(s, c + d) & BLOCK) != 0:
            continue
        # the landings within three steps reach two steps at least, three if one more cell is free
        # or the stack is farther off
        reach = 2 if near and (cell(s, c + d + d) & BLOCK) != 0 else 3
        cap = word_cap(w)
        if cap <= reach:
            counts |= (1 << reach) - (1 << (cap - 1))
    return counts


@inlined
def recovery_eligible(s: Words, seat: int) -> bool:
    """13.1; rings of a seat without stacks are all buried."""
    return bool(s[U(STACKS + seat)] == 0 and s[U(MARKERS + seat)] > 0 and s[U(ON_BOARD + seat)] > 0)


@compiled
def travel_direction(t: Words, a: int, b: int) -> int:
    """Core id delta of one step from `a` towards `b`, which is on one of its rays."""
    shift = i64(t[U(T_STRIDE_LOG2)])
    low = (1 << shift) - 1
    dx, dy = (b >> shift) - (a >> shift), (b & low) - (a & low)
    step = i64(0)
    if dx > 0:
        step += 1 << shift
    elif dx < 0:
        step -= 1 << shift
    if dy > 0:
        step += 1
    elif dy < 0:
        step -= 1
    return step
