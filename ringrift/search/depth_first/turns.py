"""The choices of a position, and the position after one of them."""

from ringrift.rules import layout as la
from ringrift.rules.apply import apply_move
from ringrift.rules.compile import U, i64
from ringrift.rules.geometry import Geometry
from ringrift.rules.layout import Words
from ringrift.rules.legal import legal_moves
from ringrift.rules.victory import has_ring
from ringrift.search.compile import compiled, inlined
from ringrift.search.depth_first.stack import BRS, CODE_BITS, CODE_MASK, Plan, Stack


@compiled
def put_on_turn(s: Words, seat: int) -> None:
    """BRS: give `seat` the turn that begins."""
    bit = 1 << (seat - 1)
    s[U(la.TURN)] = seat
    s[U(la.LPS_SEEN)] |= bit
    if s[U(la.STACKS + seat)] > 0 or s[U(la.HAND + seat)] > 0:
        s[U(la.LPS_MASK)] |= bit
    else:
        s[U(la.LPS_MASK)] &= ~bit


@inlined
def list_choices(g: Geometry, plan: Plan, d: Stack, game: int, s: Words) -> int:
    """Write the moves to choose from to `spare` and return their number, 0 if the game is over.

    BRS: where the turn of an opponent begins, they are those of all opponents, each with its seat
    above the code."""
    turn = i64(s[U(la.TURN)])
    root_seat = i64(d.game[game].root_player) + 1
    reply = plan.kind == BRS and turn != root_seat and s[U(la.PHASE)] == la.PLACEMENT
    first = i64(1) if reply else turn
    last = i64(g.seats) if reply else turn
    count = i64(0)
    for seat in range(first, last + 1):
        if reply and (seat == root_seat or not has_ring(s, seat)):
            continue
        s[U(la.TURN)] = seat
        more = i64(legal_moves(g, s, d.spare[count:]))
        if reply:
            for i in range(count, count + more):
                d.spare[i] |= seat << CODE_BITS
        count += more
    s[U(la.TURN)] = turn
    return count


@inlined
def advance(g: Geometry, plan: Plan, d: Stack, game: int, s: Words, move: int) -> int:
    """Play `move`, if it is not 0, and the forced plies after it; return the number of choices
    there, which are in `spare`."""
    root_seat = i64(d.game[game].root_player) + 1
    forced = i64(move)
    while True:
        if forced != 0:
            seat = forced >> CODE_BITS
            if seat != 0 and seat != s[U(la.TURN)]:
                put_on_turn(s, seat)
            before = i64(s[U(la.TURN)])
            turns = s[U(la.TURN_NUMBER)]
            apply_move(g, s, forced & CODE_MASK)
            passed = s[U(la.TURN_NUMBER)] != turns and s[U(la.PHASE)] != la.OVER
            replied = plan.kind == BRS and passed and before != root_seat
            if replied and s[U(la.TURN)] != root_seat and has_ring(s, root_seat):
                put_on_turn(s, root_seat)
        count = list_choices(g, plan, d, game, s)
        # the root is searched even if it has one move only
        if count != 1 or move == 0:
            return count
        forced = d.spare[0]
