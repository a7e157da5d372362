"""A network's rating is that of the player the loop measured, whatever other players were made of
it."""

from __future__ import annotations

from ringrift.events.facts import Rating
from ringrift.insight.generations import ConfigView


def test_the_loops_own_player_is_the_one_that_is_shown() -> None:
    model = "ab" * 32
    strong = Rating(participant="abababababab:gumbel:s128", elo=90.0, se=1.0, games=8)
    usual = Rating(participant="abababababab:gumbel:s32", elo=10.0, se=1.0, games=8)
    view = ConfigView(
        config="hex8_2p", ratings=(strong, usual), names={model: "abababababab:gumbel:s32"}
    )
    assert view.rating_of(model) == usual
    assert view.rating_of("cd" * 32) is None
