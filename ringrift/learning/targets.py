"""Search targets of the decisions of a game as compact bytes: the field `GameCompleted.targets`.

    game      = version seats decision*            version: byte 1; seats: byte 2, 3 or 4
    decision  = skip value*seats span kept weight*      the improved policy, moves in ascending
              order of their codes
    skip      = varint: plies between this decision and the one before (the first: its ply)
    value     = int16 little-endian, root value of seat 1, 2, ... in units of 1 / 32767
    span      = varint, at least 1: index of the last move kept, plus 1
    kept      = (span + 7) / 8 bytes, one bit a move, lowest bit first: 1 if the move is kept
    weight    = uint16 little-endian, at least 1, for each move kept; probabilities are weights
              divided by their sum
    varint    = little-endian base 128, high bit set on all bytes but the last, at most 4 bytes, no
              padding

Indices refer to the legal moves in ascending order of their codes (`ringrift.rules`:
`Position.legal_codes`, sorted).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ringrift.nets.arrays import Floats, Int64s

VERSION: Final = 1
VALUE_UNIT: Final = 32767
WEIGHT_UNIT: Final = 65535
PROBABILITY_MIN: Final = 1e-3
"""Smaller probabilities are dropped: they are search noise and most of the bytes."""
VARINT_BYTES_MAX: Final = 4
MOVES_MAX: Final = 1 << 16  # shards store indices of moves in two bytes
PLIES_MAX: Final = 1 << 16  # of a game: ten times the longest


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


def encode(seats: int, decisions: Iterable[Decision]) -> bytes:
    """Return `decisions`, which must be in ascending order of ply, as bytes.

    Probabilities below `PROBABILITY_MIN` are dropped unless all are. Raises TargetsError."""
    if not 2 <= seats <= 4:
        raise TargetsError(f"{seats} seats; a game has 2 to 4")
    out = bytearray((VERSION, seats))
    next_ply = 0
    for decision in decisions:
        _check(decision, seats, next_ply)
        _put_varint(out, decision.ply - next_ply)
        next_ply = decision.ply + 1
        values = np.clip(decision.values, -1.0, 1.0)
        out += np.rint(values * VALUE_UNIT).astype("<i2").tobytes()
        _put_policy(out, decision)
    return bytes(out)


def _check(decision: Decision, seats: int, next_ply: int) -> None:
    where = f"decision at ply {decision.ply}"
    if decision.ply < next_ply:
        raise TargetsError(f"{where}: plies must ascend, {next_ply} is the next possible")
    if decision.values.shape != (seats,) or not np.isfinite(decision.values).all():
        raise TargetsError(f"{where}: needs {seats} finite values, got {decision.values}")
    indices, p = decision.indices, decision.probabilities
    if indices.shape != p.shape or indices.ndim != 1 or not len(indices):
        raise TargetsError(f"{where}: {indices.shape} indices, {p.shape} probabilities")
    if indices[0] < 0 or (np.diff(indices) <= 0).any():
        raise TargetsError(f"{where}: indices must ascend from 0 on")
    if not np.isfinite(p).all() or (p < 0).any() or not p.max() > 0:
        raise TargetsError(f"{where}: probabilities must be finite, not negative and not all zero")


def _put_policy(out: bytearray, decision: Decision) -> None:
    share = decision.probabilities / decision.probabilities.sum(dtype=np.float64)
    keep = share >= min(PROBABILITY_MIN, share.max())
    indices, kept = decision.indices[keep], share[keep]
    span = int(indices[-1]) + 1
    bits = np.zeros(span, np.uint8)
    bits[indices] = 1
    _put_varint(out, span)
    out += np.packbits(bits, bitorder="little").tobytes()
    out += np.maximum(np.rint(kept / kept.sum() * WEIGHT_UNIT), 1).astype("<u2").tobytes()


def _put_varint(out: bytearray, value: int) -> None:
    if value >> (7 * VARINT_BYTES_MAX):
        raise TargetsError(f"{value} is too large for a varint of {VARINT_BYTES_MAX} bytes")
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


class _Reader:
    """Reads consecutive fields; errors name the offset."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int, what: str) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise TargetsError(f"byte {self.at}: the data ends within {what}")
        self.at += count
        return part

    def varint(self, what: str) -> int:
        value = 0
        for place in range(VARINT_BYTES_MAX):
            byte = self.take(1, what)[0]
            value |= (byte & 127) << (7 * place)
            if byte < 128:
                if byte == 0 and place:
                    raise TargetsError(f"byte {self.at - 1}: {what} is padded with a zero byte")
                return value
        raise TargetsError(f"byte {self.at}: {what} has more than {VARINT_BYTES_MAX} bytes")


def decode(data: bytes, plies: int = PLIES_MAX) -> tuple[int, Sequence[Decision]]:
    """Return the number of seats and the decisions in `data`, targets of a game of `plies` plies.

    Raises TargetsError, at the first decision that the game cannot have had."""
    reader = _Reader(data)
    version, seats = reader.take(2, "the version and the number of seats")
    if version != VERSION:
        raise TargetsError(f"targets of version {version}; this build reads version {VERSION}")
    if not 2 <= seats <= 4:
        raise TargetsError(f"byte 1: {seats} seats; a game has 2 to 4")
    return seats, list(_decisions(reader, seats, plies))


def _decisions(reader: _Reader, seats: int, plies: int) -> Iterator[Decision]:
    next_ply = 0
    while reader.at < len(reader.data):
        ply = next_ply + reader.varint("a ply")
        if ply >= plies:
            raise TargetsError(f"a target for ply {ply} of a game of {plies} plies")
        next_ply = ply + 1
        units = np.frombuffer(reader.take(2 * seats, "root values"), "<i2").astype(np.float32)
        values = units / np.float32(VALUE_UNIT)
        if values.min() < -1.0:
            raise TargetsError(f"byte {reader.at - 2 * seats}: root values {values} exceed -1..1")
        indices = _kept(reader)
        weights = np.frombuffer(reader.take(2 * len(indices), "weights"), "<u2").astype(np.float64)
        if not weights.all():
            raise TargetsError(f"byte {reader.at - 2 * len(indices)}: a move without weight")
        yield Decision(ply, values, indices, (weights / weights.sum()).astype(np.float32))


def _kept(reader: _Reader) -> Int64s:
    """Return the indices of the moves of a policy, ascending."""
    span = reader.varint("the span of a policy")
    if span > MOVES_MAX:
        raise TargetsError(f"byte {reader.at}: a policy over {span} moves")
    packed = np.frombuffer(reader.take((span + 7) // 8, "the moves of a policy"), np.uint8)
    bits = np.unpackbits(packed, bitorder="little")
    if span == 0 or not bits[span - 1] or bits[span:].any():
        raise TargetsError(f"byte {reader.at}: a policy of span {span} with another last move")
    return np.flatnonzero(bits)
