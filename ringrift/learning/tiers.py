"""The tiers D1 to D10: fixed opponents of rising strength that need no network (requirement
G09.11).

A tier is a harness and a budget of simulations, never a time limit, so that its strength does not
depend on the machine or its load. The first two are the baselines that every network is evaluated
against; from D3 on, Gumbel search with the handcrafted heuristic has twice the budget of the tier
below.

Measured on hex8_2p, 100 games each: D3 against D2 51 %, each doubling from 8 to 512 simulations 50
to 56 %, but 128 simulations against 8 won 64 % (54 to 73). So neighbouring tiers are close, and the
ladder as a whole rises. `ringrift strength --ladder` measures it for every searching harness; one
that rises faster should play the upper tiers."""

from typing import Final, NamedTuple

from ringrift.events.facts import Seat
from ringrift.events.participants import seat

FIRST_BUDGET: Final = 8
"""Simulations of D3: with 8 the search is about as strong as the heuristic without search."""


class Tier(NamedTuple):
    """`name`, such as D4, and its player."""

    name: str
    seat: Seat


TIERS: Final = (
    Tier("D1", seat("random")),
    Tier("D2", seat("heuristic")),
    *(
        Tier(f"D{number}", seat("gumbel", simulations=FIRST_BUDGET << (number - 3)))
        for number in range(3, 11)
    ),
)
