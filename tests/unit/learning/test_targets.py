"""Search targets survive encoding and decoding, and damaged bytes are rejected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from ringrift.learning.targets import PROBABILITY_MIN, Decision, TargetsError, decode, encode, kept

# The times of examples depend on the load of the machine
anytime = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def decisions(draw: st.DrawFn) -> tuple[int, list[Decision]]:
    seats = draw(st.integers(2, 4))
    plies = sorted(draw(st.sets(st.integers(0, 3000), max_size=6)))
    found = []
    for ply in plies:
        indices = sorted(draw(st.sets(st.integers(0, 1500), min_size=1, max_size=12)))
        weights = draw(st.lists(st.floats(0.01, 1.0), min_size=len(indices), max_size=len(indices)))
        values = draw(st.lists(st.floats(-1.0, 1.0, width=32), min_size=seats, max_size=seats))
        p = np.array(weights) / np.sum(weights)
        found.append(
            Decision(
                ply, np.array(values, np.float32), np.array(indices, np.int64), p.astype(np.float32)
            )
        )
    return seats, found


@anytime
@given(decisions())
def test_round_trip(case: tuple[int, list[Decision]]) -> None:
    seats, given_decisions = case
    found_seats, found = decode(encode(seats, given_decisions))
    assert found_seats == seats
    assert [d.ply for d in found] == [d.ply for d in given_decisions]
    for one, other in zip(given_decisions, found, strict=True):
        np.testing.assert_allclose(other.values, one.values, atol=1 / 32000)
        kept = one.probabilities >= PROBABILITY_MIN
        assert set(other.indices.tolist()) >= set(
            one.indices[one.probabilities > 1.01 * PROBABILITY_MIN].tolist()
        )
        assert set(other.indices.tolist()) <= set(
            one.indices[one.probabilities > 0.99 * PROBABILITY_MIN].tolist()
        )
        assert other.probabilities.sum() == pytest.approx(1.0, abs=1e-5)
        full = np.zeros(1501)
        full[one.indices[kept]] = one.probabilities[kept]
        near = full[other.indices] / full.sum()
        np.testing.assert_allclose(other.probabilities, near, rtol=0.03, atol=2e-3)


@anytime
@given(decisions())
def test_plies_and_values_survive_a_second_round_trip_exactly(
    case: tuple[int, list[Decision]],
) -> None:
    seats, given_decisions = case
    once = decode(encode(seats, given_decisions))[1]
    twice = decode(encode(seats, once))[1]
    for one, other in zip(once, twice, strict=True):
        assert (one.ply, one.values.tolist()) == (other.ply, other.values.tolist())
        assert set(other.indices.tolist()) <= set(one.indices.tolist())


@anytime
@given(st.binary(max_size=60))
def test_random_bytes_are_targets_or_rejected(data: bytes) -> None:
    for text in (data, b"\x01\x02" + data, b"\x02\x02" + data):
        try:
            seats, found = decode(text)
        except TargetsError:
            continue
        assert 2 <= seats <= 4
        assert all(
            len(d.indices) and (np.diff(d.indices) > 0).all() and (d.probabilities > 0).all()
            for d in found
        )


def decision(
    ply: int = 3, values: object = (0.5, -0.5), indices: object = (0, 4), p: object = (0.25, 0.75)
) -> Decision:
    return Decision(
        ply, np.array(values, np.float32), np.array(indices, np.int64), np.array(p, np.float32)
    )


def test_the_bytes_are_as_documented() -> None:
    data = encode(2, [decision(), decision(ply=300, indices=(130,), p=(1.0,), values=(1.0, -1.0))])
    # a third of the largest probability: 255 log 3 / log 1000 = 40.6
    first = b"\x03" + b"\x00\x40" + b"\x00\xc0" + b"\x05" + b"\x11" + b"\x29" + b"\x00"
    second = b"\xa8\x02" + b"\xff\x7f" + b"\x01\x80" + b"\x83\x01" + bytes(16) + b"\x04" + b"\x00"
    assert data == b"\x02\x02" + first + second


def test_version_1_is_still_read() -> None:
    first = b"\x03" + b"\x00\x40" + b"\x00\xc0" + b"\x05" + b"\x11" + b"\x00\x40" + b"\xff\xbf"
    seats, [found] = decode(b"\x01\x02" + first)
    assert (seats, found.ply, found.indices.tolist()) == (2, 3, [0, 4])
    assert found.probabilities == pytest.approx([0.25, 0.75], abs=1e-4)


def test_small_probabilities_are_dropped_and_the_rest_scaled() -> None:
    [found] = decode(encode(2, [decision(indices=(0, 1, 2), p=(0.0005, 0.4995, 0.5))]))[1]
    assert found.indices.tolist() == [1, 2]
    assert found.probabilities.sum() == pytest.approx(1.0)
    spread = np.full(3000, 1 / 3000)
    [found] = decode(encode(2, [decision(indices=range(3000), p=spread)]))[1]
    assert len(found.indices) == 3000  # all are small: none is dropped


@anytime
@given(st.lists(st.floats(0.0, 12.0, width=32), min_size=1, max_size=600))
def test_the_bytes_need_the_kept_moves_only(exponents: list[float]) -> None:
    p = np.exp(-np.array(exponents))
    whole = decision(indices=range(len(p)), p=p / p.sum())
    chosen = kept(whole.probabilities)
    part = decision(indices=chosen, p=whole.probabilities[chosen])
    assert encode(2, [part]) == encode(2, [whole])


BAD_DECISIONS = {
    "no move": decision(indices=(), p=()),
    "descending": decision(indices=(4, 0)),
    "twice": decision(indices=(4, 4)),
    "negative index": decision(indices=(-1, 4)),
    "lengths": decision(indices=(1, 2, 3)),
    "not a number": decision(p=(float("nan"), 1.0)),
    "negative": decision(p=(-0.1, 1.1)),
    "all zero": decision(p=(0.0, 0.0)),
    "values": decision(values=(0.1, 0.2, 0.3)),
    "infinite value": decision(values=(float("inf"), 0.0)),
}


@pytest.mark.parametrize("case", BAD_DECISIONS)
def test_decisions_that_cannot_be_stored_are_rejected(case: str) -> None:
    with pytest.raises(TargetsError, match="ply 3"):
        encode(2, [BAD_DECISIONS[case]])


def test_plies_must_ascend() -> None:
    with pytest.raises(TargetsError, match="ascend"):
        encode(2, [decision(ply=3), decision(ply=3)])


GOOD = encode(2, [decision()])
BAD_BYTES = {
    "empty": (b"", "ends within the version"),
    "version": (b"\x03\x02", "version 3"),
    "seats": (b"\x01\x05", "5 seats"),
    "cut": (GOOD[:-1], "ends within weights"),
    "cut in the moves": (
        b"\x01\x02\x00" + bytes(4) + b"\x09\x00",
        "ends within the moves of a policy",
    ),
    "no move": (b"\x01\x02\x00" + bytes(4) + b"\x00", "span 0"),
    "last move not kept": (b"\x01\x02\x00" + bytes(4) + b"\x02\x01\xff\xff", "span 2"),
    "move beyond the span": (b"\x01\x02\x00" + bytes(4) + b"\x01\x03\xff\xff\xff\xff", "span 1"),
    "no weight": (b"\x01\x02\x00" + bytes(4) + b"\x01\x01\x00\x00", "without weight"),
    "padded varint": (b"\x01\x02\x80\x00", "padded"),
    "endless varint": (b"\x01\x02\xff\xff\xff\xff\x01", "more than 4 bytes"),
    "move beyond the levels": (b"\x02\x02\x00" + bytes(4) + b"\x01\x01", "ends within weights"),
    "value": (b"\x01\x02\x00\x00\x80\x00\x00\x01\x00\x01\x00", "exceed -1..1"),
}


@pytest.mark.parametrize("case", BAD_BYTES)
def test_damaged_bytes_are_rejected_with_the_offset(case: str) -> None:
    data, message = BAD_BYTES[case]
    with pytest.raises(TargetsError, match=message):
        decode(data)
