"""The tiers D1 to D10: fixed opponents of rising strength that need no network (requirement
G09.11).

A tier is a harness and a budget of simulations, never a time limit, so it is as strong on every
machine, and on a busy one. The first two are the baselines every network meets anyway; from D3 on
Gumbel search with the handcrafted heuristic at the leaves gets twice the budget of the tier below.

Measured on hex8_2p, 100 games each: D3 against D2 51 %, each doubling from 8 to 512 simulations 50
to 56 %, but 128 simulations against 8 won 64 % (54 to 73). So neighbours are near and the ladder as
a whole rises. `ringrift strength --ladder` measures it again, for every searching harness; where
one rises faster, the upper tiers should be played by it."""

from __future__ import annotations

from typing import Final, NamedTuple

from ringrift.events.facts import Seat
from ringrift.events.participants import seat

FIRST_BUDGET: Final = 8
"""simulations of D3: with 8 the search is about as strong as the heuristic without search, so this
is where search begins"""


class Tier(NamedTuple):
    """`name` such as D4, and who plays it."""

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
