"""Recovery slides (section 13): a seat whose rings are all buried moves a marker."""

from ringrift.rules import board as bd, moves as mv, table as tb
from ringrift.rules.compile import U, compiled, i64, inlined, lowest_bit
from ringrift.rules.layout import MARK_MASK, STACK, Words, cell, core_id, mask_at, stack_mask
from ringrift.rules.lines import collapse_span, run_ahead
from ringrift.rules.moves import make_move, move_a, move_b, move_c, move_d, move_type
from ringrift.rules.stacks import travel_direction


@inlined
def run_through(s: Words, c: int, d: int, seat: int) -> int:
    """Length of the run through `c` along the axis `d`, as if `c` carried the seat's marker."""
    return 1 + run_ahead(s, c + d, d, seat) + run_ahead(s, c - d, -d, seat)


@inlined
def longest_axis(t: Words, s: Words, c: int, seat: int) -> int:
    """Axis delta of the longest run through `c`, in a tie the first in recovery order (13.2)."""
    best, best_axis = 0, i64(t[U(tb.T_RECOVERY_AXIS)])
    for i in range(t[U(tb.T_AXES)]):
        d = i64(t[U(tb.T_RECOVERY_AXIS + i)])
        run = run_through(s, c, d, seat)
        if run > best:
            best, best_axis = run, d
    return best_axis


@compiled
def played_axis(t: Words, s: Words, c: int, seat: int) -> int:
    """Axis delta of the run that a line slide to `c` collapses, 0 if it cannot be played (13.4,
    E12)."""
    for i in range(t[U(tb.T_AXES)]):
        d = i64(t[U(tb.T_RECOVERY_AXIS + i)])
        run = run_through(s, c, d, seat)
        if run >= t[U(tb.T_RECOVERY_NOTICED)]:
            return d if run >= t[U(tb.T_LINE)] else i64(0)
    return i64(0)


@compiled
def list_recovery(t: Words, s: Words, seat: int, out: Words, k: int) -> int:
    """Append all slides of an eligible seat (13.2)."""
    before = k
    found = False
    rows = mask_at(t, MARK_MASK + seat)
    for slot in range(tb.ROW_MARGIN, tb.ROW_MARGIN + t[U(tb.T_WIDTH)]):
        mask = i64(s[U(rows + slot)])
        while mask:
            a = core_id(t, slot, lowest_bit(mask))
            s[U(tb.CELLS_AT + a)] = 0  # runs are counted after the slide
            for i in range(t[U(tb.T_DIRECTIONS)]):
                b = a + t[U(tb.T_DIRECTION + i)]
                if cell(s, b) == 0:
                    d = longest_axis(t, s, b, seat)
                    if run_through(s, b, d, seat) >= t[U(tb.T_LINE)]:
                        found = True
                        if played_axis(t, s, b, seat) != 0:
                            k = _list_line_slide(t, s, seat, a, b, d, out, k)
            s[U(tb.CELLS_AT + a)] = seat
            mask &= mask - 1
    if found:
        return k
    return _list_other_slides(t, s, seat, out, before)


@inlined
def _list_line_slide(
    t: Words, s: Words, seat: int, a: int, b: int, d: int, out: Words, k: int
) -> int:
    """Append the choices of a line slide whose longest run is along `d`."""
    k = _list_payers(t, s, seat, i64(mv.RECOVERY_ALL), a, b, out, k)
    length = i64(t[U(tb.T_LINE)])
    back, ahead = run_ahead(s, b - d, -d, seat), run_ahead(s, b + d, d, seat)
    if 1 + back + ahead == length:
        return k
    for start in range(max(-back, 1 - length), min(0, ahead + 1 - length) + 1):
        first, last = b + start * d, b + (start + length - 1) * d
        out[U(k)] = make_move(mv.RECOVERY_PART, a, b, first, last, 0)
        k += 1
    return k


@compiled
def _list_payers(
    t: Words, s: Words, seat: int, kind: int, a: int, b: int, out: Words, k: int
) -> int:
    """Append the slide once for every stack with a buried ring of the seat."""
    for slot in range(tb.ROW_MARGIN, tb.ROW_MARGIN + t[U(tb.T_WIDTH)]):
        mask = i64(0)
        for other in range(1, t[U(tb.T_SEATS)] + 1):
            mask |= s[U(mask_at(t, stack_mask(t, other)) + slot)]
        while mask:
            x = core_id(t, slot, lowest_bit(mask))
            if bd.has_buried(t, s, x, seat):
                out[U(k)] = make_move(kind, a, b, x, 0, 0)
                k += 1
            mask &= mask - 1
    return k


@compiled
def _list_other_slides(t: Words, s: Words, seat: int, out: Words, k: int) -> int:
    """Append fallbacks and stack-strikes."""
    rows = mask_at(t, MARK_MASK + seat)
    for slot in range(tb.ROW_MARGIN, tb.ROW_MARGIN + t[U(tb.T_WIDTH)]):
        mask = i64(s[U(rows + slot)])
        while mask:
            a = core_id(t, slot, lowest_bit(mask))
            for i in range(t[U(tb.T_DIRECTIONS)]):
                b = a + t[U(tb.T_DIRECTION + i)]
                w = cell(s, b)
                if w == 0:
                    k = _list_payers(t, s, seat, i64(mv.RECOVERY_FALLBACK), a, b, out, k)
                elif w & STACK:
                    k = _list_payers(t, s, seat, i64(mv.RECOVERY_STRIKE), a, b, out, k)
            mask &= mask - 1
    return k


@inlined
def slide_span(t: Words, s: Words, seat: int, m: int) -> tuple[int, int, int]:
    """First cell, last cell and step of what a line slide collapses, after its marker has left."""
    b = move_b(m)
    d = played_axis(t, s, b, seat)
    back, ahead = run_ahead(s, b - d, -d, seat), run_ahead(s, b + d, d, seat)
    if move_type(m) == mv.RECOVERY_PART and 1 + back + ahead > t[U(tb.T_LINE)]:
        return move_c(m), move_d(m), travel_direction(t, move_c(m), move_d(m))
    return b - back * d, b + ahead * d, d


@compiled
def apply_recovery(t: Words, s: Words, seat: int, m: int) -> None:
    """Play a slide (13.3)."""
    kind, b = move_type(m), move_b(m)
    bd.take_marker(t, s, move_a(m))
    if kind == mv.RECOVERY_STRIKE:
        bd.change_stack(t, s, b, bd.discard_top(t, s, cell(s, b), seat))
    else:
        bd.add_marker(t, s, b, seat)
        if kind != mv.RECOVERY_FALLBACK:
            first, last, d = slide_span(t, s, seat, m)
            collapse_span(t, s, first, last, d, seat)
    if kind != mv.RECOVERY_PART:
        bd.discard_lowest(t, s, move_c(m), seat)
