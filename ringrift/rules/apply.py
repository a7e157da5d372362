"""The effect of a move on the board, and the next state of the turn machine (section 6)."""

from ringrift.rules import board as bd, layout as la, moves as mv
from ringrift.rules.compile import U, compiled, i64, inlined
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import BLOCK, SEAT_BITS, Words, cell
from ringrift.rules.lines import collapse_span, has_line
from ringrift.rules.moves import move_a, move_b, move_c, move_d, move_n, move_type
from ringrift.rules.recovery import apply_recovery
from ringrift.rules.regions import claim, has_claim
from ringrift.rules.stacks import stack_can_leap, travel_direction
from ringrift.rules.table import T_SEATS
from ringrift.rules.victory import finish, has_ring, track_rounds, victory


@compiled
def apply_move(G: Geometry, s: Words, m: int) -> None:
    """Play the move with code `m`, which must be legal; that is not checked."""
    play(G.table, s, m)


@inlined
def play(t: Words, s: Words, m: int) -> None:
    """`apply_move` on the bare table of the geometry."""
    kind, seat = move_type(m), i64(s[U(la.TURN)])
    s[U(la.PLY)] += 1
    if s[U(la.LAST_ACTOR)] != seat:
        s[U(la.LAST_ACTOR)] = seat
        s[U(la.ACTED)] = 0
        s[U(la.RECOVERING)] = 0
    if (mv.IDLE_TYPES >> kind) & 1 == 0:
        s[U(la.ACTED)] = 1
    if seat == 2:
        s[U(la.SWAP_OPEN)] = 0
    phase = s[U(la.PHASE)]
    if kind >= mv.RESIGN:
        _give_up(t, s, seat, kind)
    elif phase == la.PLACEMENT:
        _play_placement(t, s, seat, m)
    elif phase <= la.CHAIN_CAPTURE:
        _play_movement(t, s, seat, m)
    elif phase == la.LINE_PHASE:
        _play_line(t, s, seat, m)
    elif phase == la.TERRITORY:
        _play_territory(t, s, seat, m)
    else:
        bd.discard_cap(t, s, move_a(m), seat)
        _end_turn(t, s, seat)


@inlined
def _give_up(t: Words, s: Words, seat: int, kind: int) -> None:
    """End the game by resignation or timeout (6.1): with more than two seats without a winner."""
    winner = 3 - seat if t[U(T_SEATS)] == 2 else 0
    finish(s, winner, la.END_RESIGN if kind == mv.RESIGN else la.END_TIMEOUT)


@inlined
def _play_placement(t: Words, s: Words, seat: int, m: int) -> None:
    kind = move_type(m)
    if kind == mv.SWAP:
        s[U(la.SWAPPED)] = 1
        return
    if kind == mv.PLACE:
        bd.place_rings(t, s, move_a(m), seat, move_n(m))
        s[U(la.MUST)] = move_a(m)
    s[U(la.PHASE)] = la.MOVEMENT


@inlined
def _play_movement(t: Words, s: Words, seat: int, m: int) -> None:
    """Play a move of the phases movement, capture and chain capture (6.3)."""
    kind = move_type(m)
    if kind == mv.WALK:
        w = _walk(t, s, seat, move_a(m), move_b(m))
        _land(t, s, seat, move_b(m), la.CAPTURE, w)
        return
    if kind == mv.LEAP or kind == mv.CHAIN:
        w = _leap(t, s, seat, move_a(m), move_b(m), move_c(m))
        _land(t, s, seat, move_c(m), la.CHAIN_CAPTURE, w)
        return
    if mv.RECOVERY_ALL <= kind <= mv.RECOVERY_STRIKE:
        apply_recovery(t, s, seat, m)
        s[U(la.RECOVERING)] = 1
    _enter_lines(s)


@inlined
def _pass_over(t: Words, s: Words, seat: int, a: int, b: int, d: int) -> None:
    """Flip or collapse the markers strictly between `a` and `b` (8.2 step 2)."""
    c = a + d
    while c != b:
        w = cell(s, c)
        if w != 0 and (w & BLOCK) == 0:
            if w == seat:
                bd.collapse(t, s, c, seat)
            else:
                bd.take_marker(t, s, c)
                bd.add_marker(t, s, c, seat)
        c += d


@inlined
def _walk(t: Words, s: Words, seat: int, a: int, b: int) -> int:
    """Do steps 1 and 2 of 8.2 and return the word of the lifted stack."""
    w = bd.take_stack(t, s, a)
    bd.add_marker(t, s, a, seat)
    _pass_over(t, s, seat, a, b, travel_direction(t, a, b))
    return w


