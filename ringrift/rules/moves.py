"""Move codes: one int64 each, frozen because games are stored with indices into ascending code
order.

Bits 0-4 type, 5-14 a, 15-24 b, 25-34 c, 35-44 d, 45-48 n; cells as core ids (`geometry`), 0 for
none."""

from typing import Final

from ringrift.rules.compile import compiled, inlined

(
    PLACE,  # a = cell, n = rings
    SKIP_PLACE,
    NO_PLACE,
    SWAP,
    WALK,  # a = from, b = to
    LEAP,  # a = from, b = over, c = to
    CHAIN,  # a further leap, like LEAP
    NO_MOVE,
    SKIP_RECOVERY,
    SKIP_CAPTURE,
    RECOVERY_ALL,  # a = from, b = to, c = stack that pays
    RECOVERY_PART,  # a = from, b = to, c and d = ends of the window
    RECOVERY_FALLBACK,  # like RECOVERY_ALL
    RECOVERY_STRIKE,  # like RECOVERY_ALL
    LINE,  # exact length; a and b = ends
    LINE_ALL,  # a and b = ends
    LINE_PART,  # a and b = ends, c and d = ends of the window
    ELIM_LINE,  # a = stack
    ELIM_TERRITORY,  # a = stack
    ELIM_RECOVERY,  # a = stack
    NO_LINE,
    CLAIM,  # a = first cell of the region, n = border colour
    SKIP_TERRITORY,
    NO_TERRITORY,
    FORCED,  # a = stack
    RESIGN,
    TIMEOUT,
) = range(1, 28)

MOVE_TYPES: Final = TIMEOUT
FIELD_BITS: Final = 1023
A_SHIFT, B_SHIFT, C_SHIFT, D_SHIFT, N_SHIFT = 5, 15, 25, 35, 45

_NONE: Final = (NO_PLACE, NO_MOVE, NO_LINE, NO_TERRITORY)
_SKIPS: Final = (SKIP_PLACE, SKIP_CAPTURE, SKIP_RECOVERY, SKIP_TERRITORY)

# Bit t: moves of type t leave the board alone and do not set `acted` (section 4).
IDLE_TYPES: Final = sum(1 << kind for kind in (*_NONE, *_SKIPS))


@inlined
def make_move(kind: int, a: int, b: int, c: int, d: int, n: int) -> int:
    """Code of a move; 0 for cells and numbers it does not have."""
    return kind | (a << A_SHIFT) | (b << B_SHIFT) | (c << C_SHIFT) | (d << D_SHIFT) | (n << N_SHIFT)


@compiled
def move_type(m: int) -> int:
    return m & 31


@compiled
def move_a(m: int) -> int:
    """Core id, -1 for none; so are b, c and d."""
    f = (m >> A_SHIFT) & FIELD_BITS
    return f if f else -1


@compiled
def move_b(m: int) -> int:
    f = (m >> B_SHIFT) & FIELD_BITS
    return f if f else -1


@compiled
def move_c(m: int) -> int:
    f = (m >> C_SHIFT) & FIELD_BITS
    return f if f else -1


@compiled
def move_d(m: int) -> int:
    f = (m >> D_SHIFT) & FIELD_BITS
    return f if f else -1


@compiled
def move_n(m: int) -> int:
    """Rings of a placement, border colour of a claim."""
    return (m >> N_SHIFT) & 15
