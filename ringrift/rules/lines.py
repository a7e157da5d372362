"""Lines (section 10): runs of the mover's markers."""

from ringrift.rules import table as tb
from ringrift.rules.board import collapse
from ringrift.rules.compile import U, compiled, i64, inlined, lowest_bit
from ringrift.rules.layout import MARK_MASK, MARKERS, Words, cell, core_id, mask_at
from ringrift.rules.moves import LINE, LINE_ALL, LINE_PART, make_move


@compiled
def run_ahead(s: Words, c: int, d: int, seat: int) -> int:
    """Number of consecutive markers of `seat` from `c` on in steps of `d`, `c` included."""
    length = 0
    while cell(s, c) == seat:
        length += 1
        c += d
    return length


@compiled
def has_line(t: Words, s: Words, seat: int) -> bool:
    """Whether the seat has a run that counts as a line."""
    noticed = i64(t[U(tb.T_LINE_NOTICED)])
    if s[U(MARKERS + seat)] < noticed:
        return False
    four = -1 if noticed == 4 else 0  # whether the fourth cell matters
    diagonal = 0 if t[U(tb.T_HEX)] else -1  # hexes lack one of the diagonals
    rows = mask_at(t, MARK_MASK + seat)
    found = i64(0)  # all cells of a row are tested at once
    for at in range(rows + tb.ROW_MARGIN, rows + tb.ROW_MARGIN + t[U(tb.T_WIDTH)]):
        m0, m1, m2, m3 = i64(s[U(at)]), i64(s[U(at + 1)]), i64(s[U(at + 2)]), i64(s[U(at + 3)])
        found |= m0 & (m0 >> 1) & (m0 >> 2) & ((m0 >> 3) | ~four)
        found |= m0 & m1 & m2 & (m3 | ~four)
        found |= m0 & (m1 << 1) & (m2 << 2) & ((m3 << 3) | ~four)
        found |= m0 & (m1 >> 1) & (m2 >> 2) & ((m3 >> 3) | ~four) & diagonal
    return found != 0


@inlined
def list_lines(t: Words, s: Words, seat: int, out: Words, k: int) -> int:
    """Append the choices for every eligible line of the seat (10.3)."""
    if not has_line(t, s, seat):
        return k
    noticed, length = i64(t[U(tb.T_LINE_NOTICED)]), i64(t[U(tb.T_LINE)])
    rows = mask_at(t, MARK_MASK + seat)
    for slot in range(tb.ROW_MARGIN, tb.ROW_MARGIN + t[U(tb.T_WIDTH)]):
        mask = i64(s[U(rows + slot)])
        while mask:
            c = core_id(t, slot, lowest_bit(mask))
            for i in range(t[U(tb.T_AXES)]):
                d = i64(t[U(tb.T_AXIS + i)])
                if cell(s, c - d) != seat:
                    run = run_ahead(s, c, d, seat)
                    if run >= noticed:
                        k = _list_choices(c, d, run, length, out, k)
            mask &= mask - 1
    return k


@inlined
def _list_choices(c: int, d: int, run: int, length: int, out: Words, k: int) -> int:
    end = c + (run - 1) * d
    if run == length:
        out[U(k)] = make_move(LINE, c, end, 0, 0, 0)
        return k + 1
    out[U(k)] = make_move(LINE_ALL, c, end, 0, 0, 0)
    k += 1
    for i in range(run - length + 1):
        out[U(k)] = make_move(LINE_PART, c, end, c + i * d, c + (i + length - 1) * d, 0)
        k += 1
    return k


@compiled
def collapse_span(t: Words, s: Words, first: int, last: int, d: int, seat: int) -> None:
    """Collapse all cells from `first` to `last` in steps of `d`."""
    c = first
    while c != last:
        collapse(t, s, c, seat)
        c += d
    collapse(t, s, last, seat)
