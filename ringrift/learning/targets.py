"""Search targets of the decisions of a game as compact bytes: the field `GameCompleted.targets`.

    game      = version seats decision*            version: byte 2; seats: byte 2, 3 or 4
    decision  = skip value*seats span kept level*       the improved policy, moves in ascending
              order of their codes
    skip      = varint: plies between this decision and the one before (the first: its ply)
    value     = int16 little-endian, root value of seat 1, 2, ... in units of 1 / 32767
    span      = varint, at least 1: index of the last move kept, plus 1
    kept      = (span + 7) / 8 bytes, one bit a move, lowest bit first: 1 if the move is kept
    level     = byte for each move kept: its probability is RATIO_MAX ** -(level / 255) times the
              largest one, so its error is below 1.4 %; probabilities are divided by their sum
    varint    = little-endian base 128, high bit set on all bytes but the last, at most 4 bytes, no
              padding

Version 1 has in place of a level a weight, uint16 little-endian and at least 1; probabilities are
weights divided by their sum. Most of its bytes are weights.

Indices refer to the legal moves in ascending order of their codes (`ringrift.rules`:
`Position.legal_codes`, sorted).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ringrift.learning.compile import compiled, inlined
from ringrift.nets.arrays import Floats, Int64s
from ringrift.rules.compile import i64

VERSION: Final = 2
VERSIONS: Final = (1, 2)
"""that can be read"""
VALUE_UNIT: Final = 32767
PROBABILITY_MIN: Final = 1e-3
"""Smaller probabilities are dropped: they are search noise and most of the bytes."""
RATIO_MAX: Final = 1.0 / PROBABILITY_MIN
LEVELS: Final = 256
LEVEL_UNIT: Final = 1 << 20
WEIGHTS: Final = np.rint(
    LEVEL_UNIT * np.power(RATIO_MAX, -np.arange(LEVELS) / (LEVELS - 1))
).astype(np.int64)
"""Weight of each level, whole numbers, so that they are the same on every machine."""
VARINT_BYTES_MAX: Final = 4
VARINT_BITS: Final = 7 * VARINT_BYTES_MAX
MOVES_MAX: Final = 1 << 16  # shards store indices of moves in two bytes
PLIES_MAX: Final = 1 << 16  # of a game: ten times the longest

Bytes = NDArray[np.uint8]


class TargetsError(ValueError):
    """The bytes are not targets, or values cannot be stored; the message says where and why."""


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """One searched decision.

    ply            index of the decision in the game's moves, from 0
    values         float32 [seats], root value of each seat, -1..1
    indices        int64 [K], ascending: moves of the improved policy, as indices into the legal
                   moves by ascending code
    probabilities  float32 [K], positive, sum 1
    """

    ply: int
    values: Floats
    indices: Int64s
    probabilities: Floats


class Decisions(NamedTuple):
    """The D decisions of a game, with E moves in total; those of decision i are from `starts[i]` to
    `starts[i + 1]`. Fields as in `Decision`."""

    plies: Int64s  # [D]
    values: Floats  # [D, seats]
    starts: Int64s  # [D + 1]
    indices: Int64s  # [E]
    probabilities: Floats  # [E]

    def each(self) -> Iterator[Decision]:
        """Yield the decisions one by one."""
        starts = self.starts.tolist()
        for i, ply in enumerate(self.plies.tolist()):
            kept = slice(starts[i], starts[i + 1])
            yield Decision(ply, self.values[i], self.indices[kept], self.probabilities[kept])


def kept(probabilities: Floats) -> Int64s:
    """Return the indices of those that `encode` keeps, a tenth of them on a large board."""
    total = np.cumsum(probabilities, dtype=np.float64)[-1]  # in order, as `_write` adds
    least = min(PROBABILITY_MIN * total, np.float64(probabilities.max()))
    return np.flatnonzero(probabilities >= least)


def encode(seats: int, decisions: Iterable[Decision]) -> bytes:
    """Return `decisions`, which must be in ascending order of ply, as bytes.

    Probabilities below `PROBABILITY_MIN` are dropped unless all are. Raises TargetsError."""
    if not 2 <= seats <= 4:
        raise TargetsError(f"{seats} seats; a game has 2 to 4")
    found = list(decisions)
    if not found:
        return bytes((VERSION, seats))
    next_ply = 0
    for decision in found:
        _check(decision, seats, next_ply)
        next_ply = decision.ply + 1
    sizes = [len(decision.indices) for decision in found]
    joined = Decisions(
        np.array([decision.ply for decision in found], np.int64),
        np.array([decision.values for decision in found], np.float32),
        np.cumsum([0, *sizes], dtype=np.int64),
        np.concatenate([decision.indices for decision in found]).astype(np.int64),
        np.concatenate([decision.probabilities for decision in found]).astype(np.float32),
    )
    spans = sum(int(decision.indices[-1]) // 8 + 1 for decision in found)
    fixed = 2 * VARINT_BYTES_MAX + 2 * seats
    out = np.zeros(2 + len(found) * fixed + spans + len(joined.indices), np.uint8)
    out[:2] = VERSION, seats
    length = int(_write(joined, out))
    return out[:length].tobytes()


def _check(decision: Decision, seats: int, next_ply: int) -> None:
    """Check what compiled code relies on; the numbers themselves are checked by `_write`."""
    where = f"decision at ply {decision.ply}"
    if not next_ply <= decision.ply < 1 << VARINT_BITS:
        raise TargetsError(f"{where}: plies must ascend, {next_ply} is the next possible")
    if decision.values.shape != (seats,) or not np.isfinite(decision.values).all():
        raise TargetsError(f"{where}: needs {seats} finite values, got {decision.values}")
    indices, p = decision.indices, decision.probabilities
    if indices.shape != p.shape or indices.ndim != 1 or not len(indices):
        raise TargetsError(f"{where}: {indices.shape} indices, {p.shape} probabilities")
    if not 0 <= indices[0] <= indices[-1] < 1 << VARINT_BITS or (indices[1:] <= indices[:-1]).any():
        raise TargetsError(f"{where}: indices must ascend from 0 on")
    if not (p >= 0).all() or not 0 < p.sum(dtype=np.float64) < np.inf:
        raise TargetsError(f"{where}: probabilities must be finite, not negative and not all zero")


@compiled
def _put_varint(out: Bytes, at: int, value: int) -> int:
    while value >= 128:
        out[at] = (value & 127) | 128
        value >>= 7
        at += 1
    out[at] = value
    return at + 1


@compiled
def _write(d: Decisions, out: Bytes) -> int:
    """Write checked decisions behind the two bytes of the head; return the length."""
    at, next_ply = i64(2), i64(0)
    for i in range(d.plies.size):
        at = _put_varint(out, at, i64(d.plies[i] - next_ply))
        next_ply = d.plies[i] + 1
        for seat in range(d.values.shape[1]):
            value = min(max(np.float64(d.values[i, seat]), -1.0), 1.0)
            units = i64(np.rint(value * VALUE_UNIT))
            out[at], out[at + 1] = units & 255, (units >> 8) & 255
            at += 2
        total, top = 0.0, np.float32(0.0)
        for j in range(d.starts[i], d.starts[i + 1]):
            total += np.float64(d.probabilities[j])
            top = max(top, d.probabilities[j])
        least = min(PROBABILITY_MIN * total, np.float64(top))
        last = i64(d.starts[i])
        for j in range(d.starts[i], d.starts[i + 1]):
            if d.probabilities[j] >= least:
                last = j
        span = i64(d.indices[last]) + 1
        at = _put_varint(out, at, span)
        bits, at = at, at + (span + 7) // 8
        for j in range(d.starts[i], last + 1):
            p = np.float64(d.probabilities[j])
            if p >= least:
                index = d.indices[j]
                out[bits + index // 8] |= 1 << (index % 8)
                level = np.rint(np.log(np.float64(top) / p) / np.log(RATIO_MAX) * (LEVELS - 1))
                out[at] = i64(min(level, LEVELS - 1.0))
                at += 1
    return at


_PROBLEMS: Final = (
    "",
    "the data ends within a ply",
    "the data ends within the span of a policy",
    "a ply is padded with a zero byte",
    "the span of a policy is padded with a zero byte",
    f"a ply has more than {VARINT_BYTES_MAX} bytes",
    f"the span of a policy has more than {VARINT_BYTES_MAX} bytes",
    "the data ends within root values",
    "root values exceed -1..1",
    "a policy over {number} moves",
    "the data ends within the moves of a policy",
    "a policy of span {number} with another last move",
    "the data ends within weights",
    "a move without weight",
    "a target for ply {number} of a game of {plies} plies",
)
"""Messages by the codes of `_read`."""
_PLY, _SPAN, _VALUES, _VALUE, _MOVES, _BITS, _LAST, _WEIGHTS, _WEIGHT, _LATE = (
    *(0, 1),
    *range(7, 15),
)
_ENDS, _PADDED, _LONG = 1, 3, 5


@inlined
def _varint(data: Bytes, at: int) -> tuple[int, int, int]:
    """Return a varint, the offset behind it, and 0 or what is wrong with it."""
    value = i64(0)
    for place in range(VARINT_BYTES_MAX):
        if at >= data.size:
            return value, at, _ENDS
        byte = i64(data[at])
        at += 1
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at, _PADDED if byte == 0 and place > 0 else 0
    return value, at, _LONG


@compiled
def _read(data: Bytes, plies_max: int, weights: Int64s, d: Decisions, problem: Int64s) -> int:
    """Read all decisions; return their number, or -1 after writing (code, offset, number) to
    `problem`. Without `weights` of levels the data is of version 1."""
    at, next_ply, count, used = i64(2), i64(0), i64(0), i64(0)
    seats = d.values.shape[1]
    while at < data.size:
        skip, at, wrong = _varint(data, at)
        ply = next_ply + skip
        if wrong or ply >= plies_max:
            problem[:] = (_PLY + wrong if wrong else _LATE, at, ply)
            return -1
        next_ply = ply + 1
        d.plies[count] = ply
        if at + 2 * seats > data.size:
            problem[:] = (_VALUES, at, 0)
            return -1
        for seat in range(seats):
            units = i64(data[at]) | (i64(data[at + 1]) << 8)
            units -= (units >> 15) << 16
            if units < -VALUE_UNIT:
                problem[:] = (_VALUE, at, units)
                return -1
            d.values[count, seat] = np.float32(units) / np.float32(VALUE_UNIT)
            at += 2
        span, at, wrong = _varint(data, at)
        bits, size = at, (span + 7) // 8
        if wrong or span > MOVES_MAX or bits + size > data.size:
            code = _SPAN + wrong if wrong else _MOVES if span > MOVES_MAX else _BITS
            problem[:] = (code, at, span)
            return -1
        if span == 0 or data[bits + size - 1] >> ((span - 1) % 8) != 1:
            problem[:] = (_LAST, at, span)
            return -1
        at += size
        first, total = used, i64(0)
        for index in range(span):
            if (data[bits + index // 8] >> (index % 8)) & 1:
                width = 1 if weights.size else 2
                if at + width > data.size:
                    problem[:] = (_WEIGHTS, at, 0)
                    return -1
                if weights.size:
                    weight = weights[data[at]]
                else:
                    weight = i64(data[at]) | (i64(data[at + 1]) << 8)
                if weight == 0:
                    problem[:] = (_WEIGHT, at, 0)
                    return -1
                d.indices[used] = index
                d.probabilities[used] = weight
                total += weight
                used += 1
                at += width
        for j in range(first, used):
            d.probabilities[j] = np.float64(d.probabilities[j]) / np.float64(total)
        count += 1
        d.starts[count] = used
    return count


def decode_all(data: bytes, plies: int = PLIES_MAX) -> tuple[int, Decisions]:
    """Return the number of seats and the decisions in `data`, targets of a game of `plies` plies.

    Raises TargetsError, at the first decision that the game cannot have had."""
    if len(data) < 2:
        raise TargetsError("byte 0: the data ends within the version and the number of seats")
    version, seats = data[0], data[1]
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise TargetsError(f"targets of version {version}; this build reads versions {known}")
    if not 2 <= seats <= 4:
        raise TargetsError(f"byte 1: {seats} seats; a game has 2 to 4")
    most = len(data) // (4 + 2 * seats) + 1
    room = Decisions(
        np.zeros(most, np.int64),
        np.zeros((most, seats), np.float32),
        np.zeros(most + 1, np.int64),
        np.zeros(len(data), np.int64),
        np.zeros(len(data), np.float32),
    )
    levels = WEIGHTS if version == VERSION else WEIGHTS[:0]
    problem = np.zeros(3, np.int64)
    count = int(_read(np.frombuffer(data, np.uint8), plies, levels, room, problem))
    if count < 0:
        code, at, number = problem.tolist()
        text = _PROBLEMS[code].format(number=number, plies=plies)
        raise TargetsError(text if code == _LATE else f"byte {at}: {text}")
    used = int(room.starts[count])
    return seats, Decisions(
        room.plies[:count].copy(),
        room.values[:count].copy(),
        room.starts[: count + 1].copy(),
        room.indices[:used].copy(),
        room.probabilities[:used].copy(),
    )


def decode(data: bytes, plies: int = PLIES_MAX) -> tuple[int, Sequence[Decision]]:
    """As `decode_all`, one by one."""
    seats, found = decode_all(data, plies)
    return seats, list(found.each())
