"""The end of the game: victory tests (16) and the three-round rule (17)."""

from ringrift.rules import layout as la, table as tb
from ringrift.rules.compile import U, compiled, i64, inlined
from ringrift.rules.layout import Words, mask_at
from ringrift.rules.placement import can_act
from ringrift.rules.stacks import empty_row, near_row


@compiled
def has_ring(s: Words, seat: int) -> bool:
    """Whether the seat has a ring anywhere, in hand or on the board."""
    return bool(s[U(la.HAND + seat)] + s[U(la.ON_BOARD + seat)] > 0)


@compiled
def finish(s: Words, winner: int, reason: int) -> None:
    """End the game."""
    s[U(la.WINNER)] = winner
    s[U(la.REASON)] = reason
    s[U(la.TURN)] = 0
    s[U(la.PHASE)] = la.OVER
    s[U(la.MUST)] = 0
    s[U(la.ORIGIN)] = 0
    s[U(la.DEBT)] = 0
    s[U(la.OWE_CAP)] = 0


@inlined
def victory(t: Words, s: Words) -> bool:
    """Test sections 16.1 to 16.4 at the end of a turn; return whether one ended the game."""
    n = i64(t[U(tb.T_SEATS)])
    all_territory, stacks, owners, survivor = 0, 0, 0, 0
    for seat in range(1, n + 1):
        if s[U(la.REMOVED + seat)] >= t[U(tb.T_RINGS_TO_WIN)]:
            finish(s, seat, la.END_RINGS)
            return True
        all_territory += s[U(la.TERRITORY_OF + seat)]
        stacks += s[U(la.STACKS + seat)]
        if has_ring(s, seat):
            owners += 1
            survivor = seat
    for seat in range(1, n + 1):
        mine = s[U(la.TERRITORY_OF + seat)]
        if mine >= t[U(tb.T_TERRITORY_TO_WIN)] and 2 * mine > all_territory:
            finish(s, seat, la.END_TERRITORY)
            return True
    if stacks > 0:
        if owners == 1 and s[U(la.STACKS + survivor)] == stacks:
            finish(s, survivor, la.END_SOLE_SURVIVOR)
            return True
        return False
    if _can_place_on_bare_board(t, s):
        return False
    _decide_bare_board(t, s)
    return True


@inlined
def _can_place_on_bare_board(t: Words, s: Words) -> bool:
    """Whether 16.4 (1) applies: without stacks, a ring can be placed exactly where a neighbouring
    cell is not collapsed."""
    rings = 0
    for seat in range(1, t[U(tb.T_SEATS)] + 1):
        rings += s[U(la.HAND + seat)]
    if rings == 0:
        return False
    land, diagonal = mask_at(t, la.LAND_MASK), 0 if t[U(tb.T_HEX)] else -1
    for slot in range(tb.ROW_MARGIN, tb.ROW_MARGIN + t[U(tb.T_WIDTH)]):
        if empty_row(t, s, slot) & near_row(s, land + slot, diagonal):
            return True
    return False


@inlined
def _decide_bare_board(t: Words, s: Words) -> None:
    """End the game by 16.4 (2): the first rung with a single positive leader over all seats."""
    for rung in range(3):
        at = (la.TERRITORY_OF, la.REMOVED, la.MARKERS)[rung]
        best, leader = i64(0), 0
        for seat in range(1, t[U(tb.T_SEATS)] + 1):
            value = i64(s[U(at + seat)])
            if at == la.REMOVED:
                value += s[U(la.HAND + seat)]
            if value > best:
                best, leader = value, seat
            elif value == best:
                leader = 0
        if leader:
            finish(s, leader, la.END_BARE_TERRITORY + rung)
            return
    finish(s, max(i64(s[U(la.LAST_ACTOR)]), 1), la.END_BARE_LAST_ACTOR)


@inlined
def track_rounds(t: Words, s: Words, c: int) -> None:
    """Update the round tracker for seat `c`, whose turn begins; may end the game (17.2)."""
    n = i64(t[U(tb.T_SEATS)])
    if has_ring(s, c):
        first, who = i64(s[U(la.LPS_FIRST)]), i64(s[U(la.LPS_WHO)])
        if first == 0 or not has_ring(s, first):
            s[U(la.LPS_FIRST)] = c
            _clear_round(s)
            if who == 0 or not has_ring(s, who):
                s[U(la.LPS_COUNT)] = 0
                s[U(la.LPS_WHO)] = 0
        elif c == first and s[U(la.LPS_SEEN)] != 0:
            _close_round(t, s)
            _clear_round(s)
        s[U(la.LPS_SEEN)] |= 1 << (c - 1)
        if can_act(t, s, c):
            s[U(la.LPS_MASK)] |= 1 << (c - 1)
        else:
            s[U(la.LPS_MASK)] &= ~(1 << (c - 1))
    if s[U(la.LPS_COUNT)] < s[U(la.LPS_ROUNDS)] or s[U(la.LPS_WHO)] != c or not can_act(t, s, c):
        return
    for other in range(1, n + 1):
        if other != c and has_ring(s, other) and can_act(t, s, other):
            return
    finish(s, c, la.END_ROUNDS)


@inlined
def _clear_round(s: Words) -> None:
    s[U(la.LPS_SEEN)] = 0
    s[U(la.LPS_MASK)] = 0


@inlined
def _close_round(t: Words, s: Words) -> None:
    """Count a completed round for the seat that could act in it, if there is only one."""
    able, only = 0, 0
    for seat in range(1, t[U(tb.T_SEATS)] + 1):
        if has_ring(s, seat) and (s[U(la.LPS_MASK)] >> (seat - 1)) & 1:
            able += 1
            only = seat
    if able != 1:
        s[U(la.LPS_COUNT)] = 0
        s[U(la.LPS_WHO)] = 0
    elif only == s[U(la.LPS_WHO)]:
        s[U(la.LPS_COUNT)] += 1
    else:
        s[U(la.LPS_WHO)] = only
        s[U(la.LPS_COUNT)] = 1
