"""Names of participants are equal exactly for equal play."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from ringrift.events.facts import Seat
from ringrift.events.participants import participant, seat

MODEL = "c0ffee" + "0" * 58


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (seat("random"), "baseline:random:s0"),
        (seat("heuristic"), "baseline:heuristic:s0"),
        (seat("gumbel", simulations=8), "baseline:gumbel:s8"),
        (seat("gumbel", model=MODEL, simulations=64), "c0ffee000000:gumbel:s64"),
        (seat("policy", model=MODEL), "c0ffee000000:policy:s0"),
    ],
)
def test_usual_players_have_readable_names(found: Seat, name: str) -> None:
    assert found.participant == name


def test_an_unusual_option_adds_a_digest() -> None:
    assert (
        seat("gumbel", simulations=32, noise_plies=24).participant == "baseline:gumbel:s32-bc70c2"
    )


def test_the_name_follows_from_the_options() -> None:
    old = msgspec.json.decode(
        b'{"participant":"x","harness":"gumbel","simulations":4,"evaluator":"heuristic"}', type=Seat
    )
    assert participant(old) == "baseline:gumbel:s4"


def test_an_unknown_harness_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="harness"):
        seat("astrology")


options = st.fixed_dictionaries(
    {
        "harness": st.sampled_from(["gumbel", "policy"]),
        "model": st.sampled_from([None, MODEL]),
        "simulations": st.integers(0, 3),
        "evaluator": st.sampled_from([None, "none"]),
        "considered": st.integers(15, 17),
        "noise_plies": st.integers(0, 2),
    }
)


@settings(max_examples=200)
@given(one=options, other=options)
def test_names_are_equal_only_for_equal_play(
    one: dict[str, object], other: dict[str, object]
) -> None:
    first, second = seat(**one), seat(**other)  # type: ignore[arg-type]
    assert (first.participant == second.participant) == (first == second)