@inlined
def _leap(t: Words, s: Words, seat: int, a: int, over: int, b: int) -> int:
    """Do steps 1 to 3 of 9.2 and return the word of the lifted stack."""
    w = bd.take_stack(t, s, a)
    bd.add_marker(t, s, a, seat)
    d = travel_direction(t, a, b)
    _pass_over(t, s, seat, a, over, d)
    _pass_over(t, s, seat, over, b, d)
    target = cell(s, over)
    ring = bd.top_ring(t, s, target)
    bd.change_stack(t, s, over, bd.without_top(t, s, target))
    return bd.with_ring_under(t, s, w, ring)


@compiled
def _land(t: Words, s: Words, seat: int, b: int, phase_if_leap: int, w: int) -> None:
    """Land the stack `w` on `b` (last step of 8.2 and 9.2) and enter the next phase (6.3)."""
    if cell(s, b) != 0:
        bd.take_marker(t, s, b)
        w = bd.discard_top(t, s, w, seat)
    if w != 0:
        bd.put_stack(t, s, b, w)
        if w & SEAT_BITS == seat and stack_can_leap(t, s, b):
            s[U(la.PHASE)] = phase_if_leap
            s[U(la.ORIGIN)] = b
            if s[U(la.MUST)] != 0:
                s[U(la.MUST)] = b
            return
    _enter_lines(s)


@inlined
def _enter_lines(s: Words) -> None:
    s[U(la.PHASE)] = la.LINE_PHASE
    s[U(la.MUST)] = 0
    s[U(la.ORIGIN)] = 0


@inlined
def _play_line(t: Words, s: Words, seat: int, m: int) -> None:
    """Play a move of 10.3 or 10.4, with the transitions of 6.4."""
    kind = move_type(m)
    if kind == mv.ELIM_LINE:
        c = move_a(m)
        bd.change_stack(t, s, c, bd.discard_top(t, s, cell(s, c), seat))
        s[U(la.DEBT)] = 0
        return
    if kind != mv.NO_LINE:
        if kind == mv.LINE_PART:
            first, last = move_c(m), move_d(m)
        else:
            first, last = move_a(m), move_b(m)
        collapse_span(t, s, first, last, travel_direction(t, first, last), seat)
        s[U(la.DEBT)] = kind != mv.LINE_PART and s[U(la.STACKS + seat)] > 0
        if s[U(la.DEBT)] != 0 or has_line(t, s, seat):
            return
    regions = has_claim(t, s, seat)
    s[U(la.REGIONS)] = regions
    if not regions and s[U(la.ACTED)] == 0 and s[U(la.STACKS + seat)] > 0:
        s[U(la.PHASE)] = la.FORCED_PHASE
    else:
        s[U(la.PHASE)] = la.TERRITORY


@inlined
def _play_territory(t: Words, s: Words, seat: int, m: int) -> None:
    """Play a move of 11.4 or 11.5, with the transitions of 6.5."""
    kind, c = move_type(m), move_a(m)
    if kind == mv.CLAIM:
        claim(t, s, seat, c, move_n(m))
        s[U(la.OWE_CAP)] = 1
        return
    if kind == mv.ELIM_TERRITORY or kind == mv.ELIM_RECOVERY:
        if kind == mv.ELIM_TERRITORY:
            bd.discard_cap(t, s, c, seat)
        else:
            bd.discard_lowest(t, s, c, seat)
        s[U(la.OWE_CAP)] = 0
        s[U(la.REGIONS)] = has_claim(t, s, seat)
        if s[U(la.REGIONS)] == 0:
            _end_turn(t, s, seat)
    elif s[U(la.ACTED)] == 0 and s[U(la.STACKS + seat)] > 0:
        s[U(la.PHASE)] = la.FORCED_PHASE
    else:
        _end_turn(t, s, seat)


@compiled
def _end_turn(t: Words, s: Words, seat: int) -> None:
    """End the turn (6.6)."""
    n = i64(t[U(T_SEATS)])
    for other in range(1, n + 1):
        if s[U(la.OUT_TURN + other)] == 0 and not has_ring(s, other):
            s[U(la.OUT_TURN + other)] = s[U(la.TURN_NUMBER)]
    if victory(t, s):
        return
    following = seat
    for i in range(1, n + 1):
        following = (seat - 1 + i) % n + 1
        if has_ring(s, following):
            break
    s[U(la.TURN)] = following
    s[U(la.TURN_NUMBER)] += 1
    s[U(la.PHASE)] = la.PLACEMENT
    s[U(la.MUST)] = 0
    s[U(la.ORIGIN)] = 0
    s[U(la.REGIONS)] = 0
    track_rounds(t, s, following)
