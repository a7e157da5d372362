"""The legal moves of each phase (section 6.1 and the sections it points to)."""

from typing import Any

from numpy.typing import NDArray

from ringrift.rules import layout as la, moves as mv, stacks as st
from ringrift.rules.board import has_buried
from ringrift.rules.compile import U, compiled, i64, inlined, lowest_bit
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words
from ringrift.rules.lines import list_lines
from ringrift.rules.placement import list_placements
from ringrift.rules.recovery import list_recovery
from ringrift.rules.regions import list_claims
from ringrift.rules.table import ROW_MARGIN, T_SEATS, T_WIDTH

Moves = NDArray[Any]  # int64: a buffer for move codes


@compiled
def legal_moves(G: Geometry, s: Words, out: Moves) -> int:
    """Write the codes of all legal moves to `out[:moves_max]` and return their number, 0 only when
    the game is over.

    Resignation and timeout are not listed. The order is deterministic, but has no meaning."""
    return list_moves(G.table, s, out)


@compiled
def sort_moves(moves: Moves, count: int) -> None:
    """Sort the first `count` moves in place (Shell 1959, gaps by halving)."""
    gap = count // 2
    while gap > 0:
        for i in range(gap, count):
            m = moves[U(i)]
            j = i
            while j >= gap and moves[U(j - gap)] > m:
                moves[U(j)] = moves[U(j - gap)]
                j -= gap
            moves[U(j)] = m
        gap //= 2


@inlined
def list_moves(t: Words, s: Words, out: Moves) -> int:
    """`legal_moves` on the bare table of the geometry."""
    phase, seat = s[U(la.PHASE)], i64(s[U(la.TURN)])
    if phase == la.PLACEMENT:
        return _list_placement_phase(t, s, seat, out)
    if phase == la.MOVEMENT:
        return _list_movement_phase(t, s, seat, out)
    if phase == la.CAPTURE:
        out[0] = mv.SKIP_CAPTURE
        return st.list_leaps(t, s, i64(s[U(la.ORIGIN)]), mv.LEAP, out, i64(1))
    if phase == la.CHAIN_CAPTURE:
        return st.list_leaps(t, s, i64(s[U(la.ORIGIN)]), mv.CHAIN, out, i64(0))
    if phase == la.LINE_PHASE:
        return _list_line_phase(t, s, seat, out)
    if phase == la.TERRITORY:
        return _list_territory_phase(t, s, seat, out)
    if phase == la.FORCED_PHASE:
        return _list_own_stacks(t, s, seat, mv.FORCED, out, i64(0))
    return 0


@inlined
def _list_placement_phase(t: Words, s: Words, seat: int, out: Moves) -> int:
    """List the moves of 7.4 and 14."""
    k = 0
    if s[U(la.HAND + seat)] > 0:
        k = list_placements(t, s, seat, out, i64(0))
        if st.some_stack_can_go(t, s, seat) or st.recovery_eligible(s, seat):
            out[U(k)] = mv.SKIP_PLACE
            k += 1
    if k == 0:
        out[0] = mv.NO_PLACE
        k = 1
    if s[U(la.SWAP_OPEN)] != 0 and seat == 2:
        out[U(k)] = mv.SWAP
        k += 1
    return k


@inlined
def _list_movement_phase(t: Words, s: Words, seat: int, out: Moves) -> int:
    """List the moves of 9.4 and 13.1."""
    must = i64(s[U(la.MUST)])
    if must != 0:
        return st.list_moves_from(t, s, must, out, i64(0))
    if st.recovery_eligible(s, seat):
        out[0] = mv.SKIP_RECOVERY
        return list_recovery(t, s, seat, out, i64(1))
    k = st.list_all_moves(t, s, seat, out, i64(0))
    if k == 0:
        out[0] = mv.NO_MOVE
        k = 1
    return k


@inlined
def _list_line_phase(t: Words, s: Words, seat: int, out: Moves) -> int:
    """List the moves of 10.3 and 10.4."""
    k = list_lines(t, s, seat, out, i64(0))
    if s[U(la.DEBT)] != 0:
        k = _list_own_stacks(t, s, seat, mv.ELIM_LINE, out, k)
    if k == 0:
        out[0] = mv.NO_LINE
        k = 1
    return k


@inlined
def _list_territory_phase(t: Words, s: Words, seat: int, out: Moves) -> int:
    """List the moves of 11.5 and 11.6."""
    if s[U(la.OWE_CAP)] != 0:
        if s[U(la.RECOVERING)] != 0:
            return _list_buried(t, s, seat, mv.ELIM_RECOVERY, out, i64(0))
        return _list_own_stacks(t, s, seat, mv.ELIM_TERRITORY, out, i64(0))
    if s[U(la.REGIONS)] == 0:
        out[0] = mv.NO_TERRITORY
        return 1
    out[0] = mv.SKIP_TERRITORY
    return list_claims(t, s, seat, out, i64(1))


@compiled
def _list_own_stacks(t: Words, s: Words, seat: int, kind: int, out: Moves, k: int) -> int:
    """Append one move for every stack that the seat controls."""
    rows = la.mask_at(t, la.stack_mask(t, seat))
    for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
        mask = i64(s[U(rows + slot)])
        while mask:
            c = la.core_id(t, slot, lowest_bit(mask))
            out[U(k)] = mv.make_move(kind, c, 0, 0, 0, 0)
            k += 1
            mask &= mask - 1
    return k


@compiled
def _list_buried(t: Words, s: Words, seat: int, kind: int, out: Moves, k: int) -> int:
    """Append one move for every stack with a buried ring of the seat."""
    for controller in range(1, t[U(T_SEATS)] + 1):
        rows = la.mask_at(t, la.stack_mask(t, controller))
        for slot in range(ROW_MARGIN, ROW_MARGIN + t[U(T_WIDTH)]):
            mask = i64(s[U(rows + slot)])
            while mask:
                c = la.core_id(t, slot, lowest_bit(mask))
                if has_buried(t, s, c, seat):
                    out[U(k)] = mv.make_move(kind, c, 0, 0, 0, 0)
                    k += 1
                mask &= mask - 1
    return k
